package guardpost

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/leydenln/leyden/internal/front"
)

// NewRun makes a name for a life of lnd.
func NewRun() string { return rand.Text() }

// Dialer connects for a gRPC client.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// DialOptions are those of the guard's own connection to lnd: every call
// carries the macaroon, the connection is made once and never again, so that
// it cannot go over to another life of lnd, and an lnd that has gone quiet is
// noticed within half a minute.
func DialOptions(macaroon []byte, dial Dialer) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(once(dial)),
		grpc.WithPerRPCCredentials(credential(hex.EncodeToString(macaroon))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		front.WatchAnswers(),
	}
}

// once refuses to dial again after it has worked.
func once(dial Dialer) Dialer {
	var made atomic.Bool
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if made.Load() {
			return nil, errors.New("the guard's connection to this run of lnd has ended")
		}
		conn, err := dial(ctx, addr)
		if err == nil {
			made.Store(true)
		}
		return conn, err
	}
}

// credential is a hex macaroon that goes with every call.
type credential string

// GetRequestMetadata is part of credentials.PerRPCCredentials.
func (c credential) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"macaroon": string(c)}, nil
}

// RequireTransportSecurity is part of credentials.PerRPCCredentials.
func (c credential) RequireTransportSecurity() bool { return true }
