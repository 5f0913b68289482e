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
	app.Lncli = func(args []string) {
		stop() // lncli has signal handlers of its own
		os.Args = args
		commands.Main()
	}
	os.Exit(leyden.Run(ctx, app, os.Args[1:]))
}
