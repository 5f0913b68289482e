package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
)

func TestDialable(t *testing.T) {
	cases := map[string]string{
		"127.0.0.1:10009": "127.0.0.1:10009",
		"0.0.0.0:10009":   "localhost:10009",
		"[::]:10009":      "localhost:10009",
		"[::1]:10009":     "[::1]:10009",
		"10.0.0.1:1":      "10.0.0.1:1",
	}
	for in, want := range cases {
		if got := Dialable(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestStaleRecord: what a killed node wrote down is not taken for the node
// that runs now.
func TestStaleRecord(t *testing.T) {
	home := config.Home(t.TempDir())
	if _, err := Status(home); fault.Code(err) != "not_running" {
		t.Errorf("nobody: %v", err)
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	records := map[string]struct{ text, state, code string }{
		"none":      {"", "down", ""},
		"stale":     {`{"pid": 1, "state": "active", "network": "regtest"}`, "down", ""},
		"malformed": {`{"pid":`, "", "no_status"},
	}
	for name, c := range records {
		t.Run(name, func(t *testing.T) {
			if c.text != "" {
				if err := os.WriteFile(recordFile(home), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Status(home)
			if fault.Code(err) != c.code || err == nil && (r.State != c.state || r.PID != os.Getpid()) {
				t.Errorf("got %+v, %v", r, err)
			}
			os.Remove(recordFile(home))
		})
	}
}

// TestLncli: without a running node lncli is pointed where one would be.
func TestLncli(t *testing.T) {
	home := config.Home(t.TempDir())
	if _, err := Lncli(home); fault.Code(err) != "no_wallet" {
		t.Errorf("no node: %v", err)
	}
	if err := os.Mkdir(home.Node(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (remembered{Mode: "standalone", Network: "signet"}).save(home); err != nil {
		t.Fatal(err)
	}
	want := []string{"--lnddir=" + filepath.Join(string(home), "node"), "--network=signet", "--rpcserver=" + DefaultRPC}
	if got, err := Lncli(home); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	text := "mode: standalone\nnetwork: signet\ncolour: red\n"
	if err := os.WriteFile(keptFile(home), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Lncli(home); fault.Code(err) != "bad_config" {
		t.Errorf("unknown key: %v", err)
	}
}
