package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
)

// readyEnv names the file descriptor on which a detached process reports.
const readyEnv = "LEYDEN_READY_FD"

// Spawn says what to start in the background.
type Spawn struct {
	// Args are the arguments of our own binary, without its name.
	Args []string

	// Env is added to this process's environment.
	Env []string

	// LogFile gets stdout and stderr, appended; mode 0600.
	LogFile string
}

// report is the one message of a detached process, JSON. An empty code means
// ready.
type report struct {
	Code    string `json:"code,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Message string `json:"message,omitempty"`
}

// Detach re-executes our own binary in a session of its own and returns its
// pid when it calls Ready. When it calls Fail that error comes back, code and
// hint kept; when it ends without a word the code is start_failed. When ctx
// ends first the process is terminated.
func Detach(ctx context.Context, s Spawn) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find our own binary: %w", err)
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fault.New("write_failed", "check the folder's owner and mode", "log file: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()

	cmd := exec.Command(self, s.Args...)
	cmd.Env = append(os.Environ(), append(s.Env, readyEnv+"=3")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, fault.New("start_failed", "", "start in the background: %w", err)
	}

	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if err := awaitReport(r, s.LogFile); err != nil {
		_ = cmd.Wait()
		if ctx.Err() != nil {
			return 0, fault.New("start_timeout", "see "+s.LogFile, "not ready in time: %w", ctx.Err())
		}
		return 0, err
	}
	pid = cmd.Process.Pid // Release forgets it
	return pid, cmd.Process.Release()
}

// awaitReport reads the one message; an end of file without one means the
// process died.
func awaitReport(r io.Reader, logFile string) error {
	var m report
	if err := json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&m); err != nil {
		return fault.New("start_failed", "see "+logFile, "the process ended before it was ready")
	}
	if m.Code == "" {
		return nil
	}
	return fault.New(m.Code, m.Hint, "%s", m.Message)
}

// Ready tells the process that detached us that we serve. It does nothing in
// the foreground, or the second time.
func Ready() { send(report{}) }

// Fail tells the process that detached us why we could not start.
func Fail(err error) {
	send(report{Code: fault.Code(err), Hint: fault.Hint(err), Message: err.Error()})
}

// Detached says whether this process was started by Detach and has not yet
// reported.
func Detached() bool { return readyPipe() != nil }

// readyPipe opens the descriptor once and keeps it from our own children.
var readyPipe = sync.OnceValue(func() *os.File {
	fd, err := strconv.Atoi(os.Getenv(readyEnv))
	if err != nil {
		return nil
	}
	os.Unsetenv(readyEnv)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
})

func send(m report) {
	f := readyPipe()
	if f == nil {
		return
	}
	// Nobody to tell when the parent is gone or was told before.
	_ = json.NewEncoder(f).Encode(m)
	_ = f.Close()
}
