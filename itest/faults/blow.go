package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/signer"
)

// Kinds of fault.
const (
	killed  = "killed"
	stopped = "stopped"
	slowed  = "slowed"
	cutOff  = "cutoff"
)

// kindNames are all kinds; the last needs a network namespace.
var kindNames = []string{killed, stopped, slowed, cutOff}

// parts are what can be killed and stopped: a signer is a front and its lnd.
var parts = []string{"its front", "its lnd", "both"}

// expectation is what a fault must look like from outside.
type expectation int

const (
	mayRefuse  expectation = iota
	mustRefuse             // the node says that its signer is away
	mustServe              // a slow signer is no outage
)

// blow is one fault.
type blow struct {
	kind, detail string
	expect       expectation

	strike func() error
	lasts  func(context.Context) error // returns when it is time to mend
	mend   func(context.Context) error // returns when the signer signs, as far as it knows
}

// short is a silence that a node bears with, long one that it does not: it waits
// for 10 seconds, from a question that it asks every 2.
func short(rng *rand.Rand) time.Duration { return between(rng, time.Second, 7*time.Second) }
func long(rng *rand.Rand) time.Duration  { return between(rng, 14*time.Second, 24*time.Second) }

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

// silence is how long a signer says nothing, and what that must look like.
func silence(rng *rand.Rand) (time.Duration, expectation) {
	if rng.IntN(2) == 0 {
		return short(rng), mustServe
	}
	return long(rng), mustRefuse
}

// newBlow chooses the details of a fault.
func (f *faults) newBlow(kind string, s *devnet.Signer) blow {
	part := parts[f.rng.IntN(len(parts))]
	b := blow{kind: kind}
	wait := func(d time.Duration) {
		b.lasts = func(ctx context.Context) error { return pause(ctx, d) }
	}
	switch kind {
	case killed:
		b.detail, b.expect = part, mustRefuse
		away := between(f.rng, 0, 3*time.Second)
		if part == "its lnd" {
			away = 0 // it is started again by the front
		}
		wait(away)
		b.strike = func() error { return kill(s, part) }
		b.mend = func(ctx context.Context) error { return revive(ctx, s) }
	case stopped:
		d, expect := silence(f.rng)
		b.detail, b.expect = fmt.Sprintf("%s for %.1f s", part, d.Seconds()), expect
		wait(d)
		b.strike = func() error { return send(s, part, syscall.SIGSTOP) }
		b.mend = func(context.Context) error { return send(s, part, syscall.SIGCONT) }
	case slowed:
		duty, d := between(f.rng, 200*time.Millisecond, 900*time.Millisecond), between(f.rng, 4*time.Second, 10*time.Second)
		b.detail, b.expect = fmt.Sprintf("at work for %d ms of each second, for %.1f s", 1000-duty.Milliseconds(), d.Seconds()), mustServe
		b.strike = func() error { return send(s, "both", syscall.SIGSTOP) }
		b.lasts = func(ctx context.Context) error { return limp(ctx, s, duty, d) }
		b.mend = func(context.Context) error { return send(s, "both", syscall.SIGCONT) }
	case cutOff:
		d, expect := silence(f.rng)
		if expect == mustServe {
			expect = mayRefuse // what is lost is sent again only later
		}
		b.detail, b.expect = fmt.Sprintf("for %.1f s", d.Seconds()), expect
		wait(d)
		b.strike = func() error { return f.apart.cable(false) }
		b.mend = func(context.Context) error { return f.apart.cable(true) }
	}
	return b
}

// limp lets the signer work only for the rest of each second. It is stopped when
// limp begins and when it ends.
func limp(ctx context.Context, s *devnet.Signer, duty, length time.Duration) error {
	for end := time.Now().Add(length); ; {
		if err := pause(ctx, duty); err != nil || time.Now().After(end) {
			return err
		}
		if err := send(s, "both", syscall.SIGCONT); err != nil {
			return err
		}
		if err := pause(ctx, time.Second-duty); err != nil {
			return err
		}
		if err := send(s, "both", syscall.SIGSTOP); err != nil {
			return err
		}
	}
}

// kill sends SIGKILL and waits for the end of what it killed.
func kill(s *devnet.Signer, part string) error {
	if part == "its front" {
		return s.Process().Kill()
	}
	err := send(s, "its lnd", syscall.SIGKILL)
	if part == "both" {
		err = errors.Join(err, s.Process().Kill())
	}
	return err
}

// revive starts the signer again if it does not run, and waits until it signs.
func revive(ctx context.Context, s *devnet.Signer) error {
	if !s.Process().Running() {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	return s.Await(ctx)
}

// send sends a signal to the front, its lnd, or both.
func send(s *devnet.Signer, part string, sig syscall.Signal) error {
	if part != "its front" {
		running, err := signer.Status(s.Home())
		if err != nil {
			return err
		}
		if running.LndPID != 0 {
			if err := syscall.Kill(running.LndPID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	if part == "its lnd" {
		return nil
	}
	return s.Process().Signal(sig)
}
