package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

// maxAnswer bounds an answer in bytes.
const maxAnswer = 200 << 20

// Target says where the API is and what proves who we are.
type Target struct {
	// Address is host:port.
	Address string

	// CertPath is the node's tls.cert, trusted alone; MacaroonPath the
	// operator's macaroon.
	CertPath, MacaroonPath string
}

// Client calls the API. Its errors are faults with the code that the server
// gave, or node_unreachable, bad_address, bad_certificate, bad_macaroon, timeout.
type Client struct {
	Accounts leydenv1.AccountsClient
	Audit    leydenv1.AuditClient
	Lit      litrpc.AccountsClient
	Sessions litrpc.SessionsClient

	conn *grpc.ClientConn
}

// Dial reads certificate and macaroon and prepares the connection; it sends
// nothing. The caller must call Close.
func Dial(t Target) (*Client, error) {
	if _, _, err := net.SplitHostPort(t.Address); err != nil {
		return nil, badAddress(t.Address)
	}
	conf, err := trust(t.CertPath)
	if err != nil {
		return nil, err
	}
	mac, err := readMacaroon(t.MacaroonPath)
	if err != nil {
		return nil, err
	}
	c := caller{addr: t.Address, macaroon: mac}
	conn, err := grpc.NewClient("passthrough:///"+t.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDisableServiceConfig(),
		grpc.WithUnaryInterceptor(c.unary),
		grpc.WithStreamInterceptor(c.stream),
	)
	if err != nil {
		return nil, badAddress(t.Address)
	}
	return &Client{
		Accounts: leydenv1.NewAccountsClient(conn), Audit: leydenv1.NewAuditClient(conn),
		Lit: litrpc.NewAccountsClient(conn), Sessions: litrpc.NewSessionsClient(conn), conn: conn,
	}, nil
}

func badAddress(addr string) error {
	return fault.New("bad_address", "--rpcserver localhost:8443", "address %q: want host:port", addr)
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func trust(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New("bad_certificate", "is the node created and started? check the path to tls.cert",
			"read the node's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New("bad_certificate", "copy the node's tls.cert again", "%q holds no PEM certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// caller adds the macaroon to calls and explains their errors.
type caller struct{ addr, macaroon string }

func (c caller) credentials(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, macaroonKey, c.macaroon)
}

func (c caller) unary(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return explain(c.addr, invoke(c.credentials(ctx), method, req, reply, conn, opts...))
}

func (c caller) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := open(c.credentials(ctx), desc, conn, method, opts...)
	if err != nil {
		return nil, explain(c.addr, err)
	}
	return &explained{s, c.addr}, nil
}

type explained struct {
	grpc.ClientStream
	addr string
}

func (e *explained) RecvMsg(m any) error {
	err := e.ClientStream.RecvMsg(m)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return explain(e.addr, err)
}
