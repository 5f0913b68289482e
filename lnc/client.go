package lnc

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxReply is the longest reply in bytes: lnd's channel graph is long.
	maxReply = 200 << 20

	// connectWithin is how long the node is awaited until a call fails.
	connectWithin = 20 * time.Second

	// keepaliveEvery is the silence in a call after which the node itself is
	// asked for a sign of life, since a relay can answer what is below: as often
	// as gRPC's servers allow who say nothing else. keepaliveTimeout is how long
	// it has.
	keepaliveEvery   = 6 * time.Minute
	keepaliveTimeout = 20 * time.Second

	// Windows that need not be measured: gRPC's way to do that costs packets,
	// of which relays pass on only so many.
	streamWindow     = 1 << 20
	connectionWindow = 4 << 20
)

// AuthHeaders returns what auth data, of the form of HTTP header lines, has
// each call carry: lower-case names and their values. What is no such line is
// left out.
func AuthHeaders(auth []byte) map[string]string {
	headers := map[string]string{}
	for line := range strings.SplitSeq(string(auth), "\r\n") {
		parts := strings.Split(line, ": ")
		if len(parts) != 2 || !isToken(parts[0]) || !isPrintable(parts[1]) {
			continue
		}
		headers[strings.ToLower(parts[0])] = parts[1]
	}
	return headers
}

func isToken(name string) bool {
	for _, r := range name {
		if !strings.ContainsRune("-_.", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return name != ""
}

func isPrintable(value string) bool {
	for _, r := range value {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// NewClient returns a gRPC connection to the node, made when the first call
// needs it and again whenever it has ended. Each call carries the credential
// that the node gave last. Closing it does not close the Dialer.
func (d *Dialer) NewClient(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///lnd", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return d.Dial(ctx) }),
		grpc.WithTransportCredentials(Credentials()),
		grpc.WithPerRPCCredentials(credential{d}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: keepaliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 30 * time.Second},
			MinConnectTimeout: connectWithin,
		}),
	}, options...)...)
}

// credential is the node's auth data on each call.
type credential struct{ dialer *Dialer }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c credential) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return c.dialer.callHeaders(), nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (credential) RequireTransportSecurity() bool { return true }
