package itest

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/doctor"
)

// TestDoctorPage types the page of the doctor, at a node that runs.
func TestDoctorPage(t *testing.T) {
	const page = "docs/doctor.md"
	w := theWorld(t)
	r := w.reader(t, w.buyerNode(), "leyden doctor", "TMPDIR="+t.TempDir()+" leyden doctor")
	for _, text := range []string{"--list", "--agent-user", "--skip"} {
		r.types(page, text)
	}
	text := readPage(t, page)
	for _, c := range doctor.Checks() {
		if !strings.Contains(text, "\n| `"+c.ID+"` | ") {
			t.Errorf("%s does not say what %s looks at", page, c.ID)
		}
	}
}

// examined is a home to look at, by a user of the machine.
type examined struct {
	*testing.T
	bin, home string
	as        *syscall.Credential // nil: who runs the test
}

// findings runs the doctor, and returns what it found and its exit status.
func (x examined) findings(args ...string) (doctor.Report, int) {
	x.Helper()
	cmd := exec.CommandContext(x.Context(), filepath.Join(x.bin, "leyden"), append([]string{"--home", x.home, "doctor"}, args...)...)
	mine := x.TempDir()
	if err := errors.Join(os.Chmod(mine, 0o777), os.Chmod(filepath.Dir(mine), 0o755)); err != nil {
		x.Fatal(err)
	}
	cmd.Env, cmd.Dir = append(devnet.Environ(), "HOME="+mine, "TMPDIR="+mine), mine
	if x.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: x.as}
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	var report doctor.Report
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		x.Fatalf("%v: %v: %s%s", jsonErr, err, out, said.String())
	}
	return report, cmd.ProcessState.ExitCode()
}

// expect insists on one finding of a check.
func (x examined) expect(r doctor.Report, id string, s doctor.Severity, words string) {
	x.Helper()
	var others []string
	for _, f := range r.Findings {
		if f.ID != id {
			continue
		}
		if f.Severity == s && strings.Contains(f.What, words) {
			return
		}
		others = append(others, string(f.Severity)+" "+f.What)
	}
	x.Errorf("%s: no %s finding has %q, but: %q", id, s, words, others)
}

func TestDoctorAtANode(t *testing.T) {
	w := theWorld(t)
	x := examined{T: t, bin: w.bin, home: string(w.buyerNode().Home())}
	r, status := x.findings("--max-balance", "1000")
	if status != 0 || !r.OK || r.Unseen > 0 {
		t.Errorf("exit status %d: %+v", status, r)
	}
	for id, words := range map[string]string{
		"daemons": "the node runs", "file-modes": "by their owner alone", "sockets": "0700", "ports": "gRPC port is this machine's",
		"certificates": "the node's certificate", "books": "journal is whole", "sync": "to block", "versions": "runs this program",
	} {
		x.expect(r, id, doctor.OK, words)
	}
	x.expect(r, "balance", doctor.Warn, "more than 1000")
	if _, status := x.findings("--max-balance", "1000", "--strict"); status != 1 {
		t.Errorf("strictly: exit status %d", status)
	}
}

// TestDoctorAtASigner asks a watch-only node's signer while it is there and away.
func TestDoctorAtASigner(t *testing.T) {
	const page = "docs/doctor.md"
	w := theWorld(t)
	addr := net.JoinHostPort("127.0.0.1", freePort(t))
	keys := reader{t: t, w: w, home: t.TempDir(), names: strings.NewReplacer()}
	keys.line(page, "leyden signer init --network regtest --allow-ip 127.0.0.1")
	keys.line(page, "leyden signer start --detach --rpclisten "+addr)
	stopped := false
	defer func() {
		if !stopped {
			keys.line(page, "leyden signer stop")
		}
	}()
	signer := examined{T: t, bin: w.bin, home: filepath.Join(keys.home, ".leyden")}
	r, status := signer.findings()
	if status != 0 {
		t.Errorf("exit status %d: %+v", status, r)
	}
	signer.expect(r, "daemons", doctor.OK, "the signer runs")
	signer.expect(r, "signer-macaroon", doctor.OK, "and nothing else")
	signer.expect(r, "signer-macaroon", doctor.OK, "only from address 127.0.0.1")
	signer.expect(r, "certificates", doctor.OK, "the signer's")

	buyer := reader{t: t, w: w, home: t.TempDir(), names: strings.NewReplacer()}
	buyer.line(page, "leyden node import --network regtest --bundle "+filepath.Join(signer.home, "signer", "credentials-bundle"))
	buyer.line(page, "leyden node create --network regtest --backend neutrino")
	buyer.line(page, "leyden node start --detach --sync-wait 1ms --rpclisten 127.0.0.1:0 --apilisten 127.0.0.1:0 --listen 127.0.0.1:0 --signer-host "+addr)
	defer buyer.line(page, "leyden node stop")
	node := examined{T: t, bin: w.bin, home: filepath.Join(buyer.home, ".leyden")}
	r, _ = node.findings()
	node.expect(r, "signer", doctor.OK, "and signs")
	node.expect(r, "keys", doctor.OK, "watch-only")
	node.expect(r, "keys", doctor.Info, "is on this machine")
	node.expect(r, "signer-macaroon", doctor.OK, "and nothing else")

	keys.line(page, "leyden signer stop")
	stopped = true
	r, status = node.findings()
	if status != 1 {
		t.Errorf("without its signer: exit status %d", status)
	}
	node.expect(r, "signer", doctor.Fail, "cannot be reached")
}

// TestDoctorAsAnotherUser: who has no business there is told nothing but that.
func TestDoctorAsAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root becomes another user")
	}
	w := theWorld(t)
	node := w.buyerNode()
	bin := t.TempDir()
	data, err := os.ReadFile(w.program("leyden"))
	if err == nil {
		err = errors.Join(os.Chmod(filepath.Dir(bin), 0o755), os.Chmod(bin, 0o755), os.WriteFile(filepath.Join(bin, "leyden"), data, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	x := examined{T: t, bin: bin, home: string(node.Home()), as: &syscall.Credential{Uid: 65534, Gid: 65534}}
	r, status := x.findings()
	if status != 0 || r.Unseen == 0 {
		t.Errorf("exit status %d: %+v", status, r)
	}
	x.expect(r, "agent", doctor.OK, "cannot even look into")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"seed.txt", "admin.macaroon", "guard.db"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("names %s: %s", secret, text)
		}
	}
}
