// Package owned runs programs that belong to this process: each ends when we
// end, also when we are killed and run no code of ours any more (Linux; on
// other systems only an orderly end reaches them). A program's output goes to
// a file, so that it can say its last words when we are gone. It restarts
// nothing.
package owned

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
)

// Command is a program to run.
type Command struct {
	// Name is what errors call the program; empty: its path.
	Name string

	// Path is the program's file, Args what follows its name.
	Path string
	Args []string

	// Env is the whole environment; nil means ours.
	Env []string

	// OnOurDeath is what the program gets when we die; 0 means SIGTERM.
	OnOurDeath syscall.Signal

	// LogFile gets stdout and stderr, appended; mode 0600.
	LogFile string
}

// Process is a program that was started.
type Process struct {
	name     string
	cmd      *exec.Cmd
	log      string
	logStart int64
	done     chan struct{}
	err      error
}

// Start runs the program in a process group of its own, so that a Ctrl-C in
// the terminal reaches only us, and we can end all in order. Code: start_failed.
func Start(c Command) (*Process, error) {
	log, err := os.OpenFile(c.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.New("write_failed", "check the folder's owner and mode", "log file: %w", err)
	}
	defer log.Close()
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fault.New("write_failed", "", "log file: %w", err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attr(cmp.Or(c.OnOurDeath, syscall.SIGTERM))
	p := &Process{name: cmp.Or(c.Name, c.Path), cmd: cmd, log: c.LogFile, logStart: size, done: make(chan struct{})}

	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the thread that
		// started the program ends: keep it until the program has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fault.New("start_failed", "", "start %s: %w", p.name, err)
	}
	return p, nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Succeeded says whether the program has ended with exit status 0.
func (p *Process) Succeeded() bool { return !p.Running() && p.cmd.ProcessState.Success() }

// Stop sends SIGTERM and waits; when ctx ends first it kills the program. It
// returns nil unless the program had to be killed. Safe to call twice.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(
			fault.New("stop_timeout", "see "+p.log, "%s did not end in time: %w", p.name, ctx.Err()),
			p.Kill())
	}
}

// Kill ends the program at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// Signal sends s; a program that has ended is no error.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.New("stop_failed", "", "signal %s: %w", p.name, err)
	}
	return nil
}

// Exit says how the program ended, with its last words. Call it after Done.
func (p *Process) Exit() error {
	words := p.lastWords()
	if words == "" {
		words = "it said nothing"
	}
	return fault.New("ended", "see "+p.log, "%s ended (%s): %s", p.name, p.cmd.ProcessState, words)
}

// lastWords returns the end of what this run wrote, on one line.
func (p *Process) lastWords() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 600
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size <= p.logStart {
		return ""
	}
	buf := make([]byte, min(most, size-p.logStart))
	if _, err := f.ReadAt(buf, size-int64(len(buf))); err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(buf)), " ")
}
