package gbn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// hang is how long a round may take by the bubble's clock; no combination of
// timeouts reaches it while packets still arrive now and then.
const hang = 30 * time.Minute

// message is the i-th message of a stream.
func message(stream, i uint64) []byte {
	r := rand.New(rand.NewPCG(stream, i))
	size := 1 + r.IntN(60)
	if r.IntN(10) == 0 {
		size = r.IntN(40000)
	}
	b := binary.BigEndian.AppendUint64(nil, i)
	for range size / 8 {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

var errAltered = errors.New("a message was altered")

// sendAll sends a stream, with pauses now and then.
func sendAll(ctx context.Context, c *Conn, stream uint64, count int) error {
	r := rand.New(rand.NewPCG(stream, 1))
	for i := range count {
		if r.IntN(20) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(3 * time.Second))))
		}
		if err := c.Send(ctx, message(stream, uint64(i))); err != nil {
			return err
		}
	}
	return nil
}

// recvAll receives a stream and compares it, as the layer above would.
func recvAll(ctx context.Context, c *Conn, stream uint64, count int) error {
	for i := range count {
		got, err := c.Recv(ctx)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, message(stream, uint64(i))) {
			return fmt.Errorf("message %d: %w", i, errAltered)
		}
	}
	return nil
}

// transfer opens a connection and sends and receives a stream at once. When
// both are through it returns the open connection.
func transfer(ctx context.Context, open func() (*Conn, error), out, in uint64, count int) (*Conn, error) {
	c, err := open()
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendAll(ctx, c, out, count) }()
	err = recvAll(ctx, c, in, count)
	if err != nil {
		c.Close()
		<-sent
		return nil, err
	}
	if err := <-sent; err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

type result struct {
	side string
	conn *Conn
	err  error
}

// round transfers count messages each way over a faulty pipe, in a bubble,
// which fails the test if a goroutine is left or if all wait for ever. It
// returns why either side ended before everything had arrived.
func round(t *testing.T, seed uint64, f faults, count int) (errs []error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		defer cancel()
		// Either side may wait for ever for one that has given up.
		opening, giveUp := context.WithCancel(ctx)
		defer giveUp()
		clientEnd, serverEnd := pair(seed, f)
		results := make(chan result, 2)
		go func() {
			c, err := transfer(ctx, func() (*Conn, error) { return Dial(opening, clientEnd, Options{}) }, 2*seed, 2*seed+1, count)
			results <- result{"client", c, err}
		}()
		go func() {
			c, err := transfer(ctx, func() (*Conn, error) { return Accept(opening, serverEnd, Options{}) }, 2*seed+1, 2*seed, count)
			results <- result{"server", c, err}
		}()
		first := <-results
		if first.err != nil {
			giveUp()
		}
		for _, r := range []result{first, <-results} {
			if r.err != nil {
				errs = append(errs, fmt.Errorf("seed %d: %s: %w", seed, r.side, r.err))
				continue
			}
			defer r.conn.Close()
		}
	})
	return errs
}

// mayEnd says whether a connection may end like this over a pipe with faults.
func mayEnd(err error, f faults) bool {
	for _, allowed := range []error{ErrDead, ErrPeerClosed, ErrRestarted, ErrProtocol, context.Canceled} {
		if errors.Is(err, allowed) {
			return true
		}
	}
	return errors.Is(err, errAltered) && f.truncate+f.corrupt+f.reorder > 0
}

func TestFaults(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		faults faults
		rounds int
		// whole is how many rounds of a hundred must end with everything
		// delivered to both.
		whole int
	}{
		"none":         {faults{}, 20, 100},
		"delay":        {faults{delay: 100 * ms, jitter: 300 * ms}, 40, 100},
		"long delay":   {faults{delay: 1500 * ms, jitter: 200 * ms}, 20, 100},
		"slow link":    {faults{every: 500 * ms}, 10, 100},
		"repeated":     {faults{repeat: 0.2, delay: 20 * ms}, 60, 100},
		"reordered":    {faults{reorder: 0.1, delay: 20 * ms}, 60, 75},
		"some lost":    {faults{lose: 0.02, delay: 20 * ms}, 80, 95},
		"many lost":    {faults{lose: 0.2, delay: 20 * ms}, 80, 75},
		"truncated":    {faults{truncate: 0.02, delay: 20 * ms}, 80, 0},
		"corrupted":    {faults{corrupt: 0.01, delay: 20 * ms}, 120, 0},
		"all together": {faults{lose: 0.02, repeat: 0.02, reorder: 0.02, truncate: 0.002, corrupt: 0.002, delay: 20 * ms, jitter: 50 * ms}, 120, 0},
	} {
		t.Run(name, func(t *testing.T) {
			whole := 0
			for i := range test.rounds {
				errs := round(t, uint64(i), test.faults, 60)
				for _, err := range errs {
					if !mayEnd(err, test.faults) {
						t.Fatal(err)
					}
				}
				if len(errs) == 0 {
					whole++
				}
			}
			t.Logf("%d of %d rounds whole", whole, test.rounds)
			if whole*100 < test.whole*test.rounds {
				t.Errorf("only %d of %d rounds whole", whole, test.rounds)
			}
		})
	}
}
