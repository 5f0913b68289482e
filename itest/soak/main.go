// Command soak runs a gate under load for minutes or hours, on a private
// network of real nodes: half of what it can carry of requests with tokens,
// and beside them buyers who buy with the real lnget and strangers who never
// pay, while gate, backend and nodes are restarted, killed and reloaded at
// random. It checks that every token that was bought opens its service as long
// as it runs, and what is good for one request is not good for two; that no
// request with a valid token is refused while the gate is up, but for 502 and
// 503 while its backend is not; that the gate's memory, goroutines and
// descriptors do not grow; and that in the end the books of gate, nodes and
// buyers agree. The gate is restarted in the first half only, so that one
// process is watched for the second. The last line is a summary; the exit
// status is 1 when anything did not hold.
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
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "folder that holds leyden, lnget and btcd (make build)")
	minutes := flag.Int("minutes", 10, "how long, without start and end")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	keep := flag.Bool("keep", false, "leave the network's folder, also when all is well")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, time.Duration(*minutes)*time.Minute, *seed, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, length time.Duration, seed uint64, keep bool) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	w, err := newWorld(ctx, bin)
	if err != nil {
		return err
	}
	defer func() { w.close(keep || err != nil) }()
	fmt.Printf("seed %d, network in %s\n", seed, w.dir)

	t := &tally{}
	s := &shoppers{w: w, t: t}
	if err := s.first(ctx); err != nil {
		return err
	}
	most := w.calibrate(ctx, t)
	fmt.Printf("at most %.0f requests/s; from now on half of that for %v\n", most, length)

	load := w.startLoad(ctx, t, s, most/2)
	defer load.stop()
	watch := w.startWatch(ctx, t)
	defer watch.stop()
	err = w.chaos(ctx, rand.New(rand.NewPCG(seed, seed)), t, length)
	watch.stop()
	load.stop()
	if err == nil {
		err = errors.Join(s.finish(ctx), w.present(ctx, t), s.presentSpent(ctx), w.compare(ctx, s), watch.growth(t), t.faulty())
	}
	if err != nil {
		err = fmt.Errorf("seed %d, logs in %s: %w", seed, w.dir, err)
	}
	fmt.Println(t.summary(length))
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
