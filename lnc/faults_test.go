package lnc

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

var rounds = flag.Int("faults", 500, "how many rounds of faults between the sides and the relay")

// roundsOf is how many rounds there are time for.
func roundsOf(n int) int {
	if testing.Short() || underRace {
		n = min(n, 40)
	}
	return n
}

// faults spoils what goes through a relay; the shares are of 1.
type faults struct {
	lose, repeat, reorder, truncate, corrupt float64
	delay                                    time.Duration // at most

	mu     sync.Mutex
	random *rand.Rand
	held   map[relay.ID][]byte
	calm   bool
}

// randomFaults are often mild and sometimes all at once.
func randomFaults(random *rand.Rand) *faults {
	share := func(most float64) float64 {
		if random.IntN(2) == 0 {
			return 0
		}
		return random.Float64() * most
	}
	return &faults{
		lose:     share(0.15),
		repeat:   share(0.3),
		reorder:  share(0.1),
		truncate: share(0.02),
		corrupt:  share(0.02),
		delay:    time.Duration(share(1) * float64(700*time.Millisecond)),
		random:   random,
		held:     map[relay.ID][]byte{},
	}
}

func (f *faults) spoil(id relay.ID, msg []byte, deliver func([]byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calm {
		deliver(msg)
		return
	}
	chance := func(p float64) bool { return f.random.Float64() < p }
	if chance(f.lose) {
		return
	}
	msg = bytes.Clone(msg)
	if chance(f.truncate) {
		msg = msg[:f.random.IntN(len(msg)+1)]
	}
	if chance(f.corrupt) && len(msg) > 0 {
		msg[f.random.IntN(len(msg))] ^= 1 << f.random.IntN(8)
	}
	send := [][]byte{msg}
	if late := f.held[id]; late != nil {
		send = append(send, late)
		delete(f.held, id)
	} else if chance(f.reorder) {
		f.held[id] = msg
		return
	}
	if chance(f.repeat) {
		send = append(send, msg)
	}
	// At random times, so that they overtake each other, though not by more
	// than a relay would.
	for _, msg := range send {
		if f.delay == 0 {
			deliver(msg)
			continue
		}
		time.AfterFunc(time.Duration(f.random.Int64N(int64(f.delay))), func() { deliver(msg) })
	}
}

// calmDown ends the faults.
func (f *faults) calmDown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
}

// disturb does something to the relay at some time.
func disturb(r *relaytest.Relay, random *rand.Rand) {
	deed := random.IntN(6)
	away := time.Duration(random.Int64N(int64(20 * time.Second)))
	time.AfterFunc(time.Duration(random.Int64N(int64(10*time.Second))), func() {
		switch deed {
		case 0:
			r.Restart()
		case 1:
			r.Cut()
		case 2:
			r.Shut()
			time.AfterFunc(away, r.Open)
		}
	})
}

// TestFaults: whatever happens between the sides and the relay, data arrives
// whole or the connection ends with an error, and when it is calm again the
// session still works.
func TestFaults(t *testing.T) {
	n := roundsOf(*rounds)
	whole, ended := 0, 0
	for round := range n {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(round), 11))
			s := newSession(t)
			if random.IntN(3) > 0 {
				s.pair(t)
			}
			if random.IntN(4) == 0 {
				s.relay.StreamLife = 15 * time.Second
			}
			f := randomFaults(rand.New(rand.NewPCG(uint64(round), 12)))
			s.relay.Spoil = f.spoil
			go echo(s.listen(t))
			d := s.dialer()
			defer d.Close()
			disturb(s.relay, random)
			for range 2 {
				err := tryOnce(t, d, random)
				switch {
				case err == nil:
					whole++
				case errors.Is(err, errWrong), errors.Is(err, os.ErrDeadlineExceeded):
					t.Errorf("round %d, %+v: %v", round, f, err)
				default:
					ended++
				}
			}
			f.calmDown()
			s.relay.Open()
			if err := finally(t, d); err != nil {
				t.Errorf("round %d: the session is lost: %v", round, err)
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d transfers arrived whole, %d ended with an error", whole, ended)
	if whole < n/2 || ended == 0 {
		t.Errorf("%d whole and %d ended transfers prove little", whole, ended)
	}
}

// tryOnce makes a connection and transfers some.
func tryOnce(t *testing.T, d *Dialer, random *rand.Rand) error {
	conn, err := dialWithin(t, d, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Nothing that takes this long is still alive.
	conn.SetDeadline(time.Now().Add(time.Hour))
	for range 3 {
		data := make([]byte, 1+random.IntN(100_000))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if err := exchange(conn, data); err != nil {
			return err
		}
		time.Sleep(time.Duration(random.Int64N(int64(4 * time.Second))))
	}
	return nil
}

// finally makes a connection that works, at the third attempt at the latest: the
// first may meet what is left of another.
func finally(t *testing.T, d *Dialer) error {
	var err error
	for range 3 {
		var conn net.Conn
		if conn, err = dialWithin(t, d, time.Minute); err != nil {
			continue
		}
		err = exchange(conn, []byte("still there"))
		conn.Close()
		if err == nil {
			return nil
		}
	}
	return err
}
