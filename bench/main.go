// Command bench measures what bench/README.md promises, on real nodes: each
// figure is a ratio or a difference against a baseline in the same run, the
// two interleaved, and the median of several rounds is what counts. It prints
// and never judges: a target is printed beside its figure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if asked, err := serveAs(os.Args[1:]); asked {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	bin := flag.String("bin", "bin", "folder that holds leyden, lnget and btcd (make build)")
	rounds := flag.Int("rounds", 5, "interleaved rounds; their median counts")
	only := flag.String("only", "", "comma-separated parts: "+strings.Join(partNames(), ", ")+" (default all)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *rounds, *only); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// part is one group of figures.
type part struct {
	name string
	run  func(context.Context, *world, int) error
}

var parts = []part{
	{"size", benchSize},
	{"front", benchFront},
	{"cached", benchCached},
	{"paid", benchPaid},
	{"account", benchAccount},
	{"lists", benchLists},
	{"gate", benchGate},
	{"signer", benchSigner},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func run(ctx context.Context, bin string, rounds int, only string) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	wanted := partNames()
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	w, err := newWorld(ctx, bin)
	if err != nil {
		return err
	}
	defer w.close()
	for _, p := range parts {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Printf("\n%s\n", p.name)
		if err := p.run(ctx, w, rounds); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}
