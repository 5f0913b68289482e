package gbn

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect opens a connection over a pipe without faults other than f.
func connect(t *testing.T, f faults, opts Options) (client, server *Conn, ce, se end) {
	t.Helper()
	ce, se = pair(1, f)
	accepted := make(chan *Conn, 1)
	go func() {
		c, err := Accept(t.Context(), se, opts)
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := Dial(t.Context(), ce, opts)
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted, ce, se
}

func wantErr(t *testing.T, c *Conn, want error) {
	t.Helper()
	<-c.Done()
	if err := c.Err(); !errors.Is(err, want) {
		t.Errorf("ended with %v, want %v", err, want)
	}
}

func mustRecv(t *testing.T, c *Conn, want string) {
	t.Helper()
	got, err := c.Recv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("received %q, want %q", got, want)
	}
}

func mustSend(t *testing.T, c *Conn, msg string) {
	t.Helper()
	if err := c.Send(t.Context(), []byte(msg)); err != nil {
		t.Fatal(err)
	}
}

// TestTrace holds the packets of a first exchange against those observed
// between other implementations (specs/lnc.md section 9).
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, se := connect(t, faults{}, Options{})
		mustSend(t, client, "act 1")
		mustRecv(t, server, "act 1")
		mustSend(t, server, "act 2")
		mustRecv(t, client, "act 2")
		synctest.Wait()
		client.Close()
		wantErr(t, server, ErrPeerClosed)
		server.Close()
		for name, test := range map[string]struct {
			got  *link
			want []string
		}{
			"client": {ce.out, []string{"\x01\x14", "\x06", "\x02\x00\x01\x00act 1", "\x03\x00", "\x05"}},
			"server": {se.out, []string{"\x01\x14", "\x03\x00", "\x02\x00\x01\x00act 2"}},
		} {
			var got []string
			for _, p := range test.got.sent {
				got = append(got, string(p))
			}
			if len(got) != len(test.want) {
				t.Errorf("the %s sent %q, want %q", name, got, test.want)
				continue
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("the %s sent %q as packet %d, want %q", name, got[i], i, test.want[i])
				}
			}
		}
	})
}

func TestFirstPacketLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, _ := connect(t, faults{}, Options{})
		ce.out.set(faults{lose: 1})
		mustSend(t, client, "hello")
		synctest.Wait()
		ce.out.set(faults{})
		mustRecv(t, server, "hello")
		client.Close()
		server.Close()
	})
}

func TestBulkIsNotResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, _ := connect(t, faults{delay: 10 * time.Millisecond}, Options{})
		const count = 2000
		go func() {
			for range count {
				if err := client.Send(t.Context(), make([]byte, 1000)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		began := time.Now()
		for range count {
			if _, err := server.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := ce.out.count(kindDATA); n != count {
			t.Errorf("%d DATA packets for %d messages", n, count)
		}
		// 17 of a window of 20 each round trip of 20 ms.
		if d := time.Since(began); d > count/17*21*time.Millisecond {
			t.Errorf("took %v", d)
		}
		client.Close()
		server.Close()
	})
}

// TestSlowReader: a peer that does not read makes the sender wait, for as long
// as it likes, within a bound on memory; and then gets everything.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, _ := connect(t, faults{delay: time.Millisecond}, Options{})
		const count = 200
		msg := bytes.Repeat([]byte("x"), 32<<10)
		sent := make(chan int, count)
		go func() {
			for i := range count {
				if err := client.Send(t.Context(), msg); err != nil {
					t.Error(err)
					return
				}
				sent <- i
			}
		}()
		time.Sleep(10 * time.Minute)
		server.mu.Lock()
		waiting := server.m.recv.bytes
		server.mu.Unlock()
		if waiting > queueBytes+(defaultWindow+1)*len(msg) {
			t.Errorf("%d bytes wait", waiting)
		}
		if n := len(sent); n == count {
			t.Errorf("all %d messages were accepted though nobody reads", n)
		}
		for range count {
			if got, err := server.Recv(t.Context()); err != nil || !bytes.Equal(got, msg) {
				t.Fatal(err)
			}
		}
		client.Close()
		server.Close()
	})
}

func TestDeadPeer(t *testing.T) {
	for name, silent := range map[string]func(ce, se end){
		"ok/nothing arrives at either": func(ce, se end) { ce.out.set(faults{lose: 1}); se.out.set(faults{lose: 1}) },
		"ok/nothing leaves the server": func(_, se end) { se.out.set(faults{lose: 1}) },
		"ok/nothing leaves the client": func(ce, _ end) { ce.out.set(faults{lose: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, ce, se := connect(t, faults{}, Options{})
				silent(ce, se)
				began := time.Now()
				<-client.Done()
				<-server.Done()
				if d := time.Since(began); d > 13*time.Second {
					t.Errorf("took %v", d)
				}
				if a, b := client.Err(), server.Err(); !errors.Is(a, ErrDead) && !errors.Is(b, ErrDead) {
					t.Errorf("ended with %v and %v", a, b)
				}
				if err := client.Send(t.Context(), nil); !errors.Is(err, client.Err()) {
					t.Errorf("Send: %v", err)
				}
				if _, err := server.Recv(t.Context()); !errors.Is(err, server.Err()) {
					t.Errorf("Recv: %v", err)
				}
				client.Close()
				server.Close()
			})
		})
	}
}

// TestReopened: a peer whose way out was cut unseen in the silence, which learns of
// it when asked a second time and opens another two seconds later, as others do, is
// not taken for dead.
func TestReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, se := connect(t, faults{}, Options{})
		ce.out.set(faults{lose: 1})
		pings := se.out.count(kindDATA)
		for se.out.count(kindDATA) < pings+2 { // asked, and asked again
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2*time.Second + 500*time.Millisecond)
		ce.out.set(faults{})
		mustSend(t, client, "here again")
		mustRecv(t, server, "here again")
		client.Close()
		server.Close()
	})
}

// TestIdle: an idle connection lives, on the server's pings.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, se := connect(t, faults{delay: time.Millisecond}, Options{})
		time.Sleep(time.Hour)
		pings, probes := se.out.count(kindDATA), ce.out.count(kindDATA)
		if pings < 500 || pings > 720 {
			t.Errorf("%d pings of the server in an hour, want one in 5 s of silence", pings)
		}
		if probes > 181 {
			t.Errorf("%d packets of the client in an hour, want one in 20 s at most", probes)
		}
		mustSend(t, client, "still there")
		mustRecv(t, server, "still there")
		client.Close()
		server.Close()
	})
}

func TestRestartedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ce, se := connect(t, faults{delay: time.Millisecond}, Options{})
		mustSend(t, server, "never read")
		synctest.Wait()
		// The client dies without a word; another one comes.
		ce.out.set(faults{lose: 1})
		client.Close()
		ce.out.set(faults{delay: time.Millisecond})
		dialed := make(chan *Conn, 1)
		go func() {
			c, err := Dial(t.Context(), ce, Options{})
			if err != nil {
				t.Error(err)
			}
			dialed <- c
		}()
		wantErr(t, server, ErrRestarted)
		server.Close()
		began := time.Now()
		server, err := Accept(t.Context(), se, Options{SYN: server.SYN()})
		if err != nil {
			t.Fatal(err)
		}
		client = <-dialed
		if d := time.Since(began); d > 100*time.Millisecond {
			t.Errorf("the SYN was not answered at once but after %v", d)
		}
		mustSend(t, server, "hello")
		mustRecv(t, client, "hello")
		client.Close()
		server.Close()
	})
}

// TestStalePackets: what an old connection left in the pipe does not disturb
// the next one.
func TestStalePackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ce, se := pair(1, faults{})
		for _, p := range []string{"\x02\x00\x01\x00old", "\x03\x00", "\x04\x00", "\x05", "\x06", "\x99", ""} {
			_ = ce.Send(t.Context(), []byte(p))
			_ = se.Send(t.Context(), []byte(p))
		}
		accepted := make(chan *Conn, 1)
		go func() {
			c, err := Accept(t.Context(), se, Options{})
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		synctest.Wait()
		client, err := Dial(t.Context(), ce, Options{})
		if err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		mustSend(t, client, "new")
		mustRecv(t, server, "new")
		mustSend(t, server, "new too")
		mustRecv(t, client, "new too")
		client.Close()
		server.Close()
	})
}

func TestWindowOfOthers(t *testing.T) {
	for _, window := range []int{1, 2, 20, 254} {
		synctest.Test(t, func(t *testing.T) {
			client, server, _, _ := connect(t, faults{delay: time.Millisecond, lose: 0.01}, Options{Window: window})
			go func() {
				for i := range 1000 {
					if err := client.Send(t.Context(), message(1, uint64(i))); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			if err := recvAll(t.Context(), server, 1, 1000); err != nil {
				t.Errorf("window %d: %v", window, err)
			}
			client.Close()
			server.Close()
		})
	}
	ce, _ := pair(1, faults{})
	for _, window := range []int{-1, 255} {
		if _, err := Dial(t.Context(), ce, Options{Window: window}); err == nil {
			t.Errorf("dialed with a window of %d", window)
		}
	}
}

func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ce, se := pair(1, faults{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Dial(ctx, ce, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
		if n := ce.out.count(kindSYN); n < 8 || n > 12 {
			t.Errorf("%d SYNs in a minute", n)
		}
		ce.out.cut()
		if _, err := Dial(t.Context(), ce, Options{}); !errors.Is(err, errCut) {
			t.Errorf("Dial over a pipe that was cut: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Accept(ctx, se, Options{}); !errors.Is(err, errCut) {
			t.Errorf("Accept: %v", err)
		}

		client, server, _, _ := connect(t, faults{}, Options{})
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := server.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Recv: %v", err)
		}
		if err := client.Send(t.Context(), make([]byte, defaultMaxMessage+1)); !errors.Is(err, ErrTooLong) {
			t.Errorf("Send of too much: %v", err)
		}
		var err error
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for err == nil {
			err = client.Send(ctx, make([]byte, 10000))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		client.Close()
		if err := client.Send(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		if _, err := client.Recv(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Recv after Close: %v", err)
		}
		server.Close()
	})
}

// TestCloseDelivers: what was accepted before Close is written before the FIN,
// and what arrived before the FIN can be read after it.
func TestCloseDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, _ := connect(t, faults{delay: time.Millisecond}, Options{})
		for i := range uint64(10) {
			if err := client.Send(t.Context(), message(1, i)); err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
		wantErr(t, server, ErrPeerClosed)
		if err := recvAll(t.Context(), server, 1, 10); err != nil {
			t.Error(err)
		}
		if _, err := server.Recv(t.Context()); !errors.Is(err, ErrPeerClosed) {
			t.Error(err)
		}
		server.Close()
	})
}

// blocked is a pipe that takes nothing until its context ends.
type blocked struct{ end }

func (b blocked) Send(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestCloseOfBlockedPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, se := pair(1, faults{})
		b := blocked{se}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := Dial(ctx, b, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(began); d > 61*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}
