package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/itest/market"
)

// What is killed.
const (
	theNode = "the node's process"
	theLnd  = "lnd"
	both    = "both"
)

var killings = []string{theNode, theLnd, both}

// kill sends SIGKILL.
func kill(victim *devnet.Node, what string, rng *rand.Rand) error {
	running, err := node.Status(victim.Home())
	if err != nil {
		return err
	}
	if what != theNode && running.LndPID != 0 {
		if err := syscall.Kill(running.LndPID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	if what == both {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
	}
	if what != theLnd {
		return victim.Kill()
	}
	return nil
}

// recover starts the node again if it is down, and waits until it serves an
// account and its channel is active.
func (t *torture) recover(ctx context.Context) error {
	if !t.m.Node().Running() {
		if err := t.m.Node().Start(ctx); err != nil {
			return err
		}
	}
	var last error
	err := devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		last = t.m.Serves(ctx)
		if errors.Is(last, market.ErrInactive) {
			t.m.Reconnect(ctx) // by itself lnd waits longer from one kill to the next
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the node did not come back: %w", errors.Join(err, last))
	}
	return nil
}
