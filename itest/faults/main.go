// Command faults does to a signer what happens to a machine far away, at random
// moments, while its watch-only node pays and is paid: the signer is killed,
// stopped, slowed down, or cut off by a network that swallows packets, for which
// it runs in a network namespace of its own. After each fault the node must be
// back by itself, and books, journal and lnds must agree to the millisatoshi.
// Every call that is refused meanwhile must say signer_unreachable, none may hang,
// and a signer that is only slow must not count as away. The same faults then
// strike while the node goes through its whole life (package scenario). Its last
// lines are a summary; the exit status is 1 when anything did not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	bin           string
	rounds, lives int
	kinds         []string // of fault, asked for; empty for all that can be
	seed          uint64
	keep          bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder that holds leyden and btcd (make build)")
	flag.IntVar(&o.rounds, "rounds", 10, "how many faults under a load of payments")
	flag.IntVar(&o.lives, "lives", 0, "how often to go through a node's whole life with faults")
	kinds := flag.String("kinds", "", "which faults, of "+strings.Join(kindNames, ",")+"; default: all that this machine allows")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	flag.BoolVar(&o.keep, "keep", false, "leave the networks' folders, also when all is well")
	flag.Parse()
	if *kinds != "" {
		o.kinds = strings.Split(*kinds, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	if status, ok := errors.AsType[exitStatus](err); ok {
		os.Exit(int(status))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "faults: %v\n", err)
		os.Exit(1)
	}
}

// exitStatus is that of the run inside the namespace, which has said everything.
type exitStatus int

// Error is part of error.
func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func run(ctx context.Context, o options) error {
	for _, kind := range o.kinds {
		if !slices.Contains(kindNames, kind) {
			return fmt.Errorf("unknown kind of fault %q: use %s", kind, strings.Join(kindNames, ","))
		}
	}
	apart, err := openApart(o)
	if err != nil {
		return err
	}
	defer apart.close()
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	fmt.Printf("seed %d\n", o.seed)
	f := &faults{apart: apart, kinds: o.kinds, rng: rand.New(rand.NewPCG(o.seed, o.seed)), tally: newTally()}
	if len(f.kinds) == 0 {
		f.kinds = kindNames
		if apart == nil {
			f.kinds = kindNames[:len(kindNames)-1]
		}
	}
	err = f.payments(ctx, o)
	if err == nil {
		err = f.lives(ctx, o)
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w", o.seed, err)
	}
	fmt.Print(f.tally)
	return err
}

// openApart makes the signer's own network where cutting it off is possible. Where
// it is not, that is an error only when it was asked for.
func openApart(o options) (*apart, error) {
	if len(o.kinds) > 0 && !slices.Contains(o.kinds, cutOff) {
		return nil, nil
	}
	a, err := newApart()
	if _, inside := errors.AsType[exitStatus](err); err == nil || inside || slices.Contains(o.kinds, cutOff) {
		return a, err
	}
	fmt.Printf("no signer is cut off: %v\n", err)
	return nil, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
