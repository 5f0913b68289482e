package testbin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/until"
)

// patience bounds one run of a program.
const patience = 3 * time.Minute

// Voice is an error as our programs print it.
type Voice struct{ Code, Message, Hint string }

// Run runs one of our programs and returns what it prints: on stdout, or, with the
// error that it tells, on stderr. It fails the test when the program ends in any
// other way, and when the error has no hint or more than one line.
func Run(t testing.TB, argv ...string) (stdout, stderr []byte, told *Voice) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.Output()
	if err == nil {
		return stdout, said.Bytes(), nil
	}
	var exit *exec.ExitError
	var voiced struct{ Error Voice }
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || json.Unmarshal(said.Bytes(), &voiced) != nil || voiced.Error.Code == "" {
		t.Fatalf("%q: %v\n%s%s", argv, err, stdout, said.Bytes())
	}
	e := voiced.Error
	if e.Message == "" || e.Hint == "" || strings.Contains(e.Message, "\n") {
		t.Errorf("%q: poor error %+v", argv, e)
	}
	t.Logf("%q: %+v", argv, e)
	return stdout, said.Bytes(), &e
}

// FreePort is a loopback address that nobody listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	addr, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Kill ends a process as power loss does.
func Kill(t testing.TB, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("no process %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// AwaitEnd waits until the process has ended: gone, or a zombie nobody reaps.
func AwaitEnd(t testing.TB, pid int) {
	t.Helper()
	until.True(t, fmt.Sprintf("process %d to end", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}
