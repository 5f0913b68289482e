package lnc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

const auth = "Macaroon: 0201"

// kept is what one side keeps.
type kept struct {
	mu       sync.Mutex
	identity Identity
	times    int
	fail     error
}

func (k *kept) keep(identity Identity) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.times++
	k.identity = identity
	return nil
}

func (k *kept) get() Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.identity
}

// session is a phrase and what both sides keep, over a relay.
type session struct {
	relay          *relaytest.Relay
	mailbox        Mailbox
	phrase         Phrase
	client, server kept
	stretched      *password // instead of stretching, which takes long
}

func newSession(t testing.TB) *session {
	r := relaytest.New()
	return &session{
		relay:     r,
		mailbox:   Mailbox{transport: r.Transport},
		phrase:    NewPhrase(),
		server:    kept{identity: Identity{Static: newKey(t)}},
		stretched: stretchedTo(5),
	}
}

func stretchedTo(b byte) *password {
	p := &password{done: make(chan struct{}), key: [32]byte{b}}
	close(p.done)
	return p
}

func (s *session) dialer() *Dialer {
	return &Dialer{Mailbox: s.mailbox, Phrase: s.phrase, Identity: s.client.get(), Persist: s.client.keep,
		password: s.stretched}
}

func (s *session) listen(t testing.TB) *Listener {
	t.Helper()
	l, err := newListener(ListenerConfig{Mailbox: s.mailbox, Phrase: s.phrase, Identity: s.server.get(),
		Persist: s.server.keep, AuthData: []byte(auth)})
	if err != nil {
		t.Fatal(err)
	}
	l.password = s.stretched
	go l.run()
	t.Cleanup(func() { l.Close() })
	return l
}

// pair has both sides know each other's key.
func (s *session) pair(t testing.TB) {
	static := newKey(t)
	s.client.identity = Identity{Static: static, Remote: s.server.identity.Static.PubKey(), Confirmed: true}
	s.server.identity.Remote = static.PubKey()
}

// echo answers on every connection what it hears.
func echo(l *Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

func dial(t testing.TB, d *Dialer) *Conn {
	t.Helper()
	conn, err := dialWithin(t, d, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func dialWithin(t testing.TB, d *Dialer, patience time.Duration) (*Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return d.Dial(ctx)
}

// exchange sends data and awaits its echo.
func exchange(conn net.Conn, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(conn, got); err != nil {
		conn.Close()
		<-sent
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("%w: %d bytes came back as others", errWrong, len(data))
	}
	return <-sent
}

var errWrong = errors.New("wrong data")

// places returns the boxes of the phrase and of the keys.
func (s *session) places() (phrase, keys []relay.ID) {
	a, b := s.phrase.StreamIDs()
	phrase = []relay.ID{relay.ID(a), relay.ID(b)}
	if client := s.client.get(); client.Remote != nil {
		a, b = StaticStreamIDs(client.Static, client.Remote)
		keys = []relay.ID{relay.ID(a), relay.ID(b)}
	}
	return phrase, keys
}

func (s *session) has(ids []relay.ID) bool {
	return len(ids) == 2 && s.relay.Has(ids[0]) && s.relay.Has(ids[1])
}

// TestPairing: the first connection is by the phrase, all others by the keys,
// at other boxes.
func TestPairing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		l := s.listen(t)
		go echo(l)
		d := s.dialer()
		for i := range 4 {
			conn := dial(t, d)
			if string(conn.AuthData()) != auth {
				t.Errorf("auth data %q", conn.AuthData())
			}
			if err := exchange(conn, make([]byte, 100_000)); err != nil {
				t.Fatal(err)
			}
			client, server := s.client.get(), s.server.get()
			if client.Remote == nil || !client.Remote.IsEqual(server.Static.PubKey()) ||
				server.Remote == nil || !server.Remote.IsEqual(client.Static.PubKey()) {
				t.Fatalf("connection %d: the keys are not kept", i)
			}
			if client.Confirmed != (i > 0) {
				t.Errorf("connection %d: confirmed %v", i, client.Confirmed)
			}
			phrase, keys := s.places()
			if s.has(phrase) != (i == 0) || !s.has(keys) {
				t.Errorf("connection %d: other boxes", i)
			}
			conn.Close()
		}
		if s.client.times != 2 || s.server.times != 1 {
			t.Errorf("kept %d and %d times", s.client.times, s.server.times)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if n := s.relay.Boxes(); n != 0 {
			t.Errorf("%d boxes are left", n)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed, it accepts: %v", err)
		}
		d.Close()
	})
	t.Run("ok/closed before the client comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			l := s.listen(t)
			go echo(l)
			d := s.dialer()
			defer d.Close()
			dial(t, d)
			l.Close()
			if n := s.relay.Boxes(); n != 0 {
				t.Errorf("%d boxes are left", n)
			}
		})
	})
}

// TestPairingIsQuick: neither side waits for a timer where nothing is lost, not
// even when they move from the phrase's boxes to their own.
func TestPairingIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		go echo(s.listen(t))
		synctest.Wait()
		d := s.dialer()
		defer d.Close()
		for i := range 3 {
			begin := time.Now()
			conn := dial(t, d)
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("connection %d took %v of the clock", i, took)
			}
			if err := exchange(conn, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			conn.Close()
		}
	})
}

// TestPairingInterrupted: whichever side forgets, or has kept what the other
// has not, the session goes on.
func TestPairingInterrupted(t *testing.T) {
	t.Run("ok/act 3 did not arrive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.client.identity = Identity{Static: newKey(t), Remote: s.server.identity.Static.PubKey()}
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			for range 2 {
				conn := dial(t, d)
				if err := exchange(conn, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				conn.Close()
			}
			if !s.client.get().Confirmed {
				t.Error("not confirmed")
			}
		})
	})
	t.Run("ok/the client keeps nothing at first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			go echo(s.listen(t))
			s.client.fail = errors.New("the disk is full")
			d := s.dialer()
			if _, err := d.Dial(t.Context()); !errors.Is(err, s.client.fail) {
				t.Fatalf("got %v", err)
			}
			d.Close()
			if s.server.get().Remote != nil {
				t.Fatal("the node has what the client has not kept")
			}
			s.client.fail = nil
			d = s.dialer()
			defer d.Close()
			dial(t, d).Close()
		})
	})
	t.Run("ok/the node keeps nothing at first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.server.fail = errors.New("the disk is full")
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			conn := dial(t, d)
			if err := exchange(conn, []byte("hello")); err == nil {
				t.Fatal("a node without keys serves")
			}
			conn.Close()
			s.server.mu.Lock()
			s.server.fail = nil
			s.server.mu.Unlock()
			conn = dial(t, d)
			if err := exchange(conn, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	})
	t.Run("fail/another node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.client.identity = Identity{Static: newKey(t), Remote: newKey(t).PubKey()}
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			if _, err := d.Dial(t.Context()); !errors.Is(err, ErrAnotherNode) {
				t.Fatalf("got %v", err)
			}
			if s.server.get().Remote != nil {
				t.Error("the node is paired all the same")
			}
		})
	})
}

// TestDialPerseveres: an attempt that is cut off in its middle, or whose acts
// somebody has spoilt, is not the last.
func TestDialPerseveres(t *testing.T) {
	for name, spoil := range map[string]func(act []byte) []byte{
		"FIN instead of an act": func([]byte) []byte { return []byte{5} },
		"another act": func(act []byte) []byte {
			act[len(act)-1] ^= 1
			return act
		},
		"half an act": func(act []byte) []byte { return act[:len(act)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSession(t)
				var mu sync.Mutex
				cut := 3
				s.relay.Spoil = func(_ relay.ID, msg []byte, deliver func([]byte)) {
					mu.Lock()
					defer mu.Unlock()
					if len(msg) > 40 && cut > 0 {
						cut--
						msg = spoil(bytes.Clone(msg))
					}
					deliver(msg)
				}
				go echo(s.listen(t))
				d := s.dialer()
				defer d.Close()
				conn := dial(t, d)
				if err := exchange(conn, []byte("hello")); err != nil || cut > 0 {
					t.Errorf("%v, with %d acts yet to be spoilt", err, cut)
				}
			})
		})
	}
}

func TestDialFails(t *testing.T) {
	dialFor := func(t *testing.T, d *Dialer, patience time.Duration) error {
		conn, err := dialWithin(t, d, patience)
		if err == nil {
			conn.Close()
		}
		return err
	}
	check := func(t *testing.T, err error, want ...error) {
		t.Helper()
		for _, w := range want {
			if !errors.Is(err, w) {
				t.Errorf("got %v, which is not %v", err, w)
			}
		}
	}
	for name, paired := range map[string]bool{"fail/no node": false, "fail/no node any more": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSession(t)
				if paired {
					s.pair(t)
				}
				d := s.dialer()
				defer d.Close()
				check(t, dialFor(t, d, 10*time.Second), ErrNotFound, context.DeadlineExceeded)
			})
		})
	}
	t.Run("fail/neither place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.client.identity = Identity{Static: newKey(t), Remote: newKey(t).PubKey()}
			d := s.dialer()
			defer d.Close()
			check(t, dialFor(t, d, 10*time.Second), ErrNotFound, context.DeadlineExceeded)
		})
	})
	t.Run("fail/no relay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.relay.Shut()
			d := s.dialer()
			defer d.Close()
			check(t, dialFor(t, d, 10*time.Second), context.DeadlineExceeded)
		})
	})
	t.Run("fail/somebody else is there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.pair(t)
			go echo(s.listen(t))
			first, second := s.dialer(), s.dialer()
			defer first.Close()
			defer second.Close()
			conn := dial(t, first)
			check(t, dialFor(t, second, 10*time.Second), ErrOccupied, context.DeadlineExceeded)
			if err := exchange(conn, []byte("undisturbed")); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("fail/while another is open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.pair(t)
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			conn := dial(t, d)
			check(t, dialFor(t, d, time.Second), context.DeadlineExceeded)
			if err := exchange(conn, []byte("undisturbed")); err != nil {
				t.Error(err)
			}
			conn.Close()
			check(t, dialFor(t, d, 10*time.Second))
			d.Close()
			check(t, dialFor(t, d, 10*time.Second), net.ErrClosed)
		})
	})
	for name, d := range map[string]*Dialer{
		"fail/no phrase":        {Mailbox: Mailbox{Addr: "localhost:1"}},
		"fail/no relay address": {Phrase: NewPhrase()},
		"fail/no key":           {Mailbox: Mailbox{Addr: "localhost:1"}, Identity: Identity{Remote: newKey(t).PubKey()}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := dialFor(t, d, time.Minute); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			d.Close()
		})
	}
}

func TestNewListenerRefuses(t *testing.T) {
	good := func() ListenerConfig {
		return ListenerConfig{Mailbox: Mailbox{Addr: "localhost:1"}, Phrase: NewPhrase(), Identity: Identity{Static: newKey(t)}}
	}
	for name, spoil := range map[string]func(*ListenerConfig){
		"fail/no key":        func(c *ListenerConfig) { c.Identity.Static = nil },
		"fail/no phrase":     func(c *ListenerConfig) { c.Phrase = Phrase{} },
		"fail/no relay":      func(c *ListenerConfig) { c.Mailbox.Addr = "" },
		"fail/web socket":    func(c *ListenerConfig) { c.Mailbox.WebSocket = true },
		"fail/too much auth": func(c *ListenerConfig) { c.AuthData = make([]byte, 64<<10+1) },
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			spoil(&config)
			if l, err := NewListener(config); err == nil {
				l.Close()
				t.Error("it listens")
			}
		})
	}
}

// TestStatus follows both sides' status through a session.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		var mu sync.Mutex
		last := map[string]Status{}
		watch := func(who string) func(Status) {
			return func(status Status) {
				mu.Lock()
				defer mu.Unlock()
				last[who] = status
			}
		}
		expect := func(when string, client, server Status) {
			t.Helper()
			time.Sleep(3 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			if last["client"] != client || last["server"] != server {
				t.Errorf("%s: client %v, node %v; want %v, %v", when, last["client"], last["server"], client, server)
			}
		}
		d := s.dialer()
		d.OnStatus = watch("client")
		ctx, cancel := context.WithCancel(t.Context())
		go d.Dial(ctx)
		expect("without a node", StatusNotFound, StatusDisconnected)
		cancel()
		expect("given up", StatusDisconnected, StatusDisconnected)
		l, err := NewListener(ListenerConfig{Mailbox: s.mailbox, Identity: s.server.get(), OnStatus: watch("server")})
		if err != nil {
			t.Fatal(err)
		}
		go echo(l)
		expect("listening", StatusDisconnected, StatusIdle)
		conn := dial(t, d)
		expect("connected", StatusInUse, StatusInUse)
		conn.Close()
		expect("over", StatusDisconnected, StatusIdle)
		l.Close()
		expect("closed", StatusDisconnected, StatusDisconnected)
		d.Close()
	})
}

// TestCloseAnytime: whatever the two sides are at, in the midst of a handshake
// as well, a Close or the end of a context ends it within seconds, and leaves
// nothing that goes on, nor a box.
func TestCloseAnytime(t *testing.T) {
	for round := range roundsOf(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(round), 31))
			s := newSession(t)
			if round%2 == 0 {
				s.pair(t)
			}
			delay := time.Duration(1 + random.Int64N(int64(200*time.Millisecond)))
			s.relay.Spoil = func(_ relay.ID, msg []byte, deliver func([]byte)) {
				time.AfterFunc(delay, func() { deliver(msg) })
			}
			l := s.listen(t)
			go echo(l)
			d := s.dialer()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if conn, err := d.Dial(ctx); err == nil {
					exchange(conn, make([]byte, 100_000))
				}
			}()
			time.Sleep(time.Duration(random.Int64N(int64(10 * delay))))
			begin := time.Now()
			for _, close := range [][]func(){
				{cancel, func() { d.Close() }, func() { l.Close() }},
				{func() { l.Close() }, func() { d.Close() }},
				{func() { d.Close() }, func() { l.Close() }},
				{s.relay.Shut, func() { d.Close() }, func() { l.Close() }},
			}[random.IntN(4)] {
				close()
			}
			<-done
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("round %d: closing took %v", round, took)
			}
			if n := s.relay.Boxes(); n > 0 {
				t.Errorf("round %d: %d boxes are left", round, n)
			}
		})
		if t.Failed() {
			return
		}
	}
}
