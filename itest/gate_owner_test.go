package itest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// owner types `leyden gate` commands about a gate.
type owner struct {
	t    *testing.T
	w    *world
	gate *shop.Gate
}

// says runs a command that must succeed, and reads its JSON.
func (o owner) says(into any, args ...string) {
	o.t.Helper()
	out, status, said := o.run(args...)
	if status != 0 {
		o.t.Fatalf("leyden gate %q: status %d, %s", args, status, said)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		o.t.Fatalf("leyden gate %q: %v: %s", args, err, out)
	}
}

func (o owner) run(args ...string) (out string, status int, said string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), o.w.program("leyden"), append([]string{"--home", o.gate.Home(), "gate"}, args...)...)
	cmd.Env = devnet.Environ()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return stdout.String(), cmd.ProcessState.ExitCode(), stderr.String()
}

// change rewrites the gate's configuration.
func (o owner) change(old, changed string) {
	o.t.Helper()
	path := filepath.Join(o.gate.Home(), "gate", "gate.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		o.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		o.t.Fatalf("no %q in %s", old, text)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, changed)), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// TestGateOwner buys from a gate and does all that its owner can do to it
// while it runs.
func TestGateOwner(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	o := owner{t, w, w.gate(t, false, back.services()...)}
	kept, leaked := w.buy(t, o.gate.URL+"/a"), w.buy(t, o.gate.URL+"/a")
	opens := func(what string, c credential, want int) {
		t.Helper()
		if resp := ask(t, o.gate.URL+"/a", c.header("L402")); resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", what, resp.StatusCode, want)
		}
	}

	var tokens []struct {
		ID          string `json:"id"`
		PaymentHash string `json:"payment_hash"`
		State       string `json:"state"`
	}
	await(t, "both payments are on record", func() bool {
		o.says(&tokens, "tokens", "list", "--service", "cheap")
		return len(tokens) == 2
	})
	var revoked []struct {
		ID      string `json:"id"`
		InForce bool   `json:"in_force"`
	}
	o.says(&revoked, "tokens", "revoke", tokens[0].ID, "--reason", "leaked") // the newest
	if len(revoked) != 1 || revoked[0].ID != tokens[0].ID || !revoked[0].InForce {
		t.Errorf("revoked %+v", revoked)
	}
	opens("a revoked token", leaked, http.StatusPaymentRequired)
	opens("the other token", kept, http.StatusOK)

	var made []struct {
		State string `json:"state"`
	}
	o.says(&made, "transactions", "--state", "open")
	if len(made) != 1 { // asked for with the revoked token
		t.Errorf("%d open transactions", len(made))
	}
	var stats struct {
		Services []struct {
			Service  string `json:"service"`
			Settled  int    `json:"settled"`
			Received int    `json:"received_msat"`
		} `json:"services"`
		Live struct {
			Requests map[string]map[string]int `json:"requests"`
		} `json:"live"`
	}
	o.says(&stats, "stats")
	if len(stats.Services) != 1 || stats.Services[0].Settled != 2 || stats.Services[0].Received != 200_000 ||
		stats.Live.Requests["cheap"]["challenged"] != 3 || stats.Live.Requests["cheap"]["paid"] != 1 {
		t.Errorf("stats %+v", stats)
	}

	var rotation struct {
		Kept int `json:"kept"`
	}
	o.says(&rotation, "rotate-key")
	opens("a token of the older key", kept, http.StatusOK)
	opens("a token of the new key", w.buy(t, o.gate.URL+"/a"), http.StatusOK)
	if out, status, said := o.run("rotate-key", "--drop-old"); status == 0 || !strings.Contains(said, "needs_confirmation") {
		t.Errorf("dropped unasked: %s %s", out, said)
	}
	opens("nothing was dropped", kept, http.StatusOK)
	o.says(&rotation, "rotate-key", "--drop-old", "--yes")
	opens("a token of a dropped key", kept, http.StatusPaymentRequired)
}

// TestGateReloads reloads a running gate by command and by SIGHUP, under load.
func TestGateReloads(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	o := owner{t, w, w.gate(t, true, back.services()...)}
	var (
		clients sync.WaitGroup
		stop    atomic.Bool
		served  atomic.Int64
	)
	for range 4 {
		clients.Go(func() {
			buyer := &http.Client{Transport: insecure()}
			defer buyer.CloseIdleConnections()
			for !stop.Load() {
				resp, err := buyer.Get(o.gate.URL + "/free")
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("a request was lost: %v, %v", resp, err)
					return
				}
				_ = resp.Body.Close()
				served.Add(1)
			}
		})
	}
	price := func() string {
		t.Helper()
		resp, err := (&http.Client{Transport: insecure()}).Get(o.gate.URL + "/.well-known/l402-services")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var list struct {
			Services []struct {
				Price json.Number `json:"price_msat"`
			} `json:"services"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Services) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list.Services[1].Price.String()
	}
	var done struct {
		Reloaded bool `json:"reloaded"`
	}
	for i := range 10 {
		before := served.Load()
		old, changed := "price: 100", "price: 200"
		if i%2 == 1 {
			old, changed = changed, old
		}
		o.change(old, changed)
		o.says(&done, "reload")
		if got, want := price(), strings.TrimPrefix(changed, "price: ")+"000"; got != want {
			t.Errorf("price %s, want %s", got, want)
		}
		await(t, "clients go on", func() bool { return served.Load() > before })
	}
	o.change("price: 100", "price: 300")
	var status struct {
		PID int `json:"pid"`
	}
	o.says(&status, "status")
	if err := syscall.Kill(status.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "SIGHUP reloads", func() bool { return price() == "300000" })
	o.change("price: 300", "price: many")
	if _, code, said := o.run("reload"); code != 1 || !strings.Contains(said, `price \"many\"`) {
		t.Errorf("a mistake: status %d, %s", code, said)
	}
	if got := price(); got != "300000" {
		t.Errorf("after a mistake: price %s", got)
	}
	stop.Store(true)
	clients.Wait()
}

func insecure() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the gate's own certificate
}
