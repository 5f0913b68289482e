package leyden

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/files"
)

// background is a command that can run on after it has returned. Running is what
// is known of one that does.
type background[Running any] struct {
	log     string
	timeout time.Duration // to get ready in
	status  func(config.Home) (Running, error)
	print   func(Running)
}

// start runs the command again in the background, with the flags that were given
// and what follows them, and returns when it is ready.
func (b background[Running]) start(cmd *cobra.Command, home config.Home, rest ...string) error {
	if err := files.MkdirPrivate(filepath.Dir(b.log)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), b.timeout)
	defer cancel()
	words := strings.Fields(cmd.CommandPath())[1:]
	args := append(words, givenFlags(cmd, "detach")...)
	args = append(append(args, "--home="+string(home)), rest...)
	if _, err := daemon.Detach(ctx, daemon.Spawn{Args: args, LogFile: b.log}); err != nil {
		return err
	}
	r, err := b.status(home)
	if err != nil {
		return err
	}
	b.print(r)
	return nil
}
