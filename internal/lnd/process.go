package lnd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Names in the private folder and in the runtime folder.
const (
	childConf  = "child.conf"
	socketName = "lnd.sock"
	logName    = "lnd-child.log"
)

// codeStopped is the code of an lnd that ended in order, without being asked to.
const codeStopped = "lnd_stopped"

// maxChildLog is the size in bytes at which the child's own output (panics,
// and what lnd prints before its log is open) is started afresh.
const maxChildLog = 1 << 20

// process is one run of the child.
type process struct {
	cmd      *exec.Cmd
	lifeline *os.File // closing it asks the child to end
	log      string
	logStart int64 // where this run's output begins in log
	done     chan struct{}
	err      error // of Wait, once done is closed
}

// start runs `SELF lnd-child …` with the spec's arguments. The child gets
// SIGTERM when we die, and sees the end of its lifeline. Its output goes to a
// file and not through us, so that it can end in order when we are gone.
func start(self string, spec ChildSpec) (*process, error) {
	log, err := openChildLog(filepath.Join(spec.Dir, "logs"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lifeline: %w", err)
	}
	defer r.Close()

	spec.Lifeline = lifelineFD
	cmd := exec.Command(self, append([]string{ChildCommand}, spec.Args()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = childAttr()
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NOTIFY_SOCKET=") // systemd asks us, not lnd
	})
	p := &process{cmd: cmd, lifeline: w, log: log.Name(), logStart: size, done: make(chan struct{})}

	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the thread that
		// started the child ends: keep it until the child has.
		runtime.LockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fault.New("start_failed", "", "start lnd: %w", errors.Join(err, w.Close()))
	}
	return p, nil
}

// stop asks the child to end, waits for it at most the given time, then kills
// it. Safe to call more than once.
func (p *process) stop(within time.Duration) {
	_ = p.lifeline.Close() // fails only when closed before
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill() // fails only when it has ended
		<-p.done
	}
}

// wait says whether the child has ended, after waiting at most the given time.
func (p *process) wait(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// exitError says why the child ended, from its last words; call it after done.
func (p *process) exitError(c *Config) error {
	words := p.lastWords()
	switch code := p.cmd.ProcessState.ExitCode(); {
	case code == 0:
		return fault.New(codeStopped, "see logs in the node's folder", "lnd ended by itself")
	case code == ExitConfig:
		return fault.New("bad_lnd_conf", "correct lnd.conf or the command line",
			"lnd refuses its configuration: %s", c.explain(words))
	case code == ExitFailed && words != "":
		return classify(words)
	case diskFull(p.log):
		return fault.New("disk_full", "free some space, then try again",
			"lnd ended, and the disk is full: %s", p.cmd.ProcessState)
	default:
		return fault.New("lnd_failed", "see "+p.log, "lnd ended: %s", p.cmd.ProcessState)
	}
}

// minDisk is the space in bytes below which a disk counts as full: lnd's
// databases grow in steps of this order.
const minDisk = 1 << 20

// diskFull says whether there is next to no space left beside the file. A
// child that dies of that may have no space for its last words either.
func diskFull(path string) bool {
	space, known := freeSpace(filepath.Dir(path))
	return known && space < minDisk
}

// freeSpace returns the bytes that are left to us in the folder.
func freeSpace(dir string) (bytes int64, known bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

// lastWords returns the last line that this run wrote.
func (p *process) lastWords() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 4 << 10
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size <= p.logStart {
		return ""
	}
	buf := make([]byte, min(most, size-p.logStart))
	if _, err := f.ReadAt(buf, size-int64(len(buf))); err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(buf)), "\n")
	return lines[len(lines)-1]
}

// classify gives lnd's last words a code.
func classify(words string) error {
	for _, known := range []struct{ part, code, hint string }{
		{"no space left on device", "disk_full", "free some space, then try again"},
		{OtherKeys, "other_signer", "import the bundle of the signer that has this wallet's seed"},
		{"check if remote signing was disabled", "migration_unfinished", "leyden node migrate --signer-host HOST:" + DefaultSignerPort},
		{"invalid password", "macaroon_password", "check the password file"},
		{"address already in use", "port_in_use", "choose another with --listen"},
		{"status code: 401", "backend_refused", "check rpcuser and rpcpass in lnd.conf"},
		// What lnd makes of any failure of its first question to btcd or bitcoind.
		{"node backend does not support taproot", "backend_refused",
			"check rpcuser and rpcpass in lnd.conf, and that the chain backend is not older than taproot"},
		{"connection refused", "backend_unreachable", "start the chain backend, or use --backend neutrino"},
	} {
		if strings.Contains(words, known.part) {
			return fault.New(known.code, known.hint, "lnd ended: %s", words)
		}
	}
	return fault.New("lnd_failed", "see logs in the node's folder", "lnd ended: %s", words)
}

func openChildLog(dir string) (*os.File, error) {
	if err := files.MkdirPrivate(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, logName)
	if info, err := os.Stat(path); err == nil && info.Size() > maxChildLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fault.New("write_failed", "check the folder's owner and mode", "rotate log: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.New("write_failed", "check the folder's owner and mode", "log: %w", err)
	}
	return f, nil
}
