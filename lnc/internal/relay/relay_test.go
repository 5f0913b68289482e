package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

var (
	toClient = relay.ID{1}
	toServer = relay.ID{2}
	atClient = relay.Ends{Send: toServer, Recv: toClient}
	atServer = relay.Ends{Send: toClient, Recv: toServer}
)

// ways are the transports of a client, and of a node, to a relay.
var ways = []struct {
	name string
	open func(t *testing.T, r *relaytest.Relay) (client, server relay.Transport)
}{
	{"grpc", func(t *testing.T, r *relaytest.Relay) (client, server relay.Transport) {
		config := relay.Config{Addr: r.ServeGRPC(t), Plaintext: true}
		return newGRPC(t, config), newGRPC(t, config)
	}},
	{"websocket", func(t *testing.T, r *relaytest.Relay) (client, server relay.Transport) {
		web := r.ServeWebSocket(t)
		roots := x509.NewCertPool()
		roots.AddCert(web.Certificate())
		client = relay.NewWebSocket(relay.Config{Addr: web.Listener.Addr().String(), TLS: &tls.Config{RootCAs: roots}})
		t.Cleanup(func() { client.Close() })
		return client, newGRPC(t, relay.Config{Addr: r.ServeGRPC(t), Plaintext: true})
	}},
	{"memory", func(_ *testing.T, r *relaytest.Relay) (client, server relay.Transport) {
		return r.Transport(), r.Transport()
	}},
}

func newGRPC(t *testing.T, config relay.Config) relay.Transport {
	t.Helper()
	transport, err := relay.NewGRPC(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transport.Close() })
	return transport
}

func openPipe(t *testing.T, transport relay.Transport, ends relay.Ends, options relay.Options) *relay.Pipe {
	t.Helper()
	p := relay.NewPipe(transport, ends, options)
	t.Cleanup(p.Close)
	return p
}

func TestPipe(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := relaytest.New()
			toRelay, fromNode := way.open(t, r)
			server := openPipe(t, fromNode, atServer, relay.Options{Create: true})
			until.True(t, "the boxes", func() bool { return r.Boxes() == 2 })
			client := openPipe(t, toRelay, atClient, relay.Options{})
			for i := range 50 {
				exchange(t, client, server, fmt.Appendf(nil, "to the server %d", i))
				exchange(t, server, client, bytes.Repeat([]byte{byte(i)}, 65560))
			}
		})
	}
}

// exchange sends once, which is enough while nothing breaks.
func exchange(t *testing.T, from, to *relay.Pipe, packet []byte) {
	t.Helper()
	if err := from.Send(t.Context(), packet); err != nil {
		t.Fatal(err)
	}
	got, err := to.Recv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, packet) {
		t.Fatalf("%d bytes arrived as %d others", len(packet), len(got))
	}
}

// persist sends until an answer to this packet comes, as the layer above does.
func persist(t *testing.T, from, to *relay.Pipe, packet string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			from.Send(ctx, []byte(packet))
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	for {
		got, err := to.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) == packet {
			return
		}
	}
}

// TestPipeComesBack has streams cut, boxes forgotten and the relay away.
func TestPipeComesBack(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := relaytest.New()
			toRelay, fromNode := way.open(t, r)
			client := openPipe(t, toRelay, atClient, relay.Options{})
			server := openPipe(t, fromNode, atServer, relay.Options{Create: true})
			for i, trouble := range []func(){
				func() {}, r.Cut, r.Restart, func() { r.Shut(); r.Open() },
			} {
				trouble()
				persist(t, client, server, fmt.Sprint("up ", i))
				persist(t, server, client, fmt.Sprint("down ", i))
			}
		})
	}
}

func TestPipeReportsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := relaytest.New()
		var last relay.Event = -1
		server := relay.NewPipe(r.Transport(), atServer, relay.Options{
			Create: true, OnEvent: func(e relay.Event) { last = e },
		})
		expect := func(when string, want relay.Event) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if last != want {
				t.Errorf("%s: event %d, want %d", when, last, want)
			}
		}
		expect("at the start", relay.Listening)
		if err := r.Put(t.Context(), toServer, []byte("anything")); err != nil {
			t.Fatal(err)
		}
		expect("after a packet", relay.Received)
		if _, err := server.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Shut()
		expect("while the relay is away", relay.Unreachable)
		r.Open()
		expect("when it is back", relay.Listening)
		second := relay.NewPipe(r.Transport(), atServer, relay.Options{
			Create: true, OnEvent: func(e relay.Event) { last = e },
		})
		expect("beside another", relay.Occupied)
		second.Close()
		server.Close()
	})
}

// TestPipeMissing: a client finds no box, says so, and its last packet is in
// the box soon after there is one, once.
func TestPipeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := relaytest.New()
		client := relay.NewPipe(r.Transport(), atClient, relay.Options{})
		defer client.Close()
		for i := range 3 {
			if err := client.Send(t.Context(), fmt.Appendf(nil, "SYN %d", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		select {
		case <-client.Missing():
		default:
			t.Fatal("the box is not missing")
		}
		if !errors.Is(client.Err(), relay.ErrNotFound) {
			t.Errorf("trouble is %v", client.Err())
		}
		server := relay.NewPipe(r.Transport(), atServer, relay.Options{Create: true})
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		packet, err := server.Recv(ctx)
		if err != nil || string(packet) != "SYN 2" {
			t.Fatalf("got %q, %v", packet, err)
		}
		if packet, err := server.Recv(ctx); err == nil {
			t.Errorf("and then %q", packet)
		}
	})
}

// TestPipeForgets: a packet that found no relay for long is not sent beside
// its own repetition.
func TestPipeForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := relaytest.New()
		server := relay.NewPipe(r.Transport(), atServer, relay.Options{Create: true})
		defer server.Close()
		synctest.Wait()
		r.Hide()
		client := relay.NewPipe(r.Transport(), atClient, relay.Options{})
		defer client.Close()
		if err := client.Send(t.Context(), []byte("old")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := client.Send(t.Context(), []byte("new")); err != nil {
			t.Fatal(err)
		}
		r.Open()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if packet, err := server.Recv(ctx); string(packet) != "new" {
			t.Errorf("got %q, %v", packet, err)
		}
		if packet, err := server.Recv(ctx); err == nil {
			t.Errorf("and then %q", packet)
		}
	})
}

// TestPipeClose: the last packets arrive, and another pipe can take over at
// once.
func TestPipeClose(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := relaytest.New()
			toRelay, fromNode := way.open(t, r)
			server := openPipe(t, fromNode, atServer, relay.Options{Create: true})
			until.True(t, "the boxes", func() bool { return r.Boxes() == 2 })
			for i := range 5 {
				client := relay.NewPipe(toRelay, atClient, relay.Options{})
				persist(t, server, client, fmt.Sprint("hello ", i))
				for _, packet := range []string{"one", "FIN"} {
					if err := client.Send(t.Context(), []byte(packet)); err != nil {
						t.Fatal(err)
					}
				}
				client.Close()
				client.Close()
				for _, want := range []string{"one", "FIN"} {
					if got, err := server.Recv(t.Context()); err != nil || string(got) != want {
						t.Fatalf("round %d: got %q, %v; want %q", i, got, err, want)
					}
				}
				if err := client.Send(t.Context(), nil); err == nil {
					t.Error("a closed pipe sends")
				}
				if _, err := client.Recv(t.Context()); err == nil {
					t.Error("a closed pipe receives")
				}
			}
		})
	}
}

func TestBoxes(t *testing.T) {
	for _, way := range []int{0, 2} {
		t.Run(ways[way].name, func(t *testing.T) {
			r := relaytest.New()
			_, node := ways[way].open(t, r)
			for range 2 {
				if err := node.Create(t.Context(), toClient); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := node.Delete(t.Context(), toClient); err != nil {
					t.Fatal(err)
				}
			}
			if r.Boxes() != 0 {
				t.Error("the box is left")
			}
		})
	}
}
