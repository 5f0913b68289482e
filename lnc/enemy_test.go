package lnc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

// message is what the enemy has seen, and where.
type message struct {
	id   relay.ID
	data []byte
}

// enemy is a relay that does with what it carries what it likes, and keeps all
// of it for later.
type enemy struct {
	relay *relaytest.Relay

	mu      sync.Mutex
	random  *rand.Rand
	calm    bool
	seen    []message // bounded
	began   []int     // where in seen a client began a connection
	boxes   []relay.ID
	habit   int // what it does for now
	until   int // messages more
	deeds   [habits]int
	carried int
}

// The habits of an enemy: what it does to messages, for some of them.
const (
	habitHonest  = iota // nothing, but a forgery now and then
	habitForge          // one besides each
	habitReplay         // an old message besides each, to either side
	habitReflect        // each goes back as well
	habitSwap           // each goes back instead
	habitSilent         // nothing passes
	habitHoard          // nothing passes until later, in another order
	habitDrip           // one in some passes
	habitFlood          // endless messages besides
	habitSession        // a whole recorded connection besides, both sides of it
	habits
)

const (
	keptBySpy   = 3000
	floodLength = 200
)

func newEnemy(r *relaytest.Relay, random *rand.Rand) *enemy {
	e := &enemy{relay: r, random: random}
	r.Spoil = e.carry
	return e
}

func (e *enemy) carry(id relay.ID, msg []byte, deliver func([]byte)) {
	e.mu.Lock()
	e.note(id, msg)
	if e.calm {
		e.mu.Unlock()
		deliver(msg)
		return
	}
	if e.until--; e.until < 0 {
		e.habit, e.until = habitHonest, e.random.IntN(40)
		if e.random.IntN(2) == 0 {
			e.habit, e.until = e.random.IntN(habits), e.random.IntN(15)
		}
	}
	e.deeds[e.habit]++
	pass, more := e.act(id, msg)
	e.mu.Unlock()
	if pass {
		deliver(msg)
	}
	for _, m := range more {
		e.relay.Offer(m.id, m.data)
	}
}

func (e *enemy) note(id relay.ID, msg []byte) {
	e.carried++
	if len(e.seen) == keptBySpy {
		return
	}
	if len(msg) == 2 && msg[0] == 1 {
		e.began = append(e.began, len(e.seen))
	}
	e.seen = append(e.seen, message{id, bytes.Clone(msg)})
	for _, known := range e.boxes {
		if known == id {
			return
		}
	}
	e.boxes = append(e.boxes, id)
}

// other is the box of the other direction.
func other(id relay.ID) relay.ID {
	id[len(id)-1] ^= 1
	return id
}

// act says whether a message passes, and what is sent besides.
func (e *enemy) act(id relay.ID, msg []byte) (pass bool, more []message) {
	any := func() relay.ID { return e.boxes[e.random.IntN(len(e.boxes))] }
	old := e.seen[e.random.IntN(len(e.seen))]
	pass = true
	switch e.habit {
	case habitHonest:
		if e.random.IntN(20) == 0 {
			more = append(more, message{any(), forgery(e.random, old.data)})
		}
	case habitForge:
		more = append(more, message{any(), forgery(e.random, old.data)})
	case habitReplay:
		more = append(more, message{any(), old.data})
	case habitReflect:
		more = append(more, message{other(id), msg})
	case habitSwap:
		pass, more = false, []message{{other(id), msg}}
	case habitSilent:
		pass = false
	case habitHoard:
		if pass = false; e.until == 0 {
			last := e.seen[max(0, len(e.seen)-20):]
			for _, i := range e.random.Perm(len(last)) {
				more = append(more, last[i])
			}
		}
	case habitDrip:
		pass = e.random.IntN(4) == 0
	case habitFlood:
		for range floodLength {
			more = append(more, message{any(), forgery(e.random, old.data[:min(len(old.data), 10)])})
		}
		e.until = 0
	case habitSession:
		if len(e.began) > 0 {
			from := e.began[e.random.IntN(len(e.began))]
			for _, m := range e.seen[from:min(len(e.seen), from+200)] {
				// Also what came by the phrase where the keys are needed now.
				if e.random.IntN(4) == 0 {
					m.id = any()
				}
				more = append(more, m)
			}
		}
		e.until = 0
	}
	return pass, more
}

func (e *enemy) calmDown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calm = true
}

// stream returns the bytes of a seed, which both sides know.
func stream(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 99))
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, random.Uint64())
	}
	return b[:n]
}

const openingLength = 16

// talk has the client say a seed and a length, and then both sides send that
// much at once, each of which the other knows.
func talk(conn net.Conn, seed uint64, n int) error {
	opening := binary.BigEndian.AppendUint64(nil, seed)
	opening = binary.BigEndian.AppendUint64(opening, uint64(n))
	return duplex(conn, append(opening, stream(seed, n)...), stream(seed+1, n))
}

// answerTalk is the node's side of talks on one connection.
func answerTalk(conn net.Conn) error {
	for {
		opening := make([]byte, openingLength)
		if _, err := io.ReadFull(conn, opening); err != nil {
			return err
		}
		seed, n := binary.BigEndian.Uint64(opening), binary.BigEndian.Uint64(opening[8:])
		if n > 1<<20 {
			return fmt.Errorf("%w: a length of %d", errWrong, n)
		}
		if err := duplex(conn, stream(seed+1, int(n)), stream(seed, int(n))); err != nil {
			return err
		}
	}
}

func duplex(conn net.Conn, say, hear []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(say)
		sent <- err
	}()
	got := make([]byte, len(hear))
	n, err := io.ReadFull(conn, got)
	if err != nil {
		conn.Close()
		<-sent
	}
	// What came before the end must be right as well.
	if !bytes.Equal(got[:n], hear[:n]) {
		return fmt.Errorf("%w in %d bytes of %d", errWrong, n, len(hear))
	}
	if err != nil {
		return err
	}
	return <-sent
}

// talkers answers the talks of every connection of a listener, and checks who
// is there. It returns what went wrong, when the listener has closed.
func talkers(l *Listener, client func() *btcec.PublicKey) <-chan error {
	result := make(chan error, 1)
	go func() {
		var conns sync.WaitGroup
		var mu sync.Mutex
		var wrong error
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns.Go(func() {
				defer conn.Close()
				err := answerTalk(conn)
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, errWrong) {
					wrong = err
				}
				if remote := conn.(*Conn).Remote(); client() == nil || !remote.IsEqual(client()) {
					wrong = errors.New("another client was let in")
				}
			})
		}
		conns.Wait()
		result <- wrong
	}()
	return result
}

// besiege has a client talk with a node through an enemy, and returns how many
// talks arrived whole, and how many did not.
func besiege(t *testing.T, s *session, e *enemy, d *Dialer, seed uint64, attempts int) (whole, ended int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 3))
	l := s.listen(t)
	served := talkers(l, func() *btcec.PublicKey {
		if key := s.client.get().Static; key != nil {
			return key.PubKey()
		}
		return nil
	})
	defer func() {
		l.Close()
		if err := <-served; err != nil {
			t.Errorf("seed %d: the node: %v", seed, err)
		}
		if client, node := s.client.get(), s.server.get(); node.Remote == nil || !node.Remote.IsEqual(client.Static.PubKey()) || s.server.times > 1 {
			t.Errorf("seed %d: the node has another key than the client's, or got one %d times", seed, s.server.times)
		}
	}()
	defer d.Close()
	once := func() error {
		conn, err := dialWithin(t, d, time.Minute)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Minute))
		for range 1 + random.IntN(3) {
			if err := talk(conn, random.Uint64(), 1+random.IntN(60_000)); err != nil {
				return err
			}
		}
		return nil
	}
	for range attempts {
		switch err := once(); {
		case err == nil:
			whole++
		case errors.Is(err, errWrong), errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("seed %d: %v", seed, err)
		default:
			ended++
		}
	}
	e.calmDown()
	var err error
	for range 3 {
		if err = once(); err == nil {
			return whole, ended
		}
	}
	t.Errorf("seed %d: the session is lost: %v", seed, err)
	return whole, ended
}
