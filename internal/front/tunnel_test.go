package front

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/until"
)

// tunnel opens one on loopback, secured as the front's port is.
func (b *bed) tunnel(t *testing.T, name string, admit func(*Call) error) (*Tunnel, *grpc.ClientConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tunnel := b.Open(TunnelOptions{Name: name, Listener: l, Credentials: credentials.NewTLS(b.opts.TLS), Admit: admit})
	t.Cleanup(func() { tunnel.Close() })
	return tunnel, dialConn(t, func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	})
}

// TestTunnel: calls through a tunnel pass its own judge and then the front's hook,
// which knows the tunnel; it ends alone, and those that were cut off hear why.
func TestTunnel(t *testing.T) {
	seen := make(chan string, 100)
	b := newBed(t, func(o *Options) {
		o.Hook = hookFunc(func(_ context.Context, call *Call) (Decision, error) {
			seen <- call.Tunnel
			return Decision{}, nil
		})
	})
	mine := func(call *Call) error {
		if raw, err := call.Macaroon(); err != nil || string(raw) != "\xaa" {
			return refuse(codes.PermissionDenied, "not_mine", "", "another macaroon")
		}
		return nil
	}
	one, through := b.tunnel(t, "one", mine)
	_, other := b.tunnel(t, "other", func(*Call) error { return nil })
	ctx := testContext(t)
	with := func(macaroon string) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "macaroon", macaroon)
	}

	if got, err := ask(with("aa"), through, "/fake/Echo", "x"); err != nil || got != "x" || wait(t, seen, "the hook") != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range []context.Context{ctx, with("bb")} {
		if _, err := ask(c, through, "/fake/Echo", "x"); status.Code(err) != codes.PermissionDenied {
			t.Errorf("not admitted: %v", err)
		}
	}
	if _, err := ask(ctx, through, "/lnrpc.State/GetState", ""); err != nil {
		t.Errorf("the state: %v", err)
	}
	if _, err := ask(ctx, b.dial(t, ""), "/fake/Echo", "x"); err != nil || wait(t, seen, "the hook") != "" {
		t.Errorf("by the port: %v", err)
	}
	if len(seen) > 0 {
		t.Error("the hook was asked about calls that were not admitted")
	}

	hanging := open(t, with("aa"), through, "/fake/Hang")
	if _, err := hanging.Header(); err != nil {
		t.Fatal(err)
	}
	cut := b.CutOff(*refuse(codes.PermissionDenied, "over", "", "it is over"), func(c *Call) bool { return c.Tunnel == "one" })
	for range 2 {
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := hanging.recv(); cut != 1 || status.Code(err) != codes.PermissionDenied {
		t.Errorf("cut off %d, heard %v", cut, err)
	}
	if _, err := ask(with("aa"), through, "/fake/Echo", "x"); status.Code(err) != codes.Unavailable {
		t.Errorf("after its end: %v", err)
	}
	if _, err := ask(ctx, other, "/fake/Echo", "x"); err != nil {
		t.Errorf("the other tunnel: %v", err)
	}
}

// TestTunnelEndsUnderWay: what is still open is broken off, and Close returns.
func TestTunnelEndsUnderWay(t *testing.T) {
	b := newBed(t, nil)
	one, through := b.tunnel(t, "one", func(*Call) error { return nil })
	hanging := open(t, testContext(t), through, "/fake/Hang")
	if _, err := hanging.Header(); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if _, err := hanging.recv(); err == nil {
		t.Error("the call goes on")
	}
	wait(t, b.lnd.ended, "lnd's end of the call")
	until.True(t, "no call is left", func() bool { return b.calls.count() == 0 })
}
