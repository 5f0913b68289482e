package front

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// relay makes the fake lnd reachable by TCP, and counts the connections.
func relay(t *testing.T, socket string) (addr string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns = new(atomic.Int32)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer client.Close()
				server, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(server, client)
					server.Close()
				}()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return l.Addr().String(), conns
}

// TestBackendByAddress: no preamble, one connection for all clients, and a new
// one when lnd was away.
func TestBackendByAddress(t *testing.T) {
	var conns *atomic.Int32
	lnd := newFakeLnd(t)
	b := newBed(t, func(o *Options) {
		o.Backend.Socket, o.Backend.TLSCert = "", lnd.cert
		o.Backend.Address, conns = relay(t, lnd.socket)
		o.Backend.MaxConns = 1
	})
	ctx := testContext(t)
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		if got, err := ask(ctx, b.dial(t, from), "/fake/Echo", from); err != nil || got != from {
			t.Errorf("from %s: %q, %v", from, got, err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections to lnd", n)
	}
	if peer, _ := lnd.peers.Load("/fake/Echo"); strings.HasPrefix(peer.(string), "127.0.0.3") {
		t.Errorf("lnd got a preamble: %s", peer)
	}

	lnd.stop()
	client := b.dial(t, "")
	if _, err := ask(ctx, client, "/fake/Echo", "x"); status.Code(err) != codes.Unavailable {
		t.Errorf("without lnd: %v", err)
	}
	lnd.start(t)
	if got, err := ask(ctx, client, "/fake/Echo", "again"); err != nil || got != "again" {
		t.Errorf("with lnd back: %q, %v", got, err)
	}
	_, err := ask(context.Background(), client, "/lnrpc.WalletUnlocker/UnlockWallet", "")
	if text := status.Convert(err).Message(); !strings.Contains(text, "lnd's own port") {
		t.Errorf("unlock: %s", text)
	}
}

func TestBackendNamesOneLnd(t *testing.T) {
	for name, b := range map[string]Backend{
		"fail/none": {TLSCert: "x"},
		"fail/both": {TLSCert: "x", Socket: "s", Address: "a:1"},
		"fail/cert": {Socket: "s"},
	} {
		if _, err := newPool(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
