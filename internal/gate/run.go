package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/files"
)

// running is what a gate that runs has written down for `gate status`.
type running struct {
	PID     int       `json:"pid"`
	Listen  string    `json:"listen"`
	Config  string    `json:"config"`
	Started time.Time `json:"started"`
}

func pidFile(home config.Home) string    { return filepath.Join(home.Run(), "gate.pid") }
func recordFile(home config.Home) string { return filepath.Join(home.Run(), "gate.json") }

// LogFile is where a gate in the background writes.
func LogFile(home config.Home) string { return filepath.Join(home.Gate(), "gate.log") }

// Run starts the gate, tells ready, and serves until ctx ends. configFlag
// names the configuration, "" for the usual places. Errors: already_running,
// no_config and Start's.
func Run(ctx context.Context, home config.Home, configFlag string, logTo io.Writer, ready func(Status)) error {
	path, err := Find(configFlag, home.Gate())
	if err != nil {
		return err
	}
	cfg, err := Load(path, home.Gate())
	if err != nil {
		return err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return err
	}
	g, err := Start(ctx, cfg, newLogger(logTo, cfg))
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	err = g.record(home)
	if err == nil {
		status, statusErr := ReadStatus(ctx, home, configFlag)
		if err = statusErr; err == nil {
			ready(status)
			err = g.wait(ctx)
		}
	}
	return errors.Join(err, g.Stop(), os.Remove(recordFile(home)), lock.Release())
}

func (g *Gate) wait(ctx context.Context) error {
	g.log.Info("gate is open", "listen", g.Addr().String(), "config", g.cfg.Path(), "services", len(g.cfg.Services))
	select {
	case err := <-g.failed:
		return err
	case <-ctx.Done():
		g.log.Info("gate closes")
		return nil
	}
}

// record writes down where the gate listens.
func (g *Gate) record(home config.Home) error {
	text, err := json.Marshal(running{
		PID: os.Getpid(), Listen: g.Addr().String(), Config: g.cfg.Path(), Started: time.Now().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return files.Write(recordFile(home), append(text, '\n'), 0o600)
}

func newLogger(w io.Writer, cfg *Config) *slog.Logger {
	level := slog.LevelInfo
	if cfg.DebugLevel.set {
		level = cfg.DebugLevel.level
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// Stop ends the running gate in order, within ctx. Code not_running.
func Stop(ctx context.Context, home config.Home) error { return daemon.Stop(ctx, pidFile(home)) }
