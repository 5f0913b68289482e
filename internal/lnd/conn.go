package lnd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// Endpoint is where the child serves gRPC, with TLS.
type Endpoint struct {
	// Socket is the path of the unix socket. A connection may begin with a
	// PROXY protocol preamble that says for whom it is; without one the call
	// counts as local.
	Socket string

	// CertPath is the child's certificate, made at its first start and valid
	// for the name localhost.
	CertPath string
}

// TLSConfig trusts the child's certificate and nothing else.
func (e Endpoint) TLSConfig() (*tls.Config, error) {
	pem, err := os.ReadFile(e.CertPath)
	if err != nil {
		return nil, fmt.Errorf("the child's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the child's certificate %q is malformed", e.CertPath)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

// redial is how fast a lost connection to the socket is tried again: it is
// local, and a start waits for it.
var redial = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond},
	MinConnectTimeout: 5 * time.Second,
}

// Dial makes a client connection; the caller closes it. The child must have
// been started once, for its certificate.
func (e Endpoint) Dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	conf, err := e.TLSConfig()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("unix://"+e.Socket, append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithConnectParams(redial),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(lnrpc.MaxGrpcMsgSize)),
	}, opts...)...)
}

// awaitSocket returns a connection once the child listens: not before, since
// the certificate may be of its own making.
func (e Endpoint) awaitSocket(ctx context.Context) (*grpc.ClientConn, error) {
	const poll = 10 * time.Millisecond
	for {
		if _, err := os.Stat(e.Socket); err == nil {
			if conn, err := e.Dial(); err == nil {
				return conn, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(poll):
		}
	}
}
