// Command relay measures the relay of Lightning Node Connect: what a thousand
// idle boxes take, each with a reader on a connection of its own, and messages
// through it beside the same messages through a bare gRPC server, the two in
// turn. It prints and never judges: a target is printed beside its figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/bench/served"
)

// What one run carries: pairs of boxes at once, messages through each.
const (
	pairs    = 16
	messages = 1000
	idle     = 1000
)

func main() {
	if len(os.Args) == 5 && os.Args[1] == asBare {
		fmt.Fprintln(os.Stderr, serveBare(os.Args[2], os.Args[3], os.Args[4]))
		os.Exit(1)
	}
	bin := flag.String("bin", "bin", "folder that holds leyden (make build)")
	rounds := flag.Int("rounds", 5, "interleaved rounds; their median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *rounds); err != nil {
		fmt.Fprintf(os.Stderr, "relay: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, rounds int) error {
	home, err := os.MkdirTemp("", "leyden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	relay, certificate, err := served.Relay(home, bin)
	if err != nil {
		return err
	}
	defer relay.Stop(ctx)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	least, err := served.Start(home, self, func(addr string) []string {
		return []string{asBare, addr, certificate, strings.TrimSuffix(certificate, ".cert") + ".key"}
	})
	if err != nil {
		return err
	}
	defer least.Stop(ctx)
	ours, bare := &server{relay, "relay", true}, &server{least, "bare gRPC", false}
	for _, s := range []*server{ours, bare} {
		if err := measureIdle(ctx, s); err != nil {
			return err
		}
	}
	for _, size := range []int{200, 32 << 10} {
		count := messages
		if size > 1000 {
			count = messages / 4
		}
		var fastest time.Duration
		timed := func(s *server) func(context.Context) (time.Duration, error) {
			return func(ctx context.Context) (time.Duration, error) {
				d, err := s.carry(ctx, pairs, count, size)
				if s == ours && (fastest == 0 || d < fastest) {
					fastest = d
				}
				return d, err
			}
		}
		total := pairs * count
		err := ratio.Comparison{
			Baseline: fmt.Sprintf("%d messages of %d bytes, bare gRPC", total, size),
			Subject:  fmt.Sprintf("%d messages of %d bytes, relay", total, size),
			Target:   "at least 10,000 messages a second", N: 3,
			RunBaseline: timed(bare), RunSubject: timed(ours),
		}.Measure(ctx, rounds)
		if err != nil {
			return err
		}
		fmt.Printf("  at best %.0f messages a second\n", float64(total)/fastest.Seconds())
	}
	return nil
}

// atRest is how long our relay needs, at most, to notice that it is idle.
const atRest = 25 * time.Second

// measureIdle prints what idle boxes take: alone; as those of nodes, two for each,
// which reads one of them on a connection of its own; with a reader each on few
// connections; and with a reader each on a connection of its own.
func measureIdle(ctx context.Context, s *server) error {
	before, err := memory(s.Pid())
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		name                 string
		connections, readers int
	}{
		{"without readers", 1, 0},
		{"of 500 nodes, each with a connection and a reader", idle / 2, idle / 2},
		{"with readers, 20 on a connection", idle / 20, idle},
		{"with readers, each on its own connection", idle, idle},
	} {
		leave, err := s.idle(ctx, idle, kind.connections, kind.readers)
		if err != nil {
			return errors.Join(err, leave())
		}
		after, err := memory(s.Pid())
		if err != nil {
			return errors.Join(err, leave())
		}
		fmt.Printf("  %s with %d idle boxes %s: %.0f MB, at first %.0f MB", s.name, idle, kind.name, after, before)
		if s.rests {
			select {
			case <-time.After(atRest):
			case <-ctx.Done():
			}
			if after, err = memory(s.Pid()); err == nil {
				fmt.Printf(", at rest %.0f MB", after)
			}
		}
		fmt.Println("; target: less than 50 MB")
		if err := errors.Join(err, leave()); err != nil {
			return err
		}
	}
	return nil
}

// server is a relay, ours or a bare one, in a process of its own.
type server struct {
	*served.Program
	name  string
	rests bool // gives memory back when it has become idle
}
