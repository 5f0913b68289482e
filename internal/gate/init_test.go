package gate

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// lndDir makes a node's folder with an invoice macaroon for each network.
func lndDir(t *testing.T, networks ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range networks {
		folder := filepath.Join(dir, "data", "chain", "bitcoin", n)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, invoiceMacaroon), []byte{2}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInit(t *testing.T) {
	dir, node := filepath.Join(t.TempDir(), "gate"), lndDir(t, "regtest")
	path, err := Init(dir, InitOptions{LndDir: node, Insecure: true, Port: 9, Backend: "10.0.0.1:80", Price: 7, LndHost: "n:1"})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	c, err := Load(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	a, s := c.Authenticator, c.Services[0]
	if c.ListenAddr != "localhost:9" || !c.Insecure || a.Network != "regtest" || a.LndHost != "n:1" ||
		a.TLSPath != filepath.Join(node, "tls.cert") || a.MacDir != filepath.Join(node, "data/chain/bitcoin/regtest") ||
		s.Address != "10.0.0.1:80" || s.Price != 7 {
		t.Errorf("%+v %+v", c, s)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, InitOptions{LndDir: node}); fault.Code(err) != "config_exists" {
		t.Errorf("again: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("overwritten: %v", err)
	}
	if _, err := Init(dir, InitOptions{LndDir: node, Force: true}); err != nil {
		t.Errorf("force: %v", err)
	}
	if c, err := Load(path, dir); err != nil || c.ListenAddr != ":8081" || c.Insecure || c.Services[0].Price != 100 {
		t.Errorf("defaults: %+v, %v", c, err)
	}
}

func TestInitMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		o    InitOptions
		code string
	}{
		"fail/no node":          {InitOptions{LndDir: lndDir(t)}, "no_network"},
		"fail/two networks":     {InitOptions{LndDir: lndDir(t, "regtest", "mainnet")}, "no_network"},
		"fail/unknown network":  {InitOptions{LndDir: lndDir(t), Network: "main"}, CodeBadConfig},
		"fail/bad port":         {InitOptions{LndDir: lndDir(t, "regtest"), Port: 70000}, CodeBadConfig},
		"fail/bad backend":      {InitOptions{LndDir: lndDir(t, "regtest"), Backend: "x"}, CodeBadConfig},
		"fail/negative price":   {InitOptions{LndDir: lndDir(t, "regtest"), Price: -1}, CodeBadConfig},
		"fail/quote in backend": {InitOptions{LndDir: lndDir(t, "regtest"), Backend: "a\"\nb: c:1"}, CodeBadConfig},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Init(dir, c.o); fault.Code(err) != c.code {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "gate.yaml")); err == nil {
				t.Error("a file was written")
			}
		})
	}
	if _, err := Init(t.TempDir(), InitOptions{LndDir: lndDir(t), Network: "signet"}); err != nil {
		t.Errorf("a node to come: %v", err)
	}
}

func TestRunStatusStop(t *testing.T) {
	home, b := config.Home(t.TempDir()), newBackend(t)
	if _, err := ReadStatus(t.Context(), home, ""); fault.Code(err) != "no_config" {
		t.Errorf("without a configuration: %v", err)
	}
	if err := Stop(t.Context(), home); fault.Code(err) != "not_running" {
		t.Errorf("stop: %v", err)
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	text := "listenaddr: 127.0.0.1:0\ninsecure: true\nauthenticator: {disable: true}\nservices: [{name: a, address: '" + b.addr() + "'}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadStatus(t.Context(), home, file); err != nil || s.Running || s.Config != file {
		t.Errorf("before the start: %+v, %v", s, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Status, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, home, file, new(bytes.Buffer), nil, func(s Status) { ready <- s }) }()
	var first Status
	select {
	case first = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	resp, err := http.Get(first.URL + "/x")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	s, err := ReadStatus(t.Context(), home, "")
	if err != nil || !s.Running || s.PID != os.Getpid() || s.URL != first.URL || s.Config != file || time.Since(*s.Since) < 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := Run(t.Context(), home, file, new(bytes.Buffer), nil, func(Status) {}); fault.Code(err) != "already_running" {
		t.Errorf("second start: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	if s, err := ReadStatus(t.Context(), home, file); err != nil || s.Running {
		t.Errorf("after the end: %+v, %v", s, err)
	}
}
