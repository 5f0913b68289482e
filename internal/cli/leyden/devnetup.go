package leyden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// devnetFlags are what `up` hands on to the process in the background.
type devnetFlags struct {
	nodes   int
	backend string
	signer  bool
}

func (d *devnetFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&d.nodes, "nodes", 0, "number of nodes (default: as many as there are, or 2)")
	cmd.Flags().StringVar(&d.backend, "backend", "", "btcd or neutrino (default: the one used last, or btcd)")
	cmd.Flags().BoolVar(&d.signer, "signer", false, "the first node of a new network is watch-only, its keys on a signer")
}

func (d *devnetFlags) options(home config.Home) devnet.Options {
	o := devnet.Options{Home: home, Nodes: d.nodes, Backend: d.backend}
	if d.signer {
		o.Signer = devnet.NodeName(0)
	}
	return o
}

func devnetUpCmd(app *App) *cobra.Command {
	var d devnetFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the network in the background and wait for its channels",
		Long: `Starts btcd and Lightning nodes on free loopback ports, in the background, and
returns when the channels are active. The first node has the funds and a
channel to each other node. After down, up brings back the same nodes, channels
and chain; with a larger --nodes it adds some.`,
		Example: `  leyden devnet up
  leyden devnet up --nodes 3 --signer`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), devnetUpTimeout)
			defer cancel()
			progress := io.Discard
			if verbose || voice.IsTerminal(app.Err) {
				progress = app.Err
			}
			if err := app.detachDevnet(ctx, d, progress); err != nil {
				return err
			}
			info, err := devnet.Status(ctx, app.Home)
			if err != nil {
				return err
			}
			app.printDevnet(info)
			return nil
		},
	}
	d.register(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say what takes the time, also when stderr is no terminal")
	return cmd
}

// devnetServeCmd is the process in the background.
func devnetServeCmd(app *App) *cobra.Command {
	var d devnetFlags
	cmd := &cobra.Command{
		Use:    "serve",
		Hidden: true,
		Args:   voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := d.options(app.Home)
			o.Progress = progressTo(app.Err)
			return devnet.Serve(cmd.Context(), o)
		},
	}
	d.register(cmd)
	return cmd
}

// devnetKeepCmd is the process between a network and its btcd.
func devnetKeepCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:    devnet.KeepCommand,
		Hidden: true,
		Args:   voice.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := devnet.Keep(cmd.Context(), app.Home, args[0], args[1]); err != nil {
				return voice.ErrSilent // btcd has said why, in the same log
			}
			return nil
		},
	}
}

// detachDevnet checks what can be checked here, then starts the process in
// the background and copies its progress.
func (app *App) detachDevnet(ctx context.Context, d devnetFlags, progress io.Writer) error {
	if err := devnet.Check(d.options(app.Home)); err != nil {
		return err
	}
	log := devnet.LogFile(app.Home)
	if err := files.MkdirPrivate(app.Home.Devnet()); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		follow(following, log, progress)
	}()
	_, err := daemon.Detach(ctx, daemon.Spawn{LogFile: log, Args: []string{
		"--home", string(app.Home), "devnet", "serve",
		"--nodes", strconv.Itoa(d.nodes), "--backend", d.backend, "--signer=" + strconv.FormatBool(d.signer),
	}})
	stop()
	<-done
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return fault.New("interrupted", "leyden devnet up", "interrupted before the network was up; it is down again")
	}
	return err
}

// progressTo prints each step with what it took and when it was done.
func progressTo(w io.Writer) func(string, time.Duration) {
	begin := time.Now()
	return func(step string, took time.Duration) {
		fmt.Fprintf(w, "%6.1f s  %s (%.1f s)\n", time.Since(begin).Seconds(), step, took.Seconds())
	}
}

// followEvery is how often the progress of the process in the background is
// looked at.
const followEvery = 50 * time.Millisecond

// follow copies what is appended to the file until ctx ends.
func follow(ctx context.Context, path string, to io.Writer) {
	var offset int64
	if info, err := os.Stat(path); err == nil {
		offset = info.Size()
	}
	for ended := false; ; {
		offset = copyFrom(path, offset, to)
		if ended {
			return
		}
		select {
		case <-ctx.Done():
			ended = true
		case <-time.After(followEvery):
		}
	}
}

// copyFrom copies the file from the offset on and returns where it ended.
func copyFrom(path string, offset int64, to io.Writer) int64 {
	f, err := os.Open(path)
	if err != nil {
		return offset
	}
	defer f.Close()
	// A progress line that is lost does no harm.
	n, _ := io.Copy(to, io.NewSectionReader(f, offset, 1<<20))
	return offset + n
}
