package signer_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/testwallet"
)

// smallDisk is a machine whose home is on a disk of that size (of tmpfs), which no
// other process sees. It needs the right to mount.
type smallDisk struct {
	*machine
	mount string
	pid   int // of a process that sees it
}

func newSmallDisk(t *testing.T, size string) *smallDisk {
	t.Helper()
	d := &smallDisk{machine: newMachine(t), mount: t.TempDir()}
	holder := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs -o size="$1" none "$2" && echo ready && exec cat`, "sh", size, d.mount)
	end, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	d.pid = holder.Process.Pid
	t.Cleanup(func() {
		if d.in != nil {
			if _, code := d.run("status"); code == "" {
				d.must("stop")
			}
		}
		d.in = nil
		end.Close()
		_ = holder.Wait() // ended at the end of its input, or could not mount
	})
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "ready\n" {
		t.Skip("cannot mount a small disk")
	}
	d.in = []string{"nsenter", "--mount=/proc/" + strconv.Itoa(d.pid) + "/ns/mnt", "--"}
	d.home = filepath.Join(d.mount, "home")
	return d
}

// shell runs a command of the shell where the disk is seen.
func (d *smallDisk) shell(script string, args ...string) string {
	d.t.Helper()
	argv := append(append([]string{}, d.in...), append([]string{"sh", "-c", script, "sh"}, args...)...)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// fill leaves that many bytes.
func (d *smallDisk) fill(left int) {
	d.shell(`head -c 1G /dev/zero >"$1/fill" 2>/dev/null; truncate -s -"$2" "$1/fill"`, d.mount, strconv.Itoa(left))
}

func (d *smallDisk) room() { d.shell(`rm "$1/fill"`, d.mount) }

// seen is a file of the disk as this process can reach it.
func (d *smallDisk) seen(path string) string {
	return filepath.Join("/proc", strconv.Itoa(d.pid), "root", path)
}

// TestInitOnFullDisk: wherever the disk becomes full, init says so, and what it says
// to do next works once there is room, with the seed that was written down.
func TestInitOnFullDisk(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"4k", "64k", "512k", "1m"} {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			d := newSmallDisk(t, size)
			if out, code := d.run("init", "--network", "regtest"); code != "disk_full" {
				t.Fatalf("%s", out)
			}
			words, _ := os.ReadFile(d.seen(d.path("seed.txt"))) // perhaps there was no room for them
			d.shell(`mount -o remount,size=64m "$1"`, d.mount)
			if out, code := d.run("init", "--network", "regtest"); code != "" {
				if code != "wallet_exists" || !strings.Contains(string(out), "leyden signer export") {
					t.Fatalf("with room: %s", out)
				}
				d.must("export")
			}
			if again, err := os.ReadFile(d.seen(d.path("seed.txt"))); err != nil || len(words) > 0 && string(again) != string(words) {
				t.Errorf("another seed: %v", err)
			}
			b := read(t, d.seen(d.path("credentials-bundle")))
			d.start()
			if err := sign(d.connect(b, b.Macaroon)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFullDisk: a signer goes on signing; an export and a change of the password fail
// without losing anything.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := newSmallDisk(t, "64m")
	if err := testwallet.Copy(d.seen(d.home), newMade(t).home); err != nil {
		t.Fatal(err)
	}
	bundleDir := d.seen(d.path("credentials-bundle"))
	b := read(t, bundleDir)
	for _, left := range []int{0, 12 << 10} {
		t.Run(strconv.Itoa(left), func(t *testing.T) {
			d.fill(left)
			for _, args := range [][]string{{"export"}, {"export", "--rotate"}, {"change-password"}} {
				if out, code := d.run(args...); code != "disk_full" && code != "" {
					t.Errorf("%q: %s", args, out)
				} else if code == "" && left == 0 {
					t.Errorf("%q succeeded", args)
				}
			}
			d.room()
			d.must("export")
			b = read(t, bundleDir)
			d.start()
			if err := sign(d.connect(b, b.Macaroon)); err != nil {
				t.Error(err)
			}
			d.must("stop")
		})
	}
	d.start()
	d.fill(0)
	if err := sign(d.connect(b, b.Macaroon)); err != nil {
		t.Errorf("with a full disk: %v", err)
	}
	if out, code := d.run("export", "--rotate"); code != "disk_full" {
		t.Errorf("of a running signer: %s", out)
	}
	d.room()
	if err := sign(d.connect(b, b.Macaroon)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestHungLnd: an lnd that does not answer is told of, and changes nothing.
func TestHungLnd(t *testing.T) {
	t.Parallel()
	m := newMade(t)
	b := m.bundle()
	r := m.start()
	if err := syscall.Kill(r.LndPID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, code := m.run("export", "--rotate")
	if err := syscall.Kill(r.LndPID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code != "signer_unreachable" {
		t.Errorf("export: %q", code)
	}
	m.awaitState(lnd.Active)
	if err := sign(m.connect(b, b.Macaroon)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if r := m.awaitState(lnd.Active); !r.BundleCurrent {
		t.Error("the bundle is as before, and status says it is not")
	}
}
