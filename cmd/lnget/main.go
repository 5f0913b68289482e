// Command lnget gets URLs and pays for them: an HTTP client in the manner of
// curl that answers L402 challenges within limits.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/leydenln/leyden/internal/cli/lnget"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	app := &lnget.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.LookupEnv, Variables: os.Environ()}
	os.Exit(lnget.Run(ctx, app, os.Args[1:]))
}
