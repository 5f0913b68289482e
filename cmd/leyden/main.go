// Command leyden is everything an operator runs: see internal/cli/leyden.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/lightningnetwork/lnd/cmd/commands"

	"github.com/leydenln/leyden/internal/cli/leyden"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/lnd/child"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == lnd.ChildCommand {
		os.Exit(child.Main(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	app := &leyden.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	app.Hangup = func() <-chan os.Signal {
		hangup := make(chan os.Signal, 1) // several at once are one
		signal.Notify(hangup, syscall.SIGHUP)
		return hangup
	}
	app.Lncli = func(args []string) {
		stop() // lncli has signal handlers of its own
		os.Args = args
		commands.Main()
	}
	os.Exit(leyden.Run(ctx, app, os.Args[1:]))
}
