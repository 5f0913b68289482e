package lnc

import (
	"context"
	"fmt"
	"net"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc/credentials"
)

const protocolName = "lnc"

// AuthInfo is what a gRPC server finds in the peer of a call that came over a
// Listener with Credentials, and a client in that of its own.
type AuthInfo struct {
	credentials.CommonAuthInfo
	// Remote is the other side's key.
	Remote *btcec.PublicKey
}

// AuthType implements credentials.AuthInfo.
func (AuthInfo) AuthType() string { return protocolName }

// Credentials returns what tells gRPC, at either end, that a connection of this
// package is private and whole already. It takes no other connections.
func Credentials() credentials.TransportCredentials { return transport{} }

type transport struct{}

func (transport) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return vouch(conn)
}

func (transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return vouch(conn)
}

func vouch(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := conn.(*Conn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T is none of Lightning Node Connect", conn)
	}
	return conn, AuthInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		Remote:         c.Remote(),
	}, nil
}

func (transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: protocolName}
}

func (t transport) Clone() credentials.TransportCredentials { return t }

func (transport) OverrideServerName(string) error { return nil }
