package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/internal/until"
)

// runningGate is a gate as `leyden gate start` runs it, but for its node.
type runningGate struct {
	*Gate
	home   config.Home
	node   *fakeNode
	hangup chan os.Signal
}

// runGate runs one with the services.
func runGate(t *testing.T, home config.Home, services string) *runningGate {
	t.Helper()
	r := &runningGate{home: home, node: newFakeNode(), hangup: make(chan os.Signal, 1)}
	if err := os.MkdirAll(home.Gate(), 0o700); err != nil {
		t.Fatal(err)
	}
	writeConfigFile(t, filepath.Join(home.Gate(), "gate.yaml"), services)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Status, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, home, "", io.Discard, r.hangup, func(s Status) { ready <- s },
			func(ctx context.Context, cfg *Config, log *slog.Logger) (g *Gate, err error) {
				r.Gate, err = start(ctx, cfg, log, r.node.dial)
				return r.Gate, err
			})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(socketFile(home)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
	})
	return r
}

func TestReloadCommand(t *testing.T) {
	b := newBackend(t)
	services := fmt.Sprintf(twoServices, b.addr())
	// A home so deep that the socket's path is too long for an address.
	deep := config.Home(filepath.Join(t.TempDir(), strings.Repeat("deep/", 30)))
	for name, home := range map[string]config.Home{"ok/short": config.Home(t.TempDir()), "ok/deep": deep} {
		t.Run(name, func(t *testing.T) {
			if err := Reload(t.Context(), home); fault.Code(err) != "not_running" {
				t.Errorf("without a gate: %v", err)
			}
			g := runGate(t, home, services)
			info, err := os.Stat(socketFile(home))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			writeConfig(t, g.Gate, services+"  - {name: more, pathregexp: '^/more/', address: 'localhost:1', auth: off}\n")
			if err := Reload(t.Context(), home); err != nil {
				t.Fatal(err)
			}
			if resp := get(t, g.Gate, "/more/x"); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("the new service: %d", resp.StatusCode)
			}
			writeConfig(t, g.Gate, services+"prize: 1\n")
			if err := Reload(t.Context(), home); fault.Code(err) != CodeBadConfig || fault.Hint(err) == "" || !strings.Contains(err.Error(), `"prize"`) {
				t.Errorf("a mistake: %v (%s)", err, fault.Hint(err))
			}
			writeConfig(t, g.Gate, services)
			g.hangup <- syscall.SIGHUP
			until.True(t, "SIGHUP reloads", func() bool { return get(t, g.Gate, "/more/x").StatusCode == http.StatusNotFound })
		})
	}
}

func TestRevokeAtOnce(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	resp := get(t, g.Gate, "/news/1")
	id := identifierOf(t, challenge(t, resp).Tokens[0])
	token := buy(t, g.node, resp)
	other := buy(t, g.node, get(t, g.Gate, "/news/1"))
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Fatalf("before: %d", resp.StatusCode)
	}
	for name, ids := range map[string][]string{
		codeBadTokenID:   {id.TokenID.String(), "abc"},
		codeUnknownToken: {id.TokenID.String(), strings.Repeat("ab", 32)},
	} {
		if _, err := Revoke(t.Context(), home, "", "", ids); fault.Code(err) != name {
			t.Errorf("%v: %v", ids, err)
		}
	}
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a revocation that failed revoked: %d", resp.StatusCode)
	}
	writeConfig(t, g.Gate, "services: [") // somebody is at it: the running gate does not need it
	done, err := Revoke(t.Context(), home, "", "leaked", []string{id.PaymentHash.String()})
	if err != nil || len(done) != 1 || done[0] != (Revocation{id.TokenID.String(), true}) {
		t.Fatalf("revoke: %+v, %v", done, err)
	}
	if resp := get(t, g.Gate, "/news/1", token...); resp.StatusCode != http.StatusPaymentRequired || !strings.Contains(text(t, resp), "token_revoked") {
		t.Errorf("after: %d", resp.StatusCode)
	}
	if resp := get(t, g.Gate, "/news/1", other...); resp.StatusCode != http.StatusOK {
		t.Errorf("another token: %d", resp.StatusCode)
	}
	records, err := Transactions(t.Context(), home, "", gatedb.Filter{State: gatedb.StateSettled})
	if err != nil || len(records) != 2 {
		t.Fatalf("records: %+v, %v", records, err)
	}
	for _, r := range records {
		if revoked := !r.Revoked.IsZero(); revoked != (r.TokenID == id.TokenID) || revoked && r.Reason != "leaked" {
			t.Errorf("record %+v", r)
		}
	}
}

func TestRevokeWithoutGate(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	if _, err := Revoke(t.Context(), home, "", "", []string{strings.Repeat("ab", 32)}); fault.Code(err) != "no_config" {
		t.Errorf("no configuration: %v", err)
	}
	node, services := newFakeNode(), fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, home.Gate(), node, services)
	writeConfig(t, g, services)
	resp := get(t, g, "/news/1")
	id, token := identifierOf(t, challenge(t, resp).Tokens[0]), buy(t, node, resp)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Revoke(t.Context(), home, "", "", []string{id.TokenID.String()}); err != nil {
		t.Fatal(err)
	}
	g = openGate(t, home.Gate(), node, services)
	if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("after the next start: %d", resp.StatusCode)
	}
}

func TestRotateKeyCommand(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	old := buy(t, g.node, get(t, g.Gate, "/news/1"))
	r, err := RotateKey(t.Context(), home, "", false)
	if err != nil || r.Kept != 1 || r.Dropped != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	fresh := get(t, g.Gate, "/news/1")
	if id := identifierOf(t, challenge(t, fresh).Tokens[0]); id.TokenID.KeyID().String() != r.KeyID {
		t.Errorf("minted by %v, want %v", id.TokenID.KeyID(), r.KeyID)
	}
	if resp := get(t, g.Gate, "/news/1", old...); resp.StatusCode != http.StatusOK {
		t.Errorf("an old token: %d", resp.StatusCode)
	}
	if r, err = RotateKey(t.Context(), home, "", true); err != nil || r.Kept != 0 || r.Dropped != 2 {
		t.Fatalf("drop: %+v, %v", r, err)
	}
	if resp := get(t, g.Gate, "/news/1", old...); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("a token of a dropped key: %d", resp.StatusCode)
	}
	if resp := get(t, g.Gate, "/news/1", buy(t, g.node, get(t, g.Gate, "/news/1"))...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token of the newest key: %d", resp.StatusCode)
	}
	keys, err := loadKeys(filepath.Join(home.Gate(), keyFile))
	if err != nil || len(keys) != 1 || keys[0].ID().String() != r.KeyID {
		t.Errorf("key file: %d keys, %v", len(keys), err)
	}
}

func TestStatsAndServices(t *testing.T) {
	b, home := newBackend(t), config.Home(t.TempDir())
	if _, err := ReadStats(t.Context(), home, ""); fault.Code(err) != "no_config" {
		t.Errorf("no configuration: %v", err)
	}
	g := runGate(t, home, fmt.Sprintf(twoServices, b.addr()))
	buy(t, g.node, get(t, g.Gate, "/news/1"))
	get(t, g.Gate, "/dear/1")
	until.True(t, "the payment is on record", func() bool { _, n := totals(t, g.Gate); return n == 1 })
	s, err := ReadStats(t.Context(), home, "")
	if err != nil || !s.Running || s.Live == nil || s.Live.OpenInvoices != 1 || len(s.Services) != 2 || len(s.LastDay) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.Services[0] != (gatedb.ServiceTotals{Service: "dear", Open: 1}) ||
		s.Services[1] != (gatedb.ServiceTotals{Service: "news", Settled: 1, Received: 100_000}) {
		t.Errorf("%+v", s.Services)
	}
	if s.Live.Requests["news"]["challenged"] != 1 || s.Live.Requests["dear"]["challenged"] != 1 || len(s.Live.Requests["news"]) != 1 || s.Live.Health.Status != "ok" {
		t.Errorf("%+v", s.Live)
	}
	views, err := Services(t.Context(), home, "")
	if err != nil || len(views) != 3 || views[1].PriceSat != 100 || views[2].PriceSat != 0 || views[1].FreePaths[0] != "^/health$" {
		t.Errorf("%+v, %v", views, err)
	}
	writeConfig(t, g.Gate, "services: [") // somebody is at it
	if again, err := Services(t.Context(), home, ""); err != nil || !reflect.DeepEqual(again, views) {
		t.Errorf("%+v, %v", again, err)
	}
	if status, err := ReadStatus(t.Context(), home, ""); err != nil || !status.Running || status.Certificate != nil {
		t.Errorf("%+v, %v", status, err)
	}
	if end := TokenEnd(gatedb.Record{}); !end.IsZero() {
		t.Errorf("no token ends %v", end)
	}
}
