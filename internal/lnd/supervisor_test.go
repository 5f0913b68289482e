package lnd

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/until"
)

const patience = 2 * time.Minute

// newFake makes a supervisor of a fake child with the script.
func newFake(t *testing.T, script string, change func(*SupervisorConfig)) *Supervisor {
	t.Helper()
	dir := t.TempDir()
	writeScript(t, dir, script)
	cfg := SupervisorConfig{
		Runner: fakeRunner(dir), Password: rightPassword,
		MinPause: time.Millisecond, MaxPause: 10 * time.Millisecond, StopTime: patience,
	}
	if change != nil {
		change(&cfg)
	}
	return NewSupervisor(cfg)
}

func writeScript(t *testing.T, dir, script string) {
	t.Helper()
	if err := files.Write(filepath.Join(dir, "script"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
}

// supervise runs one. stop ends it and may be called once.
func supervise(t *testing.T, script string, change func(*SupervisorConfig)) (s *Supervisor, stop func() error) {
	t.Helper()
	s = newFake(t, script, change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("the supervisor does not end")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s, stop
}

// awaitStatus waits until the status is as wanted.
func awaitStatus(t *testing.T, s *Supervisor, what string, want func(Status) bool) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var found *Status
	s.Watch(ctx, func(st Status) {
		if found == nil && want(st) {
			found = &st
			cancel()
		}
	})
	if found == nil {
		t.Fatalf("never %s; now %+v", what, s.Status())
	}
	return *found
}

func active(st Status) bool { return st.State == Active }

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestRunAndStop(t *testing.T) {
	s, stop := supervise(t, "serve", nil)
	st := awaitStatus(t, s, "active", active)
	if st.PID == 0 || !alive(st.PID) {
		t.Errorf("status %+v", st)
	}
	if err := Unlock(t.Context(), s.Endpoint(), []byte("wrong password"), 0); fault.Code(err) != "wrong_password" {
		t.Errorf("unlock: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if alive(st.PID) {
		t.Error("the child lives on")
	}
	if got := s.Status(); got != (Status{}) {
		t.Errorf("after stop: %+v", got)
	}
	if _, err := os.Stat(s.cfg.Runtime); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder is still there: %v", err)
	}
}

// killActive waits until the child serves for the given time, and kills it.
func killActive(t *testing.T, s *Supervisor, restarts int) {
	t.Helper()
	signalActive(t, s, restarts, syscall.SIGKILL)
}

func signalActive(t *testing.T, s *Supervisor, restarts int, sig syscall.Signal) {
	t.Helper()
	st := awaitStatus(t, s, "active", func(st Status) bool { return st.State == Active && st.Restarts == restarts })
	if st.Err != nil {
		t.Errorf("the error outlives the cure: %v", st.Err)
	}
	if err := syscall.Kill(st.PID, sig); err != nil {
		t.Fatal(err)
	}
}

func TestRestart(t *testing.T) {
	s, _ := supervise(t, "serve", nil)
	for n := range 3 {
		killActive(t, s, n)
	}
	awaitStatus(t, s, "active", func(st Status) bool { return st.State == Active && st.Restarts == 3 })
}

// TestDownIsTold: lnd dies until it was told of, so that nobody can be too slow to
// see it.
func TestDownIsTold(t *testing.T) {
	s, _ := supervise(t, "serve die", func(c *SupervisorConfig) { c.MinPause = 50 * time.Millisecond })
	killActive(t, s, 0)
	st := awaitStatus(t, s, "down, with its next start", func(st Status) bool {
		return fault.Code(st.Err) == "backend_unreachable" && !st.NextStart.IsZero()
	})
	if st.State != Down || st.PID != 0 || st.Restarts == 0 {
		t.Errorf("status %+v", st)
	}
	writeScript(t, s.cfg.Dir, "serve")
	awaitStatus(t, s, "active again", func(now Status) bool { return now.State == Active && now.Restarts > st.Restarts })
}

// TestFirstStartFails: what the operator must put right is not retried.
func TestFirstStartFails(t *testing.T) {
	cases := map[string]struct {
		script string
		change func(*SupervisorConfig)
		code   string
		part   string
	}{
		"configuration":  {"config serve", nil, "bad_lnd_conf", "our default: unknown option: nosuch"},
		"dies":           {"die serve", nil, "backend_unreachable", "unable to reach btcd"},
		"no wallet":      {"nowallet serve", nil, "no_wallet", "no wallet yet"},
		"wrong password": {"serve", func(c *SupervisorConfig) { c.Password = password("wrong") }, "wrong_password", "does not open"},
		"no binary":      {"serve", func(c *SupervisorConfig) { c.Self = "/nonexistent" }, "start_failed", "start lnd"},
		"peer address":   {"serve", withOption("listen", "127.0.0.256:1"), "bad_address", "127.0.0.256"},
		"peer port":      {"serve", withOption("listen", taken(t)), "port_in_use", "taken by another program"},
		"backend":        {"serve", withBackend("btcd", free(t)), "backend_unreachable", "chain backend btcd"},
		"lnddir":         {"serve", func(c *SupervisorConfig) { c.Dir = "/dev/null/node" }, "write_failed", "/dev/null"},
	}
	for name, c := range cases {
		t.Run("fail/"+name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := newFake(t, c.script, c.change).Run(ctx)
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), c.part) {
				t.Errorf("got %q %v, want %q %q", fault.Code(err), err, c.code, c.part)
			}
		})
	}
}

func password(p string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(p), nil }
}

func withOption(name, value string) func(*SupervisorConfig) {
	return func(c *SupervisorConfig) {
		c.Config = mustBuild(Settings{Network: "regtest", Conf: []Option{{Name: name, Value: value}}})
	}
}

func withBackend(backend, addr string) func(*SupervisorConfig) {
	return func(c *SupervisorConfig) {
		c.Config = mustBuild(Settings{Network: "regtest", Backend: backend, Conf: []Option{
			{Name: "nolisten", Value: "true"}, {Name: backend + ".rpchost", Value: addr}}})
	}
}

func mustBuild(s Settings) *Config {
	c, err := Build(s)
	if err != nil {
		panic(err)
	}
	return c
}

// taken returns an address that somebody listens on.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	addr, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// TestWaitsForOperator: without a password the wallet stays locked until it is
// opened over the socket.
func TestWaitsForOperator(t *testing.T) {
	s, _ := supervise(t, "serve", func(c *SupervisorConfig) { c.Password = nil })
	awaitStatus(t, s, "locked", func(st Status) bool { return st.State == Locked && st.AwaitsPassword })
	if err := Unlock(t.Context(), s.Endpoint(), []byte(fakePassword), 0); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, s, "active", active)
}

// TestPasswordChangedMeanwhile: a password that was right once leaves a
// restarted node locked, and says why.
func TestPasswordChangedMeanwhile(t *testing.T) {
	var calls atomic.Int32
	s, _ := supervise(t, "serve", func(c *SupervisorConfig) {
		c.Password = func() ([]byte, error) {
			if calls.Add(1) == 1 {
				return rightPassword()
			}
			return []byte("wrong"), nil
		}
	})
	killActive(t, s, 0)
	awaitStatus(t, s, "locked", func(st Status) bool {
		return st.State == Locked && st.AwaitsPassword && fault.Code(st.Err) == "wrong_password"
	})
}

// TestStubbornChildIsKilled: stop is bounded.
func TestStubbornChildIsKilled(t *testing.T) {
	s, stop := supervise(t, "stubborn", func(c *SupervisorConfig) { c.StopTime = 50 * time.Millisecond })
	st := awaitStatus(t, s, "active", active)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if alive(st.PID) {
		t.Error("the child lives on")
	}
}

// TestNoOrphan: the child ends when its parent is killed, and a new parent
// takes over what was left behind.
func TestNoOrphan(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "parent", dir)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	spec := fakeRunner(dir).spec(false)
	// Who tries the lock keeps the child from having it; the socket comes after the lock.
	until.True(t, "the child's socket", func() bool {
		_, err := os.Stat(spec.Socket)
		return err == nil
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	s, _ := supervise(t, "serve", func(c *SupervisorConfig) { c.Runner = fakeRunner(dir) })
	st := awaitStatus(t, s, "active", active)
	if st.Restarts != 0 {
		t.Errorf("it took several starts: %+v", st)
	}
}
