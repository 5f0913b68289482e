package mailbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// certmagic leaves a goroutine that sleeps for some seconds before it ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// testRelay is a relay on the loopback.
type testRelay struct {
	*Relay
	t    *testing.T
	addr string
	tls  *tls.Config // for clients
}

func startRelay(t *testing.T, limits Limits, change ...func(*Relay)) *testRelay {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	keeper, err := cert.Open(cert.Options{
		CertPath: filepath.Join(dir, "tls.cert"), KeyPath: filepath.Join(dir, "tls.key"), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	relay, err := New(limits, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(relay)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(relay, l, keeper.TLSConfig())
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testRelay{relay, t, l.Addr().String(), &tls.Config{InsecureSkipVerify: true}}
}

// dial returns a gRPC client with a connection of its own.
func (r *testRelay) dial() hashmailrpc.HashMailClient {
	conn, err := grpc.NewClient(r.addr, grpc.WithTransportCredentials(credentials.NewTLS(r.tls)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return hashmailrpc.NewHashMailClient(conn)
}

func box64(name string) *hashmailrpc.CipherBoxDesc {
	id := make([]byte, 64)
	copy(id, name)
	return &hashmailrpc.CipherBoxDesc{StreamId: id}
}

func authFor(desc *hashmailrpc.CipherBoxDesc) *hashmailrpc.CipherBoxAuth {
	return &hashmailrpc.CipherBoxAuth{
		Desc: desc, Auth: &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}}}
}

func (r *testRelay) create(c hashmailrpc.HashMailClient, desc *hashmailrpc.CipherBoxDesc) {
	r.t.Helper()
	answer, err := c.NewCipherBox(r.t.Context(), authFor(desc))
	if err != nil {
		r.t.Fatal(err)
	}
	if answer.GetSuccess() == nil || answer.GetSuccess().GetDesc() != nil {
		r.t.Errorf("answered %v, want success without a desc", answer)
	}
}

func wantStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	if s, _ := status.FromError(err); s.Code() != code || s.Message() != message {
		t.Errorf("got %v, want %v %q", err, code, message)
	}
}

func mustRecv(t *testing.T, from grpc.ServerStreamingClient[hashmailrpc.CipherBox], want string) {
	t.Helper()
	m, err := from.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if string(m.GetMsg()) != want {
		t.Errorf("received %q, want %q", m.GetMsg(), want)
	}
}

func TestBoxes(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	_, err := c.NewCipherBox(t.Context(), authFor(desc))
	wantStatus(t, err, codes.AlreadyExists, "stream already active")

	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range []string{"one", "", "three"} {
		if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: []byte(msg)}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	m, err := out.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if string(m.GetMsg()) != "one" || !bytes.Equal(m.GetDesc().GetStreamId(), desc.GetStreamId()) {
		t.Errorf("received %v", m)
	}
	mustRecv(t, out, "")
	mustRecv(t, out, "three")
	answer, err := in.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(answer.GetStreamId(), desc.GetStreamId()) {
		t.Errorf("the writer's answer is %v", answer)
	}

	if _, err := c.DelCipherBox(t.Context(), authFor(desc)); err != nil {
		t.Fatal(err)
	}
	_, err = out.Recv()
	wantStatus(t, err, codes.Unknown, "EOF")
	_, err = c.DelCipherBox(t.Context(), authFor(desc))
	wantStatus(t, err, codes.Unknown, "stream not found")
}

func TestIDs(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	for name, ids := range map[string][2]string{
		"short ids are padded": {"short", "short\x00\x00"},
		"long ids are cut":     {string(bytes.Repeat([]byte("x"), 64)), string(bytes.Repeat([]byte("x"), 80))},
	} {
		r.create(c, &hashmailrpc.CipherBoxDesc{StreamId: []byte(ids[0])})
		_, err := c.NewCipherBox(t.Context(), authFor(&hashmailrpc.CipherBoxDesc{StreamId: []byte(ids[1])}))
		if status.Code(err) != codes.AlreadyExists {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	r := startRelay(t, Limits{Message: 1000})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	send := func(boxes ...*hashmailrpc.CipherBox) error {
		in, err := c.SendStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			if err := in.Send(b); err != nil {
				break // the status is what counts
			}
		}
		_, err = in.CloseAndRecv()
		return err
	}
	recv := func(d *hashmailrpc.CipherBoxDesc) error {
		out, err := c.RecvStream(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = out.Recv()
		return err
	}
	create := func(a *hashmailrpc.CipherBoxAuth) error {
		_, err := c.NewCipherBox(t.Context(), a)
		return err
	}
	for name, test := range map[string]struct {
		err     error
		code    codes.Code
		message string
	}{
		"create without desc": {create(&hashmailrpc.CipherBoxAuth{}), codes.Unknown, "cipher box descriptor required"},
		"create without id": {create(&hashmailrpc.CipherBoxAuth{Desc: &hashmailrpc.CipherBoxDesc{}}),
			codes.Unknown, "stream_id required"},
		"create without auth": {create(&hashmailrpc.CipherBoxAuth{Desc: desc}), codes.Unknown, "auth type required"},
		"send without desc":   {send(&hashmailrpc.CipherBox{Msg: []byte("x")}), codes.Unknown, "cipher box descriptor required"},
		"send without id": {send(&hashmailrpc.CipherBox{Desc: &hashmailrpc.CipherBoxDesc{}}), codes.Unknown,
			"stream_id required"},
		"send to no box":      {send(&hashmailrpc.CipherBox{Desc: box64("none")}), codes.Unknown, "stream not found"},
		"receive from no box": {recv(box64("none")), codes.Unknown, "stream not found"},
		"receive without id":  {recv(&hashmailrpc.CipherBoxDesc{}), codes.Unknown, "stream_id required"},
		"too long": {send(&hashmailrpc.CipherBox{Desc: desc, Msg: make([]byte, 2000)}), codes.ResourceExhausted,
			"the message is too long"},
	} {
		t.Run(name, func(t *testing.T) { wantStatus(t, test.err, test.code, test.message) })
	}
}

// TestEveryLength: lengths around multiples of 4096 are messages like others
// (specs/lnc.md section 2.6).
func TestEveryLength(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= 24; k++ {
		for less := range 8 {
			msg := bytes.Repeat([]byte{byte(k)}, 4096*k-less)
			if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: msg}); err != nil {
				t.Fatal(err)
			}
			m, err := out.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.GetMsg(), msg) {
				t.Errorf("%d bytes arrived of %d", len(m.GetMsg()), len(msg))
			}
		}
	}
}

func TestOccupied(t *testing.T) {
	r := startRelay(t, Limits{})
	a, b := r.dial(), r.dial()
	desc := box64("a box")
	r.create(a, desc)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	in, err := a.SendStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	out, err := a.RecvStream(ctx, desc)
	if err != nil {
		t.Fatal(err)
	}
	mustRecv(t, out, "first")

	second, err := b.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Recv()
	wantStatus(t, err, codes.Unknown, "read stream occupied")
	other, err := b.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(&hashmailrpc.CipherBox{Desc: desc}); err != nil {
		t.Fatal(err)
	}
	_, err = other.CloseAndRecv()
	wantStatus(t, err, codes.Unknown, "write stream occupied")

	// Who leaves makes room, and leaves what was not read.
	leave()
	until.True(t, "both places free", func() bool {
		box, err := r.find(newID(desc.GetStreamId()))
		return err == nil && len(box.reading)+len(box.writing) == 0
	})
	other, err = b.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: []byte("second")}); err != nil {
		t.Fatal(err)
	}
	second, err = b.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	mustRecv(t, second, "second")
}

// TestDyingReader: a reader that dies takes with it what was on its way, which
// its flow control bounds, and nothing else.
func TestDyingReader(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	const count, size = 16, 30 << 10
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		msg := make([]byte, size)
		msg[0] = byte(i)
		if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: msg}); err != nil {
			t.Fatal(err)
		}
	}
	until.True(t, "all messages", func() bool { n, _ := r.queued(); return n == count })
	box, err := r.find(newID(desc.GetStreamId()))
	if err != nil {
		t.Fatal(err)
	}
	readers, next := 0, 0
	for n, _ := r.queued(); n > 0; n, _ = r.queued() {
		ctx, leave := context.WithCancel(t.Context())
		out, err := r.dial().RecvStream(ctx, desc)
		if err != nil {
			t.Fatal(err)
		}
		m, err := out.Recv()
		if err != nil {
			t.Fatal(err)
		}
		// One that was being written when its reader died may come again.
		if int(m.GetMsg()[0]) < next-1 {
			t.Errorf("message %d came after %d", m.GetMsg()[0], next-1)
		}
		readers, next = readers+1, int(m.GetMsg()[0])+1
		leave()
		until.True(t, "the reader's end", func() bool { return len(box.reading) == 0 })
	}
	// A gRPC client lets 64 KiB come unread.
	if lost := count - readers; readers < 4 || lost > readers*(64<<10)/size {
		t.Errorf("%d messages were lost to %d readers", lost, readers)
	}
}

// TestServerTimeouts: behind a server that allows requests a second, such as a
// gate may be, streams last as long as they are wanted.
func TestServerTimeouts(t *testing.T) {
	t.Parallel() // it waits
	const allowed = time.Second
	relay, err := New(Limits{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(relay.Handler())
	server.EnableHTTP2 = true
	server.Config.ReadTimeout, server.Config.WriteTimeout = allowed, allowed
	server.StartTLS()
	defer func() {
		if err := relay.Close(); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
	}()
	r := &testRelay{relay, t, server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}}
	c := r.dial()
	desc := box64("a box")
	until.True(t, "a box", func() bool { // the allowance counts for the handshake too
		_, err := c.NewCipherBox(t.Context(), authFor(desc))
		return err == nil || status.Code(err) == codes.AlreadyExists
	})
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(3 * allowed / 2)
	defer ticker.Stop()
	for range 2 {
		if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: []byte("still there")}); err != nil {
			t.Fatal(err)
		}
		mustRecv(t, out, "still there")
		<-ticker.C
	}
}
