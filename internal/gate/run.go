package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/footprint"
)

// running is what a gate that runs has written down for `gate status`.
type running struct {
	PID     int       `json:"pid"`
	Listen  string    `json:"listen"`
	Config  string    `json:"config"`
	DBFile  string    `json:"db_file"`
	Started time.Time `json:"started"`
}

func pidFile(home config.Home) string    { return filepath.Join(home.Run(), "gate.pid") }
func recordFile(home config.Home) string { return filepath.Join(home.Run(), "gate.json") }

// LogFile is where a gate in the background writes.
func LogFile(home config.Home) string { return filepath.Join(home.Gate(), "gate.log") }

// Run starts the gate, tells ready, and serves until ctx ends. configFlag
// names the configuration, "" for the usual places. Each value of hangup, which
// may be nil, reloads it. Errors: already_running, no_config and Start's.
func Run(ctx context.Context, home config.Home, configFlag string, logTo io.Writer, hangup <-chan os.Signal, ready func(Status)) error {
	defer footprint.ReserveHeap()()
	told := func(s Status) {
		ready(s)
		footprint.ReleaseProgram()
	}
	return run(ctx, home, configFlag, logTo, hangup, told, Start)
}

func run(ctx context.Context, home config.Home, configFlag string, logTo io.Writer, hangup <-chan os.Signal, ready func(Status),
	start func(context.Context, *Config, *slog.Logger) (*Gate, error)) error {
	path, err := Find(configFlag, home.Gate())
	if err != nil {
		return err
	}
	cfg, err := Load(path, home.Gate())
	if err != nil {
		return err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if fault.Code(err) == "already_running" {
		return fault.New("already_running", "leyden gate stop; after a change of gate.yaml: leyden gate reload", "%w", err)
	}
	if err != nil {
		return err
	}
	log, level := newLogger(logTo, cfg)
	g, err := start(ctx, cfg, log)
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	g.level = level
	control, err := g.serveControl(socketFile(home))
	if err != nil {
		return errors.Join(err, g.Stop(), lock.Release())
	}
	record := running{
		PID: os.Getpid(), Listen: g.Addr().String(), Config: cfg.Path(),
		DBFile: cfg.SQLite.DBFile, Started: time.Now().Truncate(time.Second)}
	err = g.serveUntil(ctx, home, record, hangup, ready)
	if gone := os.Remove(recordFile(home)); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return errors.Join(err, control.close(), g.Stop(), lock.Release())
}

// serveUntil writes down where the gate listens, tells ready and waits.
func (g *Gate) serveUntil(ctx context.Context, home config.Home, r running, hangup <-chan os.Signal, ready func(Status)) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := files.Write(recordFile(home), append(text, '\n'), 0o600); err != nil {
		return err
	}
	s, err := g.status(ctx, r)
	if err != nil {
		return err
	}
	ready(s)
	return g.wait(ctx, hangup)
}

func (g *Gate) wait(ctx context.Context, hangup <-chan os.Signal) error {
	cfg := g.now.Load().cfg
	g.log.Info("gate is open", "listen", g.Addr().String(), "config", cfg.Path(), "services", len(cfg.Services))
	for {
		select {
		case err := <-g.failed:
			return err
		case <-hangup:
			_ = g.Reload(ctx) // it has logged what is wrong
		case <-ctx.Done():
			g.log.Info("gate closes")
			return nil
		}
	}
}

// newLogger returns a logger whose level the configuration says, also the one
// of a later reload.
func newLogger(w io.Writer, cfg *Config) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(cfg.level())
	return slog.New(newCalmHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))), level
}

// Stop ends the running gate in order, within ctx. Code not_running.
func Stop(ctx context.Context, home config.Home) error {
	err := daemon.Stop(ctx, pidFile(home))
	if fault.Code(err) == "not_running" {
		return notRunning(home)
	}
	return err
}
