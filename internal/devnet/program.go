package devnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// program is our binary on a Leyden home of its own.
type program struct {
	name   string
	leyden string
	home   config.Home
	before []string // what runs the command, when not we ourselves
}

// Home is the program's own Leyden home, for --home.
func (p program) Home() config.Home { return p.home }

func (p program) log() string { return filepath.Join(string(p.home), "node.log") }

// run starts a command that belongs to us.
func (p program) run(args ...string) (*owned.Process, error) {
	if err := files.MkdirPrivate(string(p.home)); err != nil {
		return nil, err
	}
	line := append(slices.Concat(p.before, []string{p.leyden, "--home", string(p.home)}), args...)
	return owned.Start(owned.Command{Path: line[0], Args: line[1:], Env: Environ(), LogFile: p.log()})
}

// once runs a command to its end. Code: node_failed.
func (p program) once(ctx context.Context, args ...string) error {
	process, err := p.run(args...)
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), process.Kill())
	}
	if !process.Succeeded() {
		return p.failed(strings.Join(args[:2], " "), process.Exit())
	}
	return nil
}

func (p program) failed(what string, err error) error {
	return fault.New("node_failed", "see "+p.log(), "%s did not %s: %w", p.name, what, err)
}

// Environ is the environment for our programs on a devnet: ours, without what
// they would take as their own settings.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LEYDEN_") || strings.HasPrefix(v, "LNGET_")
	})
}
