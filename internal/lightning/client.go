// Package lightning speaks to an lnd (v0.20 or newer, or a front before one)
// over gRPC with message stubs of our own, so that what links it stays small:
// no lnrpc. It promises errors with stable codes and hints, amounts in
// millisatoshi, and that a payment's result is lnd's final state. What a
// package needs of a node it declares as a small interface of its own; Client
// satisfies it.
package lightning

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/fault"
)

// maxMessage bounds an answer in bytes: lists of invoices can be large.
const maxMessage = 64 << 20

// Config says where the node is and what proves who we are.
type Config struct {
	// Host is "host:port" of the gRPC port.
	Host string

	// TLSCertPath is the node's certificate (PEM), trusted alone. Empty: the
	// system's roots.
	TLSCertPath string

	// MacaroonPath is the binary macaroon file sent with each call. Empty:
	// none, which only State accepts.
	MacaroonPath string
}

// Client is a connection to one node, made when first used. Safe for
// concurrent use.
type Client struct {
	host     string
	conn     *grpc.ClientConn
	macaroon string   // hex, "" for none
	session  *session // nil when the node is reached directly
}

// Dial reads certificate and macaroon and prepares the connection; it sends
// nothing. Errors: bad_certificate, bad_macaroon.
func Dial(cfg Config) (*Client, error) {
	tlsConfig, err := loadTLS(cfg.TLSCertPath)
	if err != nil {
		return nil, err
	}
	mac, err := loadMacaroon(cfg.MacaroonPath)
	if err != nil {
		return nil, err
	}
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 100*time.Millisecond, 2*time.Second
	conn, err := grpc.NewClient("passthrough:///"+cfg.Host,
		grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fault.New("bad_config", "give the node's gRPC address as host:port",
			"node address %q: %w", cfg.Host, err)
	}
	return &Client{host: cfg.Host, conn: conn, macaroon: mac}, nil
}

// Connect begins to connect, without waiting, for a call that is to come.
func (c *Client) Connect() {
	if c.session == nil {
		c.conn.Connect()
		return
	}
	go func() {
		if c.session.enter(c.session.life) == nil {
			c.conn.Connect()
		}
	}()
}

// Close ends the connection and what runs on it.
func (c *Client) Close() error {
	err := c.conn.Close()
	if c.session != nil {
		err = errors.Join(err, c.session.close())
	}
	return err
}

// Host returns the node's address as configured, or that of the relay through
// which it is reached.
func (c *Client) Host() string { return c.host }

// Invoke makes one unary call on lnd's own method path. With NewStream it makes
// a Client a grpc.ClientConnInterface, for those who link lnrpc.
func (c *Client) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if err := c.Enter(ctx); err != nil {
		return err
	}
	if err := c.conn.Invoke(c.credentials(ctx), method, req, resp, opts...); err != nil {
		return c.explain(method, err)
	}
	return nil
}

// NewStream opens a stream on lnd's own method path. What ends the stream later
// arrives as gRPC has it.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.Enter(ctx); err != nil {
		return nil, &notSent{err}
	}
	s, err := c.conn.NewStream(c.credentials(ctx), desc, method, opts...)
	if err != nil {
		return nil, &notSent{c.explain(method, err)}
	}
	return s, nil
}

// stream opens a server stream on lnd's own method path and sends req.
func (c *Client) stream(ctx context.Context, method string, req proto.Message) (grpc.ClientStream, error) {
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	err = s.SendMsg(req)
	if err == nil {
		err = s.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) { // at the end of a stream, RecvMsg says why
		return nil, c.explain(method, err)
	}
	return s, nil
}

func (c *Client) credentials(ctx context.Context) context.Context {
	if c.macaroon == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "macaroon", c.macaroon)
}

func loadTLS(path string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if path == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New("bad_certificate", "is the node created and started? check the path to tls.cert",
			"read the node's certificate: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fault.New("bad_certificate", "copy the node's tls.cert again",
			"%q holds no PEM certificate", path)
	}
	return cfg, nil
}

func loadMacaroon(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fault.New("bad_macaroon", "check the path to the macaroon file",
			"read the macaroon: %w", err)
	}
	if len(raw) == 0 || len(raw) > 64<<10 {
		return "", fault.New("bad_macaroon", "copy the macaroon file again",
			"%q is no macaroon: %d bytes", path, len(raw))
	}
	return hex.EncodeToString(raw), nil
}
