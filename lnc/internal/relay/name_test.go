package relay_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
	"github.com/leydenln/leyden/lnc/internal/relay"
)

// names answers every question with one IPv4 address, or that it cannot.
type names struct {
	addr atomic.Pointer[[4]byte]
}

func (n *names) serve(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = old
		conn.Close()
	})
	go func() {
		b := make([]byte, 1500)
		for {
			length, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := n.answer(b[:length]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
}

func (n *names) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.Additionals = true, nil
	addr, q := n.addr.Load(), m.Questions[0]
	switch {
	case addr == nil:
		m.RCode = dnsmessage.RCodeServerFailure
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: *addr},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// boxMaker counts the boxes that it is asked for.
type boxMaker struct {
	hashmailrpc.UnimplementedHashMailServer
	asked atomic.Int32
}

func (b *boxMaker) NewCipherBox(context.Context, *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	b.asked.Add(1)
	return &hashmailrpc.CipherInitResp{}, nil
}

func (b *boxMaker) serve(t *testing.T, addr string) (*grpc.Server, net.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	hashmailrpc.RegisterHashMailServer(server, b)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return server, l.Addr()
}

// TestRelayMoves: a relay that cannot be found at first, and that then moves to
// another address, is found as soon as its name is.
func TestRelayMoves(t *testing.T) {
	var n names
	n.serve(t)
	var first, second boxMaker
	server, addr := first.serve(t, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	second.serve(t, "127.0.0.2:"+port)

	var unreachable atomic.Bool
	openPipe(t, newGRPC(t, relay.Config{Addr: "relay.test:" + port, Plaintext: true}), atServer,
		relay.Options{Create: true, OnEvent: func(e relay.Event) {
			if e == relay.Unreachable {
				unreachable.Store(true)
			}
		}})
	until.True(t, "the name to fail", unreachable.Load)
	n.addr.Store(&[4]byte{127, 0, 0, 1})
	until.True(t, "the relay", func() bool { return first.asked.Load() > 0 })
	n.addr.Store(&[4]byte{127, 0, 0, 2})
	moved := time.Now()
	server.Stop()
	until.True(t, "the relay at its new address", func() bool { return second.asked.Load() > 0 })
	if took := time.Since(moved); took > 25*time.Second {
		t.Errorf("it took %v: the name is not looked up again for half a minute", took)
	}
}
