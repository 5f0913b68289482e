package lnc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

func TestAuthHeaders(t *testing.T) {
	for _, test := range []struct {
		name, auth string
		want       map[string]string
	}{
		{"ok/one", "Macaroon: 0201", map[string]string{"macaroon": "0201"}},
		{"ok/two", "Macaroon: 0201\r\nX-More: yes\r\n", map[string]string{"macaroon": "0201", "x-more": "yes"}},
		{"fail/nothing", "", nil},
		{"fail/no value", "Macaroon", nil},
		{"fail/three parts", "Macaroon: a: b", nil},
		{"fail/other line ends", "A: b\nC: d", nil},
		{"fail/pseudo header", ":path: /", nil},
		{"fail/no name", ": b", nil},
		{"fail/control", "A: b\x00", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := AuthHeaders([]byte(test.auth)); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// answerer is a service that needs the macaroon, with a unary call, and a call
// whose reply is a stream of messages.
type answerer struct {
	hashmailrpc.UnimplementedHashMailServer
}

func allowed(ctx context.Context) error {
	p, _ := peer.FromContext(ctx)
	if info, ok := p.AuthInfo.(AuthInfo); !ok || info.Remote == nil {
		return status.Error(codes.Unauthenticated, "no key of the client")
	}
	if got := metadata.ValueFromIncomingContext(ctx, "macaroon"); len(got) != 1 || got[0] != "0201" {
		return status.Errorf(codes.PermissionDenied, "macaroon %q", got)
	}
	return nil
}

func (answerer) NewCipherBox(ctx context.Context, in *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	return &hashmailrpc.CipherInitResp{Resp: &hashmailrpc.CipherInitResp_Success{
		Success: &hashmailrpc.CipherSuccess{Desc: in.GetDesc()},
	}}, allowed(ctx)
}

func (answerer) RecvStream(in *hashmailrpc.CipherBoxDesc, stream grpc.ServerStreamingServer[hashmailrpc.CipherBox]) error {
	if err := allowed(stream.Context()); err != nil {
		return err
	}
	for i := range 1000 {
		if err := stream.Send(&hashmailrpc.CipherBox{Desc: in, Msg: bytes.Repeat([]byte{byte(i)}, 10_000)}); err != nil {
			return err
		}
	}
	return nil
}

func call(t testing.TB, client hashmailrpc.HashMailClient, data []byte) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reply, err := client.NewCipherBox(ctx, &hashmailrpc.CipherBoxAuth{
		Desc: &hashmailrpc.CipherBoxDesc{StreamId: data},
	}, grpc.WaitForReady(true))
	if err == nil && !bytes.Equal(reply.GetSuccess().GetDesc().GetStreamId(), data) {
		t.Error("another reply")
	}
	return err
}

// serveOver serves the answerer over LNC through a relay on loopback, and
// returns a client of it.
func serveOver(t testing.TB, r *relaytest.Relay) hashmailrpc.HashMailClient {
	t.Helper()
	s := newSession(t)
	s.mailbox = Mailbox{Addr: r.ServeGRPC(t), Plaintext: true}
	server := grpc.NewServer(grpc.Creds(Credentials()))
	hashmailrpc.RegisterHashMailServer(server, answerer{})
	go server.Serve(s.listen(t))
	t.Cleanup(server.Stop)
	d := s.dialer()
	conn, err := d.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		d.Close()
	})
	return hashmailrpc.NewHashMailClient(conn)
}

func TestCredentialsTakeNoOtherConnection(t *testing.T) {
	plain, _ := net.Pipe()
	if _, _, err := Credentials().ServerHandshake(plain); err == nil {
		t.Error("a server takes another connection")
	}
	if _, _, err := Credentials().ClientHandshake(t.Context(), "", plain); err == nil {
		t.Error("a client takes another connection")
	}
}

// TestGRPC calls a gRPC service through a relay that is cut and restarted.
func TestGRPC(t *testing.T) {
	r := relaytest.New()
	client := serveOver(t, r)
	for i, trouble := range []func(){func() {}, r.Cut, r.Restart} {
		trouble()
		until.True(t, "a call to succeed", func() bool { return call(t, client, []byte("hello")) == nil })
		if err := call(t, client, make([]byte, 3_000_000)); err != nil {
			t.Errorf("after trouble %d: %v", i, err)
		}
	}
	stream, err := client.RecvStream(t.Context(), &hashmailrpc.CipherBoxDesc{})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		box, err := stream.Recv()
		if err == io.EOF && i == 1000 {
			return
		}
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if !bytes.Equal(box.GetMsg(), bytes.Repeat([]byte{byte(i)}, 10_000)) {
			t.Fatalf("message %d is another", i)
		}
	}
}

// TestWebSocket pairs and comes back where the client has WebSockets only.
func TestWebSocket(t *testing.T) {
	r := relaytest.New()
	s := newSession(t)
	s.mailbox = Mailbox{Addr: r.ServeGRPC(t), Plaintext: true}
	go echo(s.listen(t))
	web := r.ServeWebSocket(t)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	d := s.dialer()
	d.Mailbox = Mailbox{Addr: web.Listener.Addr().String(), TLS: &tls.Config{RootCAs: roots}, WebSocket: true}
	defer d.Close()
	for range 3 {
		conn := dial(t, d)
		if err := exchange(conn, make([]byte, 200_000)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if !s.client.get().Confirmed {
		t.Error("the client has not come back")
	}
}

func BenchmarkUnary(b *testing.B) {
	b.Run("lnc", func(b *testing.B) {
		benchmarkUnary(b, serveOver(b, relaytest.New()))
	})
	b.Run("direct", func(b *testing.B) {
		r := relaytest.New()
		conn, err := grpc.NewClient(r.ServeGRPC(b), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		client := hashmailrpc.NewHashMailClient(conn)
		for b.Loop() {
			if _, err := client.NewCipherBox(b.Context(), &hashmailrpc.CipherBoxAuth{
				Auth: &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}},
			}); err != nil && status.Code(err) != codes.AlreadyExists {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkUnary(b *testing.B, client hashmailrpc.HashMailClient) {
	if err := call(b, client, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := call(b, client, []byte("hello")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBulk(b *testing.B) {
	client := serveOver(b, relaytest.New())
	b.SetBytes(10_000 * 1000)
	for b.Loop() {
		stream, err := client.RecvStream(b.Context(), &hashmailrpc.CipherBoxDesc{})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

func FuzzAuthHeaders(f *testing.F) {
	f.Add([]byte(auth))
	f.Add([]byte("A: b\r\nc: d\r\n:e: f"))
	f.Fuzz(func(t *testing.T, auth []byte) {
		for name, value := range AuthHeaders(auth) {
			if name != strings.ToLower(name) || strings.ContainsAny(name, ": ") || strings.ContainsAny(name+value, "\r\n\x00") {
				t.Fatalf("header %q: %q", name, value)
			}
		}
	})
}
