package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fetch"
)

// now is the time in all tests.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// bench is a machine to look at: an Env over folders of the test's own.
type bench struct {
	*testing.T
	*Env
	dir string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, &Env{
		Home: config.Home(filepath.Join(dir, ".leyden")), Lnget: filepath.Join(dir, ".lnget"), Proc: filepath.Join(dir, "proc"),
		Self: &User{Name: "op", UID: uint32(os.Getuid())}, Now: now, HotBalance: DefaultHotBalance, Environ: []string{},
	}, dir}
	b.mkdir(string(b.Home), 0o700)
	b.chmod(filepath.Dir(dir), 0o755) // so that nothing but our folders keeps others out
	b.chmod(dir, 0o755)
	return b
}

// write makes a file with that mode in the test's folder, and the folders above
// it.
func (b *bench) write(name, text string, mode os.FileMode) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.chmod(path, mode)
	return path
}

func (b *bench) mkdir(path string, mode os.FileMode) {
	b.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		b.Fatal(err)
	}
	b.chmod(path, mode)
}

func (b *bench) chmod(path string, mode os.FileMode) {
	b.Helper()
	if err := os.Chmod(path, mode); err != nil {
		b.Fatal(err)
	}
}

// runs makes a daemon run, with what it has written down about itself.
func (b *bench) runs(name string, r running) {
	b.Helper()
	lock, err := daemon.Acquire(filepath.Join(b.Home.Run(), name+".pid"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { lock.Release() })
	r.PID = os.Getpid()
	data, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	b.write(".leyden/run/"+name+".json", string(data), 0o600)
}

// want is what a finding must be: its severity, and words of it.
type want struct {
	severity Severity
	words    string
}

// checked is a table of one check: what is there, and what is found.
type checked map[string]struct {
	make func(*bench)
	want []want
}

func (c checked) run(t *testing.T, check func(context.Context, *Env) []Finding) {
	t.Helper()
	for name, row := range c {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			row.make(b)
			found := check(t.Context(), b.Env)
			if len(found) != len(row.want) {
				t.Fatalf("found %s, want %v", told(found), row.want)
			}
			for _, w := range row.want {
				if !slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == w.severity && strings.Contains(f.What, w.words) }) {
					t.Errorf("found %s, want %v", told(found), w)
				}
			}
			for _, f := range found {
				if (f.Severity == Warn || f.Severity == Fail) && f.Fix == "" {
					t.Errorf("%q says not what to do", f.What)
				}
			}
		})
	}
}

func told(found []Finding) string {
	var lines []string
	for _, f := range found {
		lines = append(lines, string(f.Severity)+" "+f.What+" ("+f.Fix+")")
	}
	return "[" + strings.Join(lines, "\n") + "]"
}

func TestReport(t *testing.T) {
	r := report([]Finding{ok("a"), warn("x", "b"), fail("x", "c"), unseen("x", "d"), info("", "e")})
	var order []string
	for _, f := range r.Findings {
		order = append(order, f.What)
	}
	if got := strings.Join(order, ""); got != "cbdea" {
		t.Errorf("order %s, want cbdea", got)
	}
	if r.OK || r.Passes(false) || r.Counts[Fail] != 1 || r.Counts[Info] != 2 || r.Unseen != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestPasses(t *testing.T) {
	for name, c := range map[string]struct {
		found         []Finding
		plain, strict bool
	}{
		"ok/nothing":  {nil, true, true},
		"ok/info":     {[]Finding{ok("a"), info("", "b")}, true, true},
		"fail/warn":   {[]Finding{warn("", "a")}, true, false},
		"fail/unseen": {[]Finding{unseen("", "a")}, true, false},
		"fail/fail":   {[]Finding{fail("", "a")}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := report(c.found)
			if r.Passes(false) != c.plain || r.Passes(true) != c.strict {
				t.Errorf("passes %t, strictly %t", r.Passes(false), r.Passes(true))
			}
		})
	}
}

// TestRunSkips also runs every check where there is nothing at all.
func TestRunSkips(t *testing.T) {
	b := newBench(t)
	if err := os.Remove(string(b.Home)); err != nil {
		t.Fatal(err)
	}
	all := Run(t.Context(), b.Env, nil)
	if !all.OK || all.Counts[Warn] > 1 { // the clock of the machine
		t.Errorf("found %s", told(all.Findings))
	}
	if r := Run(t.Context(), b.Env, []string{"clock", "home"}); len(r.Findings) != 0 {
		t.Errorf("found %s", told(r.Findings))
	}
	if _, err := os.Stat(string(b.Home)); err == nil {
		t.Error("the home folder was made")
	}
}

// TestHangs: a check that does not end, whatever its context says, is told as one
// that could not look.
func TestHangs(t *testing.T) {
	b := newBench(t)
	hang := make(chan struct{})
	defer close(hang)
	r := run(t.Context(), b.Env, []Check{
		{"stuck", "a disk that is away", func(context.Context, *Env) []Finding { <-hang; return nil }, true},
		{"slow", "ends with its time", func(ctx context.Context, _ *Env) []Finding { <-ctx.Done(); return []Finding{fail("x", "no answer")} }, true},
		{"quick", "", func(context.Context, *Env) []Finding { return []Finding{ok("quick")} }, true},
	}, time.Millisecond)
	if r.Unseen != 1 || r.Counts[Fail] != 1 || r.Counts[OK] != 1 || r.Passes(true) {
		t.Errorf("found %s", told(r.Findings))
	}
	for _, f := range r.Findings {
		if f.Unseen != (f.ID == "stuck") {
			t.Errorf("%+v", f)
		}
	}
}

// TestPipes: what is the agent's to write cannot hold the doctor up, or fill its
// memory.
func TestPipes(t *testing.T) {
	for name, dst := range map[string]string{"pipe": "", "endless": "/dev/zero"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			plant := func(name string) string {
				path := filepath.Join(b.dir, name)
				err := os.MkdirAll(filepath.Dir(path), 0o700)
				if err == nil && dst != "" {
					err = os.Symlink(dst, path)
				} else if err == nil {
					err = syscall.Mkfifo(path, 0o600)
				}
				if err != nil {
					b.Fatal(err)
				}
				return path
			}
			b.lnget(func(c *fetch.Config) {
				c.LN.LND.TLSCert, c.LN.LND.Macaroon = plant("tls.cert"), plant("agent.macaroon")
			})
			b.Scratch = []string{b.dir}
			paid := Run(t.Context(), b.Env, []string{"clock"})
			if err := os.Remove(filepath.Join(b.Lnget, "config.yaml")); err != nil {
				b.Fatal(err)
			}
			plant(".lnget/config.yaml")
			unset := Run(t.Context(), b.Env, []string{"clock"})
			for _, r := range []Report{paid, unset} {
				if r.OK || r.Unseen != 0 {
					t.Errorf("found %s", told(r.Findings))
				}
			}
		})
	}
}

// TestClosed: whom the folder keeps out is told so, once.
func TestClosed(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("nothing keeps root out")
	}
	b := newBench(t)
	b.write(".leyden/node/seed.txt", "x", 0o600)
	b.Self.UID++ // somebody else
	b.chmod(string(b.Home), 0)
	t.Cleanup(func() { b.chmod(string(b.Home), 0o700) })
	r := Run(t.Context(), b.Env, []string{"clock", "disk"})
	if !r.OK || r.Unseen != 1 || r.Passes(true) || r.Counts[OK] != 1 {
		t.Errorf("found %s", told(r.Findings))
	}
}

// TestNothingIsChanged compares all there is before and after.
func TestNothingIsChanged(t *testing.T) {
	b := newBench(t)
	b.made("watchonly", "mainnet", "signer_host: localhost:1\n")
	b.bundle(b.cert(now, year))
	b.accounts(account.New{Label: "agent", Balance: sat})
	b.gate(b.paid())
	b.lnget(nil)
	b.write("agent.macaroon", role("pay-only"), 0o644)
	b.write(".leyden/gate/master.key", "x", 0o644)
	b.Scratch, b.Agent = []string{b.dir}, stranger()
	for _, log := range []bool{false, true} { // what a killed process leaves beside the books
		if log {
			b.killed()
		}
		before := b.snapshot()
		r := Run(t.Context(), b.Env, nil)
		if len(r.Findings) < 20 {
			t.Errorf("only %d findings", len(r.Findings))
		}
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "books" && f.Severity == OK }) {
			t.Errorf("the books were not looked at: %s", told(r.Findings))
		}
		if after := b.snapshot(); !slices.Equal(after, before) {
			t.Errorf("before %q, after %q", before, after)
		}
	}
}

// killed leaves the accounts as a node does that was killed: with the database's
// log beside it.
func (b *bench) killed() {
	b.Helper()
	path := filepath.Join(b.Home.Guard(), "guard.db")
	l, err := account.Open(b.Context(), path, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.Create(b.Context(), audit.Actor{Kind: "operator", Via: "api"}, account.New{Balance: sat}); err != nil {
		b.Fatal(err)
	}
	left := map[string][]byte{}
	for _, end := range []string{"", "-wal"} {
		if left[end], err = os.ReadFile(path + end); err != nil || len(left[end]) == 0 {
			b.Fatal("no log", err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for end, data := range left {
		b.write(".leyden/guard/guard.db"+end, string(data), 0o600)
	}
}

// snapshot tells every file, with its mode, its times of change and what it holds.
func (b *bench) snapshot() (all []string) {
	b.Helper()
	files, blind := walk(b.dir)
	if len(blind) > 0 {
		b.Fatal(told(blind))
	}
	for _, f := range files {
		line := fmt.Sprintf("%s %s %d", f.path, f.info.Mode(), owner(f.info))
		if f.info.Mode().IsRegular() {
			data, err := os.ReadFile(f.path)
			if err != nil {
				b.Fatal(err)
			}
			line += fmt.Sprintf(" %s %x", f.info.ModTime(), sha256.Sum256(data))
		}
		all = append(all, line)
	}
	return all
}

func TestChecksAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.ID] || c.ID == "" || c.About == "" || strings.ToLower(c.ID) != c.ID || strings.Contains(c.ID, " ") {
			t.Errorf("check %+v", c)
		}
		seen[c.ID] = true
	}
}

func TestLookupUser(t *testing.T) {
	for name, c := range map[string]struct {
		user string
		uid  uint32
		code bool
	}{
		"ok/name":   {"root", 0, false},
		"ok/number": {"0", 0, false},
		"fail/none": {"nobody-of-that-name", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := LookupUser(c.user)
			if (err != nil) != c.code {
				t.Fatal(err)
			}
			if err == nil && (u.UID != c.uid || !slices.Contains(u.Groups, "root") && !slices.Contains(u.Groups, "wheel")) {
				t.Errorf("got %+v", u)
			}
		})
	}
}
