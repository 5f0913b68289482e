package daemon_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/until"
)

// TestMain is also the process that the tests put in the background.
func TestMain(m *testing.M) {
	switch os.Getenv("DAEMON_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "serve":
		lock, err := daemon.Acquire(os.Getenv("DAEMON_TEST_PID"))
		if err != nil {
			daemon.Fail(err)
			os.Exit(1)
		}
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		daemon.Ready()
		daemon.Ready()
		<-term
		if err := lock.Release(); err != nil {
			os.Exit(1)
		}
	case "die":
		fmt.Println("last words")
		os.Exit(3)
	case "hang":
		hang := make(chan os.Signal, 1)
		signal.Notify(hang, syscall.SIGUSR1)
		<-hang
	}
}

func spawn(t *testing.T, role, pid string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return daemon.Detach(ctx, daemon.Spawn{
		Env:     []string{"DAEMON_TEST_ROLE=" + role, "DAEMON_TEST_PID=" + pid},
		LogFile: filepath.Join(t.TempDir(), "log"),
	})
}

func TestDetachServeStop(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "run", "x.pid")
	pid, err := spawn(t, "serve", pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := daemon.Running(pidFile); !ok || got != pid {
		t.Fatalf("running %d %v, want %d", got, ok, pid)
	}
	if _, err := daemon.Acquire(pidFile); fault.Code(err) != "already_running" {
		t.Fatalf("acquire: %v", err)
	}
	if _, err := spawn(t, "serve", pidFile); fault.Code(err) != "already_running" {
		t.Fatalf("second start: %v, want the child's own error", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := daemon.Stop(ctx, pidFile); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Stop(ctx, pidFile); fault.Code(err) != "not_running" {
		t.Fatalf("second stop: %v", err)
	}
}

func TestKilledProcessFreesItsPidFile(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "x.pid")
	pid, err := spawn(t, "serve", pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if pid <= 1 {
		t.Fatalf("pid %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var lock *daemon.Lock
	until.True(t, "the lock", func() bool {
		var err error
		lock, err = daemon.Acquire(pidFile)
		return err == nil
	})
	if got, ok := daemon.Running(pidFile); !ok || got != os.Getpid() {
		t.Errorf("running %d %v", got, ok)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
	if err := lock.Release(); err != nil {
		t.Errorf("second release: %v", err)
	}
}

func TestDetachFailures(t *testing.T) {
	if _, err := spawn(t, "die", ""); fault.Code(err) != "start_failed" {
		t.Errorf("die: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := daemon.Detach(ctx, daemon.Spawn{
		Env:     []string{"DAEMON_TEST_ROLE=hang"},
		LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if fault.Code(err) != "start_timeout" {
		t.Errorf("hang: %v", err)
	}
}
