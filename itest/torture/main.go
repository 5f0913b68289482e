// Command torture kills a node under load, again and again, and looks after
// each time whether every millisatoshi is where it must be: kill -9 of the
// node's process, of lnd, or of both, at random moments, while accounts pay,
// retry, are paid and are credited; then `accounts check` and `audit verify`
// must be clean, and what each account says must be what lnd says. It runs on
// a private network of three real nodes, so that payments have fees. Its last
// line is a summary; the exit status is 1 when anything did not hold.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/itest/market"
)

func main() {
	bin := flag.String("bin", "bin", "folder that holds leyden and btcd (make build)")
	rounds := flag.Int("rounds", 10, "how often to kill")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	keep := flag.Bool("keep", false, "leave the network's folder, also when all is well")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *rounds, *seed, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, rounds int, seed uint64, keep bool) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	begin := time.Now()
	m, err := market.Open(ctx, bin, devnet.Options{})
	if err != nil {
		return err
	}
	defer func() { m.Close(keep || err != nil) }()
	fmt.Printf("seed %d, network in %s after %.1f s\n", seed, m.Dir, time.Since(begin).Seconds())

	t := &torture{m: m, rng: rand.New(rand.NewPCG(seed, seed)), tally: tally{m: m, killed: map[string]int{}}}
	done := 0
	for ; done < rounds; done++ {
		said, failed := t.round(ctx)
		if failed != nil {
			err = fmt.Errorf("round %d of %d, seed %d, logs in %s: %w", done+1, rounds, seed, m.Dir, failed)
			break
		}
		fmt.Printf("round %3d: %s\n", done+1, said)
	}
	fmt.Printf("torture: %d of %d rounds clean in %.0f s: %s\n", done, rounds, time.Since(begin).Seconds(), &t.tally)
	return err
}

// torture is the market and what is done to it.
type torture struct {
	m     *market.Market
	rng   *rand.Rand
	tally tally
}

// round kills once under load and checks everything once it is quiet again.
func (t *torture) round(ctx context.Context) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	load := t.m.StartLoad(ctx, t.rng.Uint64())
	defer load.Stop()
	what := killings[t.rng.IntN(len(killings))]
	var found market.Counts
	var took []string
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"load", func() error { return pause(ctx, time.Duration(200+t.rng.IntN(2500))*time.Millisecond) }},
		{"kill", func() error { return kill(t.m.Node(), what, t.rng) }},
		{"back", func() error { return t.recover(ctx) }},
		{"more load", func() error { return pause(ctx, time.Duration(t.rng.IntN(1500))*time.Millisecond) }},
		{"quiet", func() error { load.Stop(); return t.m.Quiet(ctx) }},
		{"check", func() (err error) { found, err = t.m.Check(ctx); return err }},
	} {
		begin := time.Now()
		if err := step.do(); err != nil {
			return "", fmt.Errorf("killing %s, %s: %w", what, step.name, err)
		}
		took = append(took, fmt.Sprintf("%s %.1f s", step.name, time.Since(begin).Seconds()))
	}
	return t.tally.endRound(what, strings.Join(took, ", "), found), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
