package gate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/internal/until"
)

// TestTwoGatesOneFolder: the second, of another home, would restore the
// payments that the first is about to answer.
func TestTwoGatesOneFolder(t *testing.T) {
	b, dir := newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, dir, newFakeNode(), services)
	if _, err := tryGate(t, dir, newFakeNode(), services); fault.Code(err) != "already_running" || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second: %v", err)
	}
	home := config.Home(t.TempDir())
	writeConfigFile(t, filepath.Join(dir, "gate.yaml"), "basedir: "+dir+"\n"+services)
	if _, err := RotateKey(t.Context(), home, filepath.Join(dir, "gate.yaml"), false); fault.Code(err) != "already_running" {
		t.Errorf("rotate-key beside it: %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	openGate(t, dir, newFakeNode(), services)
}

// TestRotateKeyWithoutFile: a key file that is gone is told, and not replaced
// by one that makes every token worthless.
func TestRotateKeyWithoutFile(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	token := buy(t, g.node, get(t, g.Gate, "/news/1"))
	path := filepath.Join(home.Gate(), keyFile)
	if err := os.Rename(path, path+".lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateKey(t.Context(), home, "", false); fault.Code(err) != "key_missing" || !missing(path) {
		t.Errorf("the running gate: %v", err)
	}
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token sold before: %d", resp.StatusCode)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(home.Gate(), "gate.yaml")
	other := config.Home(t.TempDir()) // in which none runs
	writeConfigFile(t, cfg, "basedir: "+home.Gate()+"\n"+fmt.Sprintf(twoServices, b.addr()))
	if _, err := RotateKey(t.Context(), other, cfg, false); fault.Code(err) != "key_missing" || !missing(path) {
		t.Errorf("without a gate: %v", err)
	}
	if r, err := RotateKey(t.Context(), other, cfg, true); err != nil || r.Kept != 0 {
		t.Errorf("to begin anew: %+v, %v", r, err)
	}
}

// TestReloadKeepsItsFolder: the next start would look elsewhere.
func TestReloadKeepsItsFolder(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	services := fmt.Sprintf(twoServices, b.addr())
	g := runGate(t, home, "basedir: elsewhere\n"+services)
	writeConfig(t, g.Gate, services)
	if err := Reload(t.Context(), home); fault.Code(err) != codeNeedsRestart || !strings.Contains(err.Error(), "basedir") {
		t.Errorf("without basedir: %v", err)
	}
}

// TestStatusOfAGateThatCannotSell: its node answers, and is the wrong one.
func TestStatusOfAGateThatCannotSell(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	g.node.mu.Lock()
	g.node.prefix = "lnbc"
	g.node.mu.Unlock()
	if resp := get(t, g.Gate, "/news/1"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("status %d", resp.StatusCode)
	}
	s, err := ReadStatus(t.Context(), home, "")
	if err != nil || s.Node.Reachable || s.Node.Code != "wrong_network" || s.Health == nil || s.Health.Status != "degraded" {
		t.Errorf("%+v, %v", s.Node, err)
	}
}

// TestHealthWithoutRecords: a challenge that cannot be recorded is not made,
// and health says so.
func TestHealthWithoutRecords(t *testing.T) {
	b := newBackend(t)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(twoServices, b.addr()))
	until.True(t, "the node", func() bool { return g.link.Ready() == nil })
	if h := g.health(); h.Status != "ok" {
		t.Fatalf("%+v", h)
	}
	broken, err := gatedb.Open(t.Context(), filepath.Join(t.TempDir(), "gate.db"))
	if err == nil {
		err = broken.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	whole := g.journal.db
	g.journal.db = broken
	if resp := get(t, g, "/news/1"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.StatusCode)
	}
	if h := g.health(); h.Status != "degraded" || h.Code != "database_closed" || !h.PaidPass {
		t.Errorf("%+v", h)
	}
	g.journal.db = whole
	get(t, g, "/news/1")
	if h := g.health(); h.Status != "ok" {
		t.Errorf("with room again: %+v", h)
	}
	g.journal.mu.Lock()
	g.journal.failed = errDown
	g.journal.at = g.journal.at.Add(-troubleLasts)
	g.journal.mu.Unlock()
	if err := g.journal.trouble(); err != nil {
		t.Errorf("long after: %v", err)
	}
}

// TestCertificateThatExpires: nobody renews it but its owner, who is told.
func TestCertificateThatExpires(t *testing.T) {
	for name, c := range map[string]struct {
		validity  time.Duration
		told, bad bool
	}{"ok/good": {60 * 24 * time.Hour, false, false}, "fail/soon": {24 * time.Hour, true, false}, "fail/expired": {-time.Hour, true, true}} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), new(strings.Builder)
			certPEM, keyPEM, err := cert.GenCertPair("somebody", nil, nil, false, c.validity)
			if err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string][]byte{"a.pem": certPEM, "b.pem": keyPEM} {
				if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte("listenaddr: 127.0.0.1:0\ntlscertpath: a.pem\ntlskeypath: b.pem\n"+
				"authenticator: {disable: true}\nservices: [{name: a, address: 'localhost:1'}]\n"), dir)
			if err != nil {
				t.Fatal(err)
			}
			g, err := Start(t.Context(), cfg, slog.New(slog.NewTextHandler(out, nil)))
			if err != nil {
				t.Fatal(err)
			}
			status := g.now.Load().certificate()
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			if told := strings.Contains(out.String(), "the certificate expires soon"); told != c.told || (status.Error != "") != c.bad {
				t.Errorf("told %v, %+v: %s", told, status, out)
			}
		})
	}
}

// TestAccessLogPipe: nothing that reads the log, or does not, stops the gate.
func TestAccessLogPipe(t *testing.T) {
	b, dir := newBackend(t), t.TempDir()
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	services := fmt.Sprintf(twoServices, b.addr())
	g, err := tryGate(t, dir, newFakeNode(), services)
	if err != nil {
		t.Fatal(err)
	}
	writeConfig(t, g, services+"accesslog: pipe\n")
	if err := g.Reload(t.Context()); fault.Code(err) != CodeBadConfig || !strings.Contains(err.Error(), "nobody reads") {
		t.Fatalf("without a reader: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	get(t, g, "/open/1")
	g.observer.access.flushNow()
	line := make([]byte, 4096)
	if n, err := reader.Read(line); err != nil || !strings.Contains(string(line[:n]), "/open/1") {
		t.Errorf("%q, %v", line[:n], err)
	}
	// The reader falls asleep: lines are lost, and nothing else.
	for range 3000 {
		g.observer.access.write([]byte(strings.Repeat("x", 99) + "\n"))
	}
	g.observer.access.flushNow()
	if g.observer.access.lost.Load() == 0 {
		t.Error("nothing was lost: the test tests nothing")
	}
	writeConfig(t, g, services)
	if err := g.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if err := g.Stop(); err == nil || !strings.Contains(err.Error(), "access log lacks") {
		t.Errorf("the loss was not mentioned: %v", err)
	}
}

// TestSameConfigByAnotherName: the running gate is told of a revocation however
// its configuration is named.
func TestSameConfigByAnotherName(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(g.now.Load().cfg.path, link); err != nil {
		t.Fatal(err)
	}
	resp := get(t, g.Gate, "/news/1")
	id, token := identifierOf(t, challenge(t, resp).Tokens[0]), buy(t, g.node, resp)
	if _, err := Revoke(t.Context(), home, link, "", []string{id.TokenID.String()}); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("after: %d", resp.StatusCode)
	}
}

// TestReloadFreesWhatItReplaces: neither goroutines nor files gather, whatever
// the old configuration kept open.
func TestReloadFreesWhatItReplaces(t *testing.T) {
	b, dir := newBackend(t), t.TempDir()
	services := "servestatic: true\nstaticroot: shop\naccesslog: access.log\ninsecure: false\n" + fmt.Sprintf(twoServices, b.addr())
	if err := os.Mkdir(filepath.Join(dir, "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := openGate(t, dir, newFakeNode(), services)
	writeConfig(t, g, services)
	use := func() {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		for _, body := range []string{"", "something"} {
			resp, err := client.Post("https://"+g.Addr().String()+"/open/1", "text/plain", strings.NewReader(body))
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", resp, err)
			}
			_ = resp.Body.Close()
		}
		client.CloseIdleConnections()
		if err := g.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files := func() int {
		runtime.GC() // a folder that nobody has any more is closed by it
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("needs /proc")
		}
		return len(all)
	}
	for range 5 {
		use()
	}
	goroutines, open := runtime.NumGoroutine(), files()
	for range 100 {
		use()
	}
	until.True(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	until.True(t, "files are closed", func() bool { return files() <= open+5 })
}

// TestManyAtOnce: reloads, signals, new keys and renewals come as they like.
func TestManyAtOnce(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	services := fmt.Sprintf(twoServices, b.addr())
	g := runGate(t, home, "insecure: true\n"+services)
	token := buy(t, g.node, get(t, g.Gate, "/news/1"))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				var err error
				switch i % 4 {
				case 0:
					err = Reload(t.Context(), home)
				case 1:
					select {
					case g.hangup <- syscall.SIGHUP:
					default:
					}
				case 2:
					_, err = RotateKey(t.Context(), home, "", false)
				case 3:
					err = errors.Join(g.renewIfOutdated(), func() error { _, err := ReadStats(t.Context(), home, ""); return err }())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token sold before: %d", resp.StatusCode)
	}
	if keys, err := loadKeys(filepath.Join(home.Gate(), keyFile)); err != nil || len(keys) != 11 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestSocketRemoved: who cleans folders up leaves a gate that says what to do,
// and stops in order.
func TestSocketRemoved(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	if err := os.Remove(socketFile(home)); err != nil {
		t.Fatal(err)
	}
	if err := Reload(t.Context(), home); fault.Code(err) != "no_control" || !strings.Contains(fault.Hint(err), "leyden gate stop") {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	if resp := get(t, g.Gate, "/open/1"); resp.StatusCode != http.StatusOK {
		t.Error(resp.StatusCode)
	}
}
