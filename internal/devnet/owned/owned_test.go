package owned_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/until"
)

// TestMain is also each of the programs that the tests run.
func TestMain(m *testing.M) {
	switch os.Getenv("OWNED_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "wait":
		fmt.Println("ready")
		forever()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		forever()
	case "fail":
		fmt.Println("the disk is\nmade of cheese")
		os.Exit(3)
	case "owner":
		p, err := owned.Start(command("wait", os.Getenv("OWNED_TEST_LOG")))
		if err != nil {
			panic(err)
		}
		fmt.Println(p.Pid())
		forever()
	}
}

// forever waits for a signal that nobody sends; the usual ones end the program.
func forever() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
}

func command(role, log string) owned.Command {
	return owned.Command{Path: os.Args[0], LogFile: log,
		Env: append(os.Environ(), "OWNED_TEST_ROLE="+role, "OWNED_TEST_LOG="+log)}
}

func start(t *testing.T, role string) (*owned.Process, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := owned.Start(command(role, log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p, log
}

func said(log, words string) func() bool {
	return func() bool {
		data, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(data), words)
	}
}

func TestStop(t *testing.T) {
	p, log := start(t, "wait")
	until.True(t, "its first words", said(log, "ready"))
	if !p.Running() {
		t.Fatal("not running")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatalf("second stop: %v", err)
	}
	if p.Running() {
		t.Fatal("still running")
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	p, log := start(t, "stubborn")
	until.True(t, "its first words", said(log, "ready"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); fault.Code(err) != "stop_timeout" {
		t.Fatalf("got %v", err)
	}
	if p.Running() {
		t.Fatal("still running")
	}
}

func TestExitHasTheLastWords(t *testing.T) {
	p, _ := start(t, "fail")
	<-p.Done()
	if err := p.Exit(); !strings.Contains(err.Error(), "the disk is made of cheese") ||
		!strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("got %v", err)
	}
}

func TestStartFails(t *testing.T) {
	_, err := owned.Start(owned.Command{Path: "/nonexistent", LogFile: filepath.Join(t.TempDir(), "log")})
	if fault.Code(err) != "start_failed" {
		t.Fatalf("got %v", err)
	}
}

func TestDiesWithItsOwner(t *testing.T) {
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), "OWNED_TEST_ROLE=owner", "OWNED_TEST_LOG="+filepath.Join(t.TempDir(), "log"))
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		t.Fatalf("pid %q: %v", line, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	until.True(t, "the owned program's end", func() bool { return gone(pid) })
}

// gone says whether the process has ended; a zombie that no init reaps has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
