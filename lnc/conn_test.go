package lnc

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"golang.org/x/net/nettest"

	"github.com/leydenln/leyden/lnc/internal/noise"
)

// trusting takes the end of a connection for a clean one, as TCP does: the
// tests of nettest want that.
type trusting struct{ net.Conn }

func (c trusting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := newLinks(2)
		client, server := connect(t, a, b, true, nil)
		return trusting{client}, trusting{server}, func() {
			client.Close()
			server.Close()
		}, nil
	})
}

func TestConnTellsOfTheHandshake(t *testing.T) {
	for _, kk := range []bool{false, true} {
		a, b := newLinks(2)
		client, server := connect(t, a, b, kk, []byte("Macaroon: 00"))
		if string(client.AuthData()) != "Macaroon: 00" || server.AuthData() != nil {
			t.Errorf("auth data %q at the client, %q at the server", client.AuthData(), server.AuthData())
		}
		if client.LocalAddr().String() != server.RemoteAddr().String() ||
			client.RemoteAddr().String() != server.LocalAddr().String() ||
			!client.Remote().IsEqual(server.static) || client.LocalAddr().Network() != "lnc" {
			t.Error("the sides do not know each other")
		}
		if client.Version() != 2 || server.Version() != 2 {
			t.Error("another version than 2")
		}
	}
}

// TestConnKeepsToWhatOthersRead looks at what goes over the link.
func TestConnKeepsToWhatOthersRead(t *testing.T) {
	a, b := newLinks(100)
	client, server := connect(t, a, b, true, nil)
	var sizes []int
	a.sent = func(msg []byte) []byte {
		payload, err := decodeMsgData(msg)
		if err != nil || len(payload) == 0 || len(payload) > maxChunk+noise.Overhead || heldBack(len(msg)) {
			t.Errorf("a message of %d bytes: %v", len(msg), err)
		}
		sizes = append(sizes, len(payload))
		return msg
	}
	write := func(data []byte, want ...int) {
		t.Helper()
		sizes = nil
		if n, err := client.Write(data); err != nil || n != len(data) {
			t.Fatal(n, err)
		}
		got := make([]byte, len(data))
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes arrived otherwise: %v", len(data), err)
		}
		if len(sizes) != len(want) {
			t.Fatalf("payloads of %v bytes, want %v", sizes, want)
		}
		for i := range want {
			if sizes[i] != want[i] {
				t.Fatalf("payloads of %v bytes, want %v", sizes, want)
			}
		}
	}
	const over = noise.Overhead
	write([]byte(preface+"SETTINGS"), len(preface)+over, 8+over)
	write([]byte(preface+"SETTINGS"), len(preface)+8+over)
	write(nil)
	write(make([]byte, maxChunk+1), maxChunk+over, 1+over)
	bad := 4096 - 3 - dataHeader - msgDataHeader - over
	write(make([]byte, bad), noise.HeaderSize, bad+16)
	for size := 1; size < 3*4096; size++ {
		if _, err := client.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(server, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestActsStayWhole has auth data of every length around the bad ones.
func TestActsStayWhole(t *testing.T) {
	for size := 3900; size < 4100; size++ {
		act := make([]byte, size)
		msg := encodeAct(act)
		if heldBack(len(msg)) {
			t.Fatalf("an act of %d bytes is held back", size)
		}
		if got, err := decodeMsgData(msg); err != nil || !bytes.Equal(got, act) {
			t.Fatalf("an act of %d bytes: %v", size, err)
		}
	}
}

// TestConnReadsAnyPieces cuts the stream of records at random, which is how
// others may send it.
func TestConnReadsAnyPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a, b := newLinks(100_000)
	client, server := connect(t, a, b, true, nil)
	var stream, want []byte
	for range 200 {
		plain := make([]byte, random.IntN(2000)*random.IntN(2))
		for i := range plain {
			plain[i] = byte(random.Uint32())
		}
		want = append(want, plain...)
		stream = client.sealer.Seal(stream, plain)
	}
	for len(stream) > 0 {
		n := min(len(stream), random.IntN(1+random.IntN(3000)))
		if err := a.Send(t.Context(), encodeMsgData(stream[:n])); err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	var got []byte
	for len(got) < len(want) {
		piece := make([]byte, 1+random.IntN(700))
		n, err := server.Read(piece)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got = append(got, piece[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("other data arrived")
	}
}

// TestConnEndsWhenAltered: one wrong byte ends both directions.
func TestConnEndsWhenAltered(t *testing.T) {
	for name, alter := range map[string]func(msg []byte) []byte{
		"header":    func(msg []byte) []byte { msg[msgDataHeader] ^= 1; return msg },
		"body":      func(msg []byte) []byte { msg[len(msg)-1] ^= 1; return msg },
		"length":    func(msg []byte) []byte { msg[4]++; return msg },
		"cut":       func(msg []byte) []byte { return msg[:len(msg)-1] },
		"truncated": func(msg []byte) []byte { return msg[:3] },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newLinks(10)
			client, server := connect(t, a, b, true, nil)
			a.sent = alter
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			a.sent = nil
			if _, err := client.Write([]byte("more")); err != nil {
				t.Fatal(err)
			}
			n, err := server.Read(make([]byte, 100))
			if n != 0 || err == nil {
				t.Fatal(n, err)
			}
			if _, again := server.Read(make([]byte, 100)); again == nil {
				t.Error("reading goes on")
			}
			if _, err := server.Write([]byte("x")); err == nil {
				t.Error("writing goes on")
			}
		})
	}
}

// TestConnReplayed: what a relay repeats or swaps above the go-back-n layer is
// noticed.
func TestConnReplayed(t *testing.T) {
	a, b := newLinks(10)
	client, server := connect(t, a, b, true, nil)
	a.sent = func(msg []byte) []byte {
		a.out <- bytes.Clone(msg)
		return msg
	}
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := server.Read(got); err != nil || string(got[:n]) != "hello" {
		t.Fatal(n, err)
	}
	if n, err := server.Read(got); !errors.Is(err, noise.ErrAuthentication) {
		t.Errorf("the replay gives %q, %v", got[:n], err)
	}
}

// TestConnWriteTimeout: a write that found no room goes on with the next, and
// nothing is lost or twice there.
func TestConnWriteTimeout(t *testing.T) {
	a, b := newLinks(1)
	client, server := connect(t, a, b, true, nil)
	data := make([]byte, 10*maxChunk)
	for i := range data {
		data[i] = byte(i / 100)
	}
	var n int
	var err error
	for within := 20 * time.Millisecond; n == 0; within *= 2 { // a busy machine may be too late for any
		if err = client.SetWriteDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		n, err = client.Write(data)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == len(data) {
		t.Fatal(n, err)
	}
	if m, err := client.Write(data[n:]); m != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(m, err)
	}
	done := make(chan error, 1)
	go func() {
		client.SetWriteDeadline(time.Time{})
		_, err := client.Write(data[n:])
		done <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other data arrived, %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestConnEnd: nobody vouches for the end of a connection.
func TestConnEnd(t *testing.T) {
	a, b := newLinks(10)
	client, server := connect(t, a, b, true, nil)
	if _, err := client.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	client.Close()
	got := make([]byte, 100)
	if n, err := server.Read(got); err != nil || string(got[:n]) != "last words" {
		t.Fatal(n, err)
	}
	if _, err := server.Read(got); err != io.ErrUnexpectedEOF {
		t.Errorf("the end reads %v", err)
	}
	if _, err := client.Read(got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed, reading gives %v", err)
	}
	if _, err := client.Write(got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed, writing gives %v", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestHandshakeOverALink(t *testing.T) {
	t.Run("fail/keys are not kept", func(t *testing.T) {
		a, b := newLinks(10)
		client, server, _, _ := handshakes(t, false, nil)
		full := errors.New("the disk is full")
		var acts int
		a.sent = func(msg []byte) []byte { acts++; return msg }
		go secure(t.Context(), b, server, func(*btcec.PublicKey) error { return nil })
		err := secure(t.Context(), a, client, func(*btcec.PublicKey) error { return full })
		if !errors.Is(err, full) || acts != 1 {
			t.Errorf("%d acts and %v", acts, err)
		}
	})
	t.Run("fail/no act", func(t *testing.T) {
		a, b := newLinks(10)
		_, server, _, _ := handshakes(t, false, nil)
		if err := a.Send(t.Context(), []byte{0, 0, 0, 0, 9}); err != nil {
			t.Fatal(err)
		}
		err := secure(t.Context(), b, server, nil)
		if !errors.Is(err, errMsgData) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("fail/silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, b := newLinks(10)
			_, server, _, _ := handshakes(t, false, nil)
			begin := time.Now()
			err := secure(t.Context(), b, server, nil)
			if !errors.Is(err, errInterrupted) || time.Since(begin) != actTimeout {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		})
	})
	t.Run("fail/hangs up", func(t *testing.T) {
		a, b := newLinks(10)
		_, server, _, _ := handshakes(t, false, nil)
		a.Close()
		err := secure(t.Context(), b, server, nil)
		if err == nil || !strings.Contains(err.Error(), "await an act") {
			t.Errorf("got %v", err)
		}
	})
}
