package itest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/doctor"
	nodepkg "github.com/leydenln/leyden/internal/node"
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
	mine      string              // the home folder of whoever looks; empty: a new one
}

// findings runs the doctor, and returns what it found and its exit status.
func (x examined) findings(args ...string) (doctor.Report, int) {
	x.Helper()
	cmd := exec.CommandContext(x.Context(), filepath.Join(x.bin, "leyden"), append([]string{"--home", x.home, "doctor"}, args...)...)
	mine := x.mine
	if mine == "" {
		mine = x.TempDir()
	}
	if x.as != nil {
		if err := errors.Join(os.Chmod(mine, 0o777), os.Chmod(filepath.Dir(mine), 0o755)); err != nil {
			x.Fatal(err)
		}
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

// expectNone insists that a check found nothing as bad as that.
func (x examined) expectNone(r doctor.Report, id string, s doctor.Severity) {
	x.Helper()
	for _, f := range r.Findings {
		if f.ID == id && f.Severity == s {
			x.Errorf("%s: %s", id, f.What)
		}
	}
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
	x.expect(r, "balance", doctor.Info, "more than 1000")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range secretsOf(t, x.home) {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(string(text), strings.TrimSpace(form)) {
				t.Errorf("tells what is in %s", what)
			}
		}
	}
}

// secretsOf are what the secret files of a node hold, by their paths.
func secretsOf(t *testing.T, home string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || d.IsDir() || filepath.Ext(name) != ".macaroon" && filepath.Ext(name) != ".key" && name != "seed.txt" && name != "wallet-password.txt" {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil || len(found) < 5 {
		t.Fatalf("%d secrets found, %v", len(found), err)
	}
	return found
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

	copied := filepath.Join(node.home, "node", "wallet.db.old")
	if err := exec.CommandContext(t.Context(), "cp", filepath.Join(signer.home, "signer", "data", "chain", "bitcoin", "regtest", "wallet.db"), copied).Run(); err != nil {
		t.Fatal(err)
	}
	r, _ = node.findings()
	node.expect(r, "keys", doctor.Fail, copied+" is a copy of a wallet with private keys")
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	r, _ = node.findings()
	node.expectNone(r, "keys", doctor.Fail)

	// The signer's certificate is lost. What the doctor says brings the two together
	// again.
	keys.line(page, "leyden signer stop")
	for _, name := range []string{"tls.cert", "tls.key"} {
		if err := os.Remove(filepath.Join(signer.home, "signer", name)); err != nil {
			t.Fatal(err)
		}
	}
	keys.line(page, "leyden signer start --detach --rpclisten "+addr)
	r, _ = signer.findings()
	signer.expect(r, "certificates", doctor.Fail, "another certificate than the one in its bundle")
	r, _ = node.findings()
	node.expect(r, "signer", doctor.Fail, "another certificate")
	keys.line(page, "leyden signer export")
	buyer.line(page, "leyden node import --network regtest --bundle "+filepath.Join(signer.home, "signer", "credentials-bundle"))
	r, _ = signer.findings()
	signer.expectNone(r, "certificates", doctor.Fail)
	r, _ = node.findings()
	node.expect(r, "signer", doctor.OK, "and signs")

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

// damage is a way to break a machine: what is typed, what the doctor says of it, and
// how it is undone where the doctor's own words do not mend it.
type damage struct {
	do    []string
	check string
	is    doctor.Severity
	words string
	undo  []string
}

// TestDoctorsRemedies breaks what belongs to a node that runs, and types what the
// doctor says. $H is the node's home, $M whose shell it is, DIR and SAT what a
// person fills in.
func TestDoctorsRemedies(t *testing.T) {
	w := theWorld(t)
	node := w.buyerNode()
	running, err := nodepkg.Status(node.Home())
	if err != nil {
		t.Fatal(err)
	}
	mine := t.TempDir()
	if err := errors.Join(os.Chmod(mine, 0o755), os.Chmod(filepath.Dir(mine), 0o755), os.Mkdir(filepath.Join(mine, "copies"), 0o700)); err != nil {
		t.Fatal(err)
	}
	x := examined{T: t, bin: w.bin, home: string(node.Home()), mine: mine}
	names := strings.NewReplacer("$H", x.home, "$M", mine, "$S", filepath.Dir(running.Socket), "DIR", filepath.Join(mine, "copies"), "SAT", "5")
	types := func(line string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", names.Replace(line))
		cmd.Env = append(devnet.Environ(), "HOME="+mine, "LEYDEN_HOME="+x.home, "PATH="+w.bin+":"+os.Getenv("PATH"))
		cmd.Dir = mine
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	for _, d := range []damage{
		{[]string{"chmod 644 $H/node/data/chain/bitcoin/regtest/admin.macaroon"}, "file-modes", doctor.Warn, "only its folder keeps others out", nil},
		{[]string{"chmod 777 $H"}, "file-modes", doctor.Fail, "others can replace what is in it", nil},
		{[]string{"chmod 755 $H/run"}, "sockets", doctor.Fail, "control socket", nil},
		{[]string{"chmod 711 $S"}, "sockets", doctor.Fail, "past its front", nil},
		{[]string{"cp $H/node/data/chain/bitcoin/regtest/admin.macaroon $M/left.macaroon", "chmod 644 $M/left.macaroon"}, "stray-macaroons", doctor.Fail, "others can read", nil},
		{[]string{"true"}, "stray-macaroons", doctor.Warn, "lies about", []string{"rm $M/left.macaroon"}},
		{[]string{"cp $H/node/lnd.conf $M/kept", "echo alias >> $H/node/lnd.conf"}, "daemons", doctor.Fail, "will not start again", []string{"cp $M/kept $H/node/lnd.conf"}},
		{[]string{"true"}, "backup", doctor.Info, "no second copy", nil},
		{[]string{"mv DIR DIR-away"}, "backup", doctor.Fail, "is not well", []string{"mv DIR-away DIR", "leyden node backup follow --off"}},
		{[]string{"leyden accounts create 50 --label doctored --save_to $M/doctored"}, "accounts", doctor.Warn, "account doctored may spend its whole balance", nil},
		{[]string{"leyden freeze doctored"}, "accounts", doctor.Info, "are frozen: doctored", []string{"leyden accounts remove doctored"}},
	} {
		found := func() (fix string, is bool) {
			r, _ := x.findings()
			for _, f := range r.Findings {
				if f.ID == d.check && f.Severity == d.is && strings.Contains(f.What, d.words) {
					return f.Fix, true
				}
			}
			return "", false
		}
		for _, line := range d.do {
			types(line)
		}
		fix, is := found()
		if !is {
			t.Errorf("%q: nothing found that says %q", d.do, d.words)
			continue
		}
		if d.undo == nil {
			d.undo = []string{fix}
		}
		for _, line := range d.undo {
			types(line)
		}
		if _, is := found(); is {
			t.Errorf("%q: still found after %q", d.do, d.undo)
		}
	}
}
