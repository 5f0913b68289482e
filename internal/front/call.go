package front

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"google.golang.org/grpc/metadata"
)

// macaroonKey is the metadata key that lnd reads the hex macaroon from.
const macaroonKey = "macaroon"

// Errors of Call.Macaroon.
var (
	// ErrNoMacaroon means the call carries no macaroon.
	ErrNoMacaroon = errors.New("no macaroon")
	// ErrManyMacaroons means it carries more than one; lnd refuses that too.
	ErrManyMacaroons = errors.New("more than one macaroon")
)

// Call is one client call. It does not change once a hook has seen it, and is
// safe for concurrent use.
type Call struct {
	// Method is the full method: "/lnrpc.Lightning/GetInfo".
	Method string

	// Peer is the client's address: that of its TCP connection, or of its HTTP
	// connection for REST. Clients without an IP address count as 127.0.0.1.
	Peer netip.Addr

	// Tunnel names the tunnel that the call came through, "" for the front's own
	// ports.
	Tunnel string

	// Metadata is what the client sent; it must not be changed.
	Metadata metadata.MD

	backend *conn

	macaroon func() ([]byte, error)
}

func newCall(ctx context.Context, method string, peer netip.Addr) *Call {
	md, _ := metadata.FromIncomingContext(ctx)
	c := &Call{Method: method, Peer: peer, Metadata: md}
	c.macaroon = sync.OnceValues(c.decodeMacaroon)
	return c
}

// Macaroon returns the call's macaroon in binary form, decoded on first use. The
// error is ErrNoMacaroon, ErrManyMacaroons, or says that it is not hex; it never
// quotes the macaroon. The caller must not change the bytes.
func (c *Call) Macaroon() ([]byte, error) { return c.macaroon() }

func (c *Call) decodeMacaroon() ([]byte, error) {
	return decodeMacaroon(c.Metadata[macaroonKey])
}

// decodeMacaroon reads the values of the macaroon header with lnd's rules.
func decodeMacaroon(values []string) ([]byte, error) {
	switch len(values) {
	case 0:
		return nil, ErrNoMacaroon
	case 1:
	default:
		return nil, ErrManyMacaroons
	}
	raw, err := hex.DecodeString(values[0])
	if err != nil {
		return nil, fmt.Errorf("malformed macaroon of %d characters: not hex", len(values[0]))
	}
	return raw, nil
}
