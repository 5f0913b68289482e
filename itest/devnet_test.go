package itest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/testbin"
)

// TestDevnetCommands takes a network of its own through its life: up, status,
// mine, down, up again with the same nodes and channel, killed, cleaned.
func TestDevnetCommands(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	d := devnetRun{t, filepath.Join(testbin.Dir(t), "leyden"), home}
	t.Cleanup(func() { _ = d.command("down", "--clean").Run() })

	var up, status, again devnet.Info
	d.json(&up, "up")
	checkShape(t, d.ok("status", "--json"))
	d.json(&status, "status", "--json")
	if len(up.Nodes) != 2 || up.Home != home || status.Nodes[1].Pubkey != up.Nodes[1].Pubkey {
		t.Fatalf("up %+v\nstatus %+v", up, status)
	}
	var mined struct{ Mined, Height int }
	d.json(&mined, "mine", "3")
	if mined.Mined != 3 || mined.Height < 450 {
		t.Fatalf("%+v", mined)
	}
	d.fails("already_running", "up")
	d.ok("down")
	d.alone()
	d.fails("not_running", "status")
	d.fails("not_running", "mine", "1")
	d.fails("not_running", "down")

	d.json(&again, "up")
	for i, n := range again.Nodes {
		if n.Pubkey != up.Nodes[i].Pubkey || *n.ChannelBalanceSat != *up.Nodes[i].ChannelBalanceSat {
			t.Errorf("%s: %s with %d sat, before %s with %d sat", n.Name,
				n.Pubkey, *n.ChannelBalanceSat, up.Nodes[i].Pubkey, *up.Nodes[i].ChannelBalanceSat)
		}
	}
	height := mined.Height
	d.json(&mined, "mine", "1")
	if mined.Height != height+2 {
		t.Errorf("height %d after a restart and a block, want %d", mined.Height, height+2)
	}

	text, err := os.ReadFile(filepath.Join(home, "run", "devnet.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		t.Fatalf("pid %q: %v", text, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of all that the killed process owned", func() bool { return len(d.processes()) == 0 })
	d.ok("down", "--clean")
	if _, err := os.Stat(filepath.Join(home, "devnet")); !os.IsNotExist(err) {
		t.Errorf("the network's folder is still there: %v", err)
	}
	d.fails("no_devnet", "status")
}

// TestNeutrino: light clients route through each other, and a network that
// grows keeps what it had.
func TestNeutrino(t *testing.T) {
	bin := testbin.Dir(t)
	o := devnet.Options{Home: config.Home(t.TempDir()), Nodes: 2, Backend: "neutrino",
		Leyden: filepath.Join(bin, "leyden"), Btcd: filepath.Join(bin, "btcd")}
	for _, o.Nodes = range []int{2, 3} {
		n, err := devnet.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		last := n.Nodes[o.Nodes-1]
		payInvoice(t, last, newInvoice(t, n.Nodes[(o.Nodes-1)/2], 1000)) // bob to alice, then carol to bob by way of alice
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// checkShape insists on the keys that specs and documents promise.
func checkShape(t *testing.T, text string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	hasKeys(t, "devnet", got, "home", "btcd", "nodes")
	hasKeys(t, "btcd", got["btcd"], "rpc", "p2p", "cert", "user", "pass")
	for _, n := range got["nodes"].([]any) {
		hasKeys(t, "node", n, "name", "pubkey", "rpc", "rest", "p2p", "lnddir", "tls_cert", "admin_macaroon",
			"api", "operator_macaroon",
			"channel_balance_sat")
	}
}

func hasKeys(t *testing.T, what string, v any, keys ...string) {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok || len(object) != len(keys) {
		t.Fatalf("%s is %v, want an object of %v", what, v, keys)
	}
	for _, key := range keys {
		if object[key] == nil || object[key] == "" {
			t.Errorf("%s has no %s", what, key)
		}
	}
}

// devnetRun runs `leyden devnet` on one home.
type devnetRun struct {
	t      *testing.T
	leyden string
	home   string
}

func (d devnetRun) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.leyden, append([]string{"--home", d.home, "devnet"}, args...)...)
	cmd.Env = devnet.Environ()
	return cmd
}

func (d devnetRun) ok(args ...string) string {
	d.t.Helper()
	out, err := d.command(args...).Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		d.t.Fatalf("devnet %v: %v: %s", args, err, stderr)
	}
	return string(out)
}

func (d devnetRun) json(into any, args ...string) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.ok(args...)), into); err != nil {
		d.t.Fatalf("devnet %v: %v", args, err)
	}
}

// fails insists on an error with the code, and a hint.
func (d devnetRun) fails(code string, args ...string) {
	d.t.Helper()
	out, err := d.command(args...).CombinedOutput()
	var said struct {
		Error struct{ Code, Message, Hint string }
	}
	if err == nil || json.Unmarshal(out, &said) != nil || said.Error.Code != code || said.Error.Hint == "" {
		d.t.Fatalf("devnet %v: %v: %s, want %s and a hint", args, err, out, code)
	}
}

// alone insists that nothing of the network runs.
func (d devnetRun) alone() {
	d.t.Helper()
	if left := d.processes(); len(left) > 0 {
		d.t.Fatalf("still running: %q", left)
	}
}

// processes returns the command lines that name the home.
func (d devnetRun) processes() []string {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		d.t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(line), d.home) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
