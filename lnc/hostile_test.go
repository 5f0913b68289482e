package lnc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/gbn"
	"github.com/leydenln/leyden/lnc/internal/noise"
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

var sieges = flag.Int("sieges", 500, "how many rounds with a hostile relay")

// TestHostileRelay: what a relay forges, repeats, turns back and keeps for
// later ends connections at the most. The session lives when it stops.
func TestHostileRelay(t *testing.T) {
	n := roundsOf(*sieges)
	var deeds [habits]int
	whole, ended := 0, 0
	for round := range n {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			if round%2 == 0 {
				s.pair(t)
			}
			e := newEnemy(s.relay, rand.New(rand.NewPCG(uint64(round), 4)))
			w, f := besiege(t, s, e, s.dialer(), uint64(round), 3)
			whole, ended = whole+w, ended+f
			for i := range deeds {
				deeds[i] += e.deeds[i]
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d connections were whole, %d ended; deeds %v", whole, ended, deeds)
	if whole < n/4 || ended < n/4 {
		t.Errorf("%d whole and %d ended connections prove little", whole, ended)
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
	})
}

// TestThief: whoever has the relay, and so sees the boxes, cannot take either
// side's place, with keys of his own or with words that were used.
func TestThief(t *testing.T) {
	for name, keys := range map[string]func(s *session, own *btcec.PrivateKey) noise.Keys{
		"own keys": func(s *session, own *btcec.PrivateKey) noise.Keys {
			return noise.Keys{Static: own, Remote: s.server.get().Static.PubKey()}
		},
		"used words": func(s *session, own *btcec.PrivateKey) noise.Keys {
			return noise.Keys{Static: own, Password: s.stretched.key}
		},
	} {
		for _, phraseBoxes := range []bool{true, false} {
			t.Run(fmt.Sprintf("client, %s, at the phrase's boxes %v", name, phraseBoxes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSession(t)
					l := s.listen(t)
					d := s.dialer()
					defer d.Close()
					paired := dial(t, d)
					conn, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					paired.Close()
					conn.Close()
					accepted := make(chan struct{})
					go func() {
						defer close(accepted)
						if conn, err := l.Accept(); err == nil {
							conn.Close()
							t.Error("the thief was let in")
						}
					}()
					boxes, keyBoxes := s.places()
					if !phraseBoxes {
						boxes = keyBoxes
					}
					h, err := noise.NewInitiator(keys(s, newKey(t)))
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if err := s.intrude(ctx, h, relay.Ends{Send: boxes[1], Recv: boxes[0]}, gbn.Dial); err == nil {
						t.Error("the handshake goes through")
					} else {
						t.Log(err)
					}
					l.Close()
					<-accepted
					if key := s.server.get().Remote; !key.IsEqual(s.client.get().Static.PubKey()) {
						t.Error("the node has another key")
					}
				})
			})
		}
	}
	t.Run("node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t)
			s.pair(t)
			d := s.dialer()
			defer d.Close()
			_, boxes := s.places()
			h, err := noise.NewResponder(noise.Keys{Static: newKey(t), Remote: s.client.get().Static.PubKey()})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.intrude(ctx, h, relay.Ends{Send: boxes[0], Recv: boxes[1]}, gbn.Accept) }()
			if conn, err := d.Dial(ctx); err == nil {
				conn.Close()
				t.Error("the client takes a thief for the node")
			}
			if err := <-done; err == nil {
				t.Error("the handshake goes through")
			}
		})
	})
}

// intrude makes a handshake of somebody else's at these boxes. The error is
// errInterrupted unless it came to the other side's act.
func (s *session) intrude(ctx context.Context, h *noise.Handshake, ends relay.Ends,
	open func(context.Context, gbn.Pipe, gbn.Options) (*gbn.Conn, error)) error {
	pipe := relay.NewPipe(s.relay.Transport(), ends, relay.Options{Create: true})
	defer pipe.Close()
	link, err := open(ctx, pipe, gbn.Options{})
	if err != nil {
		return err
	}
	defer link.Close()
	return secure(ctx, link, h, func(*btcec.PublicKey) error { return nil })
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
