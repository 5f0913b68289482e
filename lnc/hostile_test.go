package lnc

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

// TestNodeRestarts and TestRelayRestarts: the session goes on.
func TestNodeRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		d := s.dialer()
		defer d.Close()
		for range 3 {
			l := s.listen(t)
			go echo(l)
			for range 2 {
				conn := dial(t, d)
				if err := exchange(conn, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				conn.Close()
			}
			conn := dial(t, d)
			l.Close()
			if err := exchange(conn, []byte("hello")); err == nil || errors.Is(err, errWrong) {
				t.Errorf("after the node has gone: %v", err)
			}
		}
	})
}

// TestNodeSaysGoodbye: a client need not find out by itself that the node has
// closed the session, even if what passes takes its time.
func TestNodeSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		s.relay.Spoil = func(_ relay.ID, msg []byte, deliver func([]byte)) {
			time.AfterFunc(100*time.Millisecond, func() { deliver(msg) })
		}
		l := s.listen(t)
		go echo(l)
		d := s.dialer()
		defer d.Close()
		conn := dial(t, d)
		l.Close()
		begin := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF || time.Since(begin) > time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestRelayRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		go echo(s.listen(t))
		d := s.dialer()
		defer d.Close()
		conn := dial(t, d)
		for _, trouble := range []func(){
			s.relay.Cut,
			s.relay.Restart,
			func() { s.relay.Shut(); time.AfterFunc(4*time.Second, s.relay.Open) },
		} {
			trouble()
			if err := exchange(conn, make([]byte, 300_000)); err != nil {
				t.Fatalf("a short trouble ends the connection: %v", err)
			}
		}
		s.relay.Shut()
		if err := exchange(conn, []byte("hello")); err == nil {
			t.Fatal("no relay, and an echo")
		}
		time.AfterFunc(time.Minute, s.relay.Open)
		conn, err := dialWithin(t, d, 2*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := exchange(conn, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

// TestStreamsAreCut: public relays end every stream after some seconds, and
// one connection goes on through all of it.
func TestStreamsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		s.relay.StreamLife = 15 * time.Second
		go echo(s.listen(t))
		d := s.dialer()
		defer d.Close()
		conn := dial(t, d)
		for range 100 {
			if err := exchange(conn, make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}
		conn.Close()
	})
}

// TestClientVanishes: a client that is gone without a word, as one whose
// machine sleeps, finds the node again soon after it is back.
func TestClientVanishes(t *testing.T) {
	for _, away := range []time.Duration{0, 3 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.pair(t)
			go echo(s.listen(t))
			gone := s.dialer()
			conn := dial(t, gone)
			gone.transport.Close() // its way to the relay ends, without FIN
			time.Sleep(away)
			begin := time.Now()
			d := s.dialer()
			again := dial(t, d)
			if took := time.Since(begin); took > 1500*time.Millisecond {
				t.Errorf("back after %v it took %v", away, took)
			}
			if err := exchange(again, []byte("hello")); err != nil {
				t.Error(err)
			}
			again.Close()
			conn.Close()
			d.Close()
			gone.Close()
		})
	}
}

// TestWayDies: a way to the relay that is dead without a word is given up, by
// both sides.
func TestWayDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		go echo(s.listen(t))
		d := s.dialer()
		defer d.Close()
		for range 2 {
			conn := dial(t, d)
			if err := exchange(conn, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			s.relay.Freeze()
			begin := time.Now()
			if err := exchange(conn, []byte("hello")); err == nil {
				t.Fatal("an echo over nothing")
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("it took %v to notice", took)
			}
			conn.Close()
		}
	})
}

// TestHostileRelay: what a relay forges, repeats and keeps for later ends
// connections at the most. The session lives when it stops.
func TestHostileRelay(t *testing.T) {
	for round := range 100 {
		synctest.Test(t, func(t *testing.T) {
			random, relayRandom := rand.New(rand.NewPCG(uint64(round), 3)), rand.New(rand.NewPCG(uint64(round), 4))
			s := newSession(t)
			if round%2 == 0 {
				s.pair(t)
			}
			var mu sync.Mutex
			var seen [][]byte
			hostile := true
			s.relay.Spoil = func(_ relay.ID, msg []byte, deliver func([]byte)) {
				mu.Lock()
				seen = append(seen, bytes.Clone(msg))
				forge := hostile && relayRandom.IntN(8) == 0
				old := seen[relayRandom.IntN(len(seen))]
				forged := forgery(relayRandom, old)
				mu.Unlock()
				deliver(msg)
				if forge {
					deliver(forged)
				}
			}
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			for range 3 {
				err := tryOnce(t, d, random)
				if errors.Is(err, errWrong) {
					t.Errorf("round %d: %v", round, err)
				}
			}
			mu.Lock()
			hostile = false
			mu.Unlock()
			if err := finally(t, d); err != nil {
				t.Errorf("round %d: the session is lost: %v", round, err)
			}
		})
	}
}

// forgery returns a packet of somebody who has seen others.
func forgery(random *rand.Rand, old []byte) []byte {
	seq := byte(random.IntN(24))
	data := func(msg []byte) []byte { return slices.Concat([]byte{2, seq, 1, 0}, msg) }
	switch random.IntN(12) {
	case 0:
		return []byte{1, byte(random.Uint32())}
	case 1:
		return []byte{1, 20}
	case 2:
		return []byte{3, seq}
	case 3:
		return []byte{4, seq}
	case 4:
		return []byte{5}
	case 5:
		return []byte{6}
	case 6:
		return data(encodeMsgData(make([]byte, random.IntN(60_000))))
	case 7:
		return data([]byte{0, 0xff, 0xff, 0xff, 0xff})
	case 8:
		return data(encodeMsgData(nil))
	case 9:
		return []byte{2, seq, 0, 1}
	case 10:
		return make([]byte, random.IntN(90_000))
	}
	return old
}

// TestForgedPairing: whoever has the relay, and not the phrase, is no party to
// the pairing.
func TestForgedPairing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		go echo(s.listen(t))
		thief := &Dialer{Mailbox: s.mailbox, Phrase: s.phrase, password: stretchedTo(6)}
		defer thief.Close()
		if conn, err := dialWithin(t, thief, time.Minute); err == nil {
			conn.Close()
			t.Fatal("another password pairs")
		}
		if s.server.get().Remote != nil {
			t.Fatal("the node has a thief's key")
		}
		d := s.dialer()
		defer d.Close()
		dial(t, d).Close()

		static := newKey(t)
		impostor := &Dialer{Mailbox: s.mailbox, Identity: Identity{Static: static, Remote: s.server.get().Static.PubKey()}}
		defer impostor.Close()
		if conn, err := dialWithin(t, impostor, time.Minute); err == nil {
			conn.Close()
			t.Fatal("another key connects")
		}
		if !s.server.get().Remote.IsEqual(s.client.get().Static.PubKey()) {
			t.Error("the node has another key")
		}
	})
}

// TestMemoryIsBounded: a relay that delivers records without end, and never a
// whole one, costs no more than one.
func TestMemoryIsBounded(t *testing.T) {
	a, b := newLinks(1)
	client, server := connect(t, a, b, true, nil)
	record := client.sealer.Seal(nil, make([]byte, 65535))
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Read(make([]byte, 1))
	}()
	for i := range len(record) - 1 {
		if i%10 == 0 {
			if err := a.Send(t.Context(), encodeMsgData(record[i:min(i+10, len(record)-1)])); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 1000 {
		if err := a.Send(t.Context(), encodeMsgData(nil)); err != nil {
			t.Fatal(err)
		}
	}
	server.Close()
	<-done
	if c := cap(server.wire); c > 3*len(record) {
		t.Errorf("%d bytes are kept of a record of %d", c, len(record))
	}
}
