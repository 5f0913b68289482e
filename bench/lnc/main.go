// Command lnc measures Lightning Node Connect on this machine, through a relay
// of ours: a call and bulk beside gRPC over TLS without a relay and, where
// another program is given, pairing, coming back, a call and bulk beside that
// program's, all in turn. It prints and never judges: a target is printed beside
// its figure.
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

	"github.com/leydenln/leyden/bench/lnc/peer"
	"github.com/leydenln/leyden/bench/served"
)

// The words by which this program runs itself as a peer.
const (
	asOurs   = "peer-ours"
	asDirect = "peer-direct"
)

func main() {
	if len(os.Args) == 2 {
		made := map[string]peer.Implementation{asOurs: ours{}, asDirect: direct{}}[os.Args[1]]
		if made != nil {
			exit(peer.Run(made, os.Stdin, os.Stdout))
		}
	}
	bin := flag.String("bin", "bin", "folder that holds leyden (make build)")
	rounds := flag.Int("rounds", 5, "interleaved rounds; their median counts")
	other := flag.String("peer", "", "command of a program with another implementation, which does what bench/README.md says")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, *bin, *rounds, strings.Fields(*other)))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "lnc: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, bin string, rounds int, other []string) (err error) {
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
	b := &bench{rounds: rounds}
	commands := []struct {
		name    string
		command []string
		pair    **pair
	}{
		{"gRPC over TLS", []string{self, asDirect}, &b.direct},
		{"LNC", []string{self, asOurs}, &b.ours},
		{"the other LNC", other, &b.other},
	}
	for _, c := range commands {
		if len(c.command) == 0 {
			continue
		}
		p, err := startPair(c.name, relay.Addr, certificate, c.command)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.end()) }()
		*c.pair = p
	}
	return b.measure(ctx)
}
