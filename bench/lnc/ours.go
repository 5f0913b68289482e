package main

import (
	"context"
	"net"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/bench/lnc/peer"
	"github.com/leydenln/leyden/lnc"
)

// ours is package lnc, with the options that the node has.
type ours struct{}

// Windows of the node's calls and connections, in bytes, as in internal/front.
const (
	streamWindow     = 1 << 20
	connectionWindow = 4 << 20
)

func (ours) Serve(s peer.Session, register func(grpc.ServiceRegistrar)) (string, func(), error) {
	config, err := s.TLS()
	if err != nil {
		return "", nil, err
	}
	static, err := btcec.NewPrivateKey()
	if err != nil {
		return "", nil, err
	}
	l, err := lnc.NewListener(lnc.ListenerConfig{
		Mailbox: lnc.Mailbox{Addr: s.Addr, TLS: config}, Phrase: lnc.Phrase(s.Phrase),
		Identity: lnc.Identity{Static: static}, AuthData: []byte("Macaroon: 0201"),
	})
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer(grpc.Creds(lnc.Credentials()), grpc.MaxRecvMsgSize(peer.MaxMessage+1024),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connectionWindow))
	return s.Addr, serve(server, l, register), nil
}

func serve(server *grpc.Server, l net.Listener, register func(grpc.ServiceRegistrar)) (stop func()) {
	register(server)
	go func() { _ = server.Serve(l) }() // ends with the server
	return func() {
		server.Stop()
		_ = l.Close() // may be closed already
	}
}

func (ours) Client(s peer.Session) (peer.Client, error) {
	config, err := s.TLS()
	if err != nil {
		return nil, err
	}
	return client{&lnc.Dialer{Mailbox: lnc.Mailbox{Addr: s.Addr, TLS: config}, Phrase: lnc.Phrase(s.Phrase)}}, nil
}

type client struct{ *lnc.Dialer }

func (c client) Connect(context.Context) (*grpc.ClientConn, func(), error) {
	conn, err := c.NewClient()
	if err != nil {
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close() }, nil
}

// direct is gRPC over TLS, with no relay: the least that a call can take.
type direct struct{}

func (direct) Serve(s peer.Session, register func(grpc.ServiceRegistrar)) (string, func(), error) {
	creds, err := credentials.NewServerTLSFromFile(s.Certificate, strings.TrimSuffix(s.Certificate, ".cert")+".key")
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer(grpc.Creds(creds), grpc.MaxRecvMsgSize(peer.MaxMessage+1024))
	return l.Addr().String(), serve(server, l, register), nil
}

func (direct) Client(s peer.Session) (peer.Client, error) {
	config, err := s.TLS()
	return directClient{s.Addr, credentials.NewTLS(config)}, err
}

type directClient struct {
	addr  string
	creds credentials.TransportCredentials
}

func (c directClient) Connect(context.Context) (*grpc.ClientConn, func(), error) {
	conn, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(c.creds))
	if err != nil {
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close() }, nil
}
