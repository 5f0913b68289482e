package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/node"
)

// backTime is what the node may take to be back once its signer is.
const backTime = 2 * time.Minute

// strike does one blow and waits until the node is back.
func (f *faults) strike(ctx context.Context, b blow, n *devnet.Node) (said string, err error) {
	before, err := node.Status(n.Home())
	if err != nil {
		return "", err
	}
	asking := ask(ctx, n)
	defer asking.stop()
	var t times
	if err := pause(ctx, 5*askEvery); err != nil {
		return "", err
	}
	t.struck = time.Now()
	err = b.strike()
	if err == nil {
		err = b.lasts(ctx)
	}
	t.mending = time.Now()
	if err := errors.Join(err, b.mend(ctx)); err != nil {
		return "", err
	}
	t.whole = time.Now()
	if err := awaitBack(ctx, n, asking, t.whole); err != nil {
		return "", err
	}
	if err := settle(ctx, n, asking, b, t, before.LndPID); err != nil {
		return "", err
	}
	v, err := judge(asking.stop(), b, &t)
	if err != nil {
		return "", err
	}
	after, err := node.Status(n.Home())
	if err == nil && after.PID != before.PID {
		err = errors.New("the node's process is another one now")
	}
	restarted := after.LndPID != before.LndPID
	f.tally.add(b.kind, v, t, restarted)
	return describe(v, t, restarted), err
}

func describe(v verdict, t times, restarted bool) string {
	said := "no outage"
	if v.refusedAfter != unknown {
		said = fmt.Sprintf("refused after %.3f s", v.refusedAfter.Seconds())
	}
	said += fmt.Sprintf(", back %.2f s after the signer", t.back.Sub(t.whole).Seconds())
	if restarted {
		said += " with a new lnd"
	}
	for words, n := range v.others {
		said += fmt.Sprintf(", %d times %q", n, words)
	}
	return said
}

// awaitBack waits until the node answers, and has got a signature.
func awaitBack(ctx context.Context, n *devnet.Node, asking *asker, whole time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	var last error
	err := devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		_, last = n.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		return last == nil && asking.signedSince(whole), nil
	})
	if err != nil {
		return fmt.Errorf("the node is not back: %w", errors.Join(err, last))
	}
	return nil
}

// patience is how long after a fault lnd may still end because of it: the node
// passes calls on until it knows, 12 seconds, and lnd waits 20 for a signature.
const patience = 33 * time.Second

// settle waits until the lnd of before the fault can no longer end because of it,
// or has, and the node is back again.
func settle(ctx context.Context, n *devnet.Node, asking *asker, b blow, t times, lndPID int) error {
	err := pause(ctx, time.Second)
	for silent := b.kind == stopped || b.kind == cutOff; err == nil && silent && b.expect == mustRefuse && time.Since(t.struck) < patience; {
		var now node.Running
		if now, err = node.Status(n.Home()); err == nil && now.LndPID != lndPID {
			break
		}
		err = pause(ctx, 250*time.Millisecond)
	}
	if err != nil {
		return err
	}
	return awaitBack(ctx, n, asking, time.Now())
}
