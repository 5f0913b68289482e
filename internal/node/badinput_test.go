package node_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
)

// TestCreateRefuses: each mistake has one code, and leaves no wallet behind.
func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := map[string]struct {
		args []string
		code string
	}{
		"fail/seed of a signer":   {[]string{"--mode", "watchonly", "--seed-file", "seed"}, "no_seed"},
		"fail/birthday":           {[]string{"--birthday", "yesterday"}, "bad_birthday"},
		"fail/watch-only":         {[]string{"--mode", "watchonly"}, "no_bundle"},
		"fail/mode":               {[]string{"--mode", "custodial"}, "unknown_mode"},
		"fail/network":            {[]string{"--network", "mainet"}, "unknown_network"},
		"fail/backend":            {[]string{"--backend", "electrum"}, "unknown_backend"},
		"fail/profile":            {[]string{"--profile", "fast"}, "unknown_profile"},
		"fail/no password file":   {[]string{"--password-file", filepath.Join(dir, "none")}, "no_password_file"},
		"fail/readable password":  {[]string{"--password-file", file("open", "long enough", 0o644)}, "insecure_file"},
		"fail/short password":     {[]string{"--password-file", file("short", "short\n", 0o600)}, "short_password"},
		"fail/seed file there":    {[]string{"--seed-file", file("seed", "x", 0o600)}, "seed_file_exists"},
		"fail/no seed to restore": {[]string{"--restore-seed-file", filepath.Join(dir, "none")}, "no_seed_file"},
		"fail/readable seed":      {[]string{"--restore-seed-file", file("openseed", "x", 0o644)}, "insecure_file"},
		"fail/words missing":      {[]string{"--restore-seed-file", file("few", "abandon abandon", 0o600)}, "bad_seed"},
		"fail/wrong words":        {[]string{"--restore-seed-file", file("wrong", strings.Repeat("abandon ", 24), 0o600)}, "bad_seed"},
		"fail/unknown words":      {[]string{"--restore-seed-file", file("unknown", strings.Repeat("leyden ", 24), 0o600)}, "bad_seed"},
		"fail/home not writable":  {[]string{"--home", "/dev/null/home"}, "write_failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out, code := m.run(append([]string{"node", "create", "--mode", "standalone", "--network", "regtest"}, c.args...)...)
			if code != c.code {
				t.Errorf("got %q, want %q", code, c.code)
			}
			if strings.Contains(string(out), "leyden leyden") || strings.Contains(string(out), "long enough") {
				t.Errorf("a secret shows: %s", out)
			}
		})
	}
	if _, code := m.run("node", "start", "--detach", "--rpclisten", m.rpc, "--apilisten", m.api, "--listen", m.p2p); code != "no_wallet" {
		t.Errorf("start after all that: %q", code)
	}
	m.must("node", "create", "--mode", "standalone", "--network", "regtest")
}

// TestCreateOnFullDisk needs the right to mount.
func TestCreateOnFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	mount := t.TempDir()
	for _, size := range []string{"4k", "24k", "48k", "120k"} {
		script := `mount -t tmpfs -o size=` + size + ` none "$1" 2>/dev/null || exit 77; exec "$2" --home "$1/home" node create --mode standalone --network regtest`
		out, err := exec.Command("unshare", "-m", "sh", "-c", script, "sh", mount, m.bin).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
			t.Skipf("cannot mount a small disk: %v", err)
		}
		if !strings.Contains(string(out), `"disk_full"`) {
			t.Errorf("%s: %s", size, out)
		}
	}
}

// TestStartRefuses: each mistake has one code, and the wallet is as before.
func TestStartRefuses(t *testing.T) {
	t.Parallel()
	access := backend(t)
	m := newMachine(t)
	m.create()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := m.conf(access)
	cases := map[string]struct {
		conf string
		args []string
		code string
	}{
		"fail/network":             {good, []string{"--network", "mainet"}, "unknown_network"},
		"fail/no wallet there":     {good, []string{"--network", "simnet"}, "no_wallet"},
		"fail/backend":             {good, []string{"--backend", "electrum"}, "unknown_backend"},
		"fail/profile":             {good, []string{"--profile", "fast"}, "unknown_profile"},
		"fail/lnd's option":        {good, []string{"--", "--lnd.nosuch=1"}, "bad_lnd_conf"},
		"fail/lnd's value":         {good, []string{"--", "--maxpendingchannels=many"}, "bad_lnd_conf"},
		"fail/refused option":      {good, []string{"--", "--no-macaroons"}, "refused_option"},
		"fail/secret argument":     {good, []string{"--", "--btcd.rpcpass=x"}, "secret_in_argv"},
		"fail/conf, unknown":       {good + "nosuch=1\n", nil, "bad_lnd_conf"},
		"fail/conf, refused":       {good + "tlscertpath=/x\n", nil, "refused_option"},
		"fail/conf, malformed":     {good + "alias\n", nil, "bad_lnd_conf"},
		"fail/conf, network":       {good + "bitcoin.mainnet=1\n", nil, "network_conflict"},
		"fail/rpc port taken":      {good, []string{"--rpclisten", taken.Addr().String()}, "port_in_use"},
		"fail/rest port taken":     {good, []string{"--restlisten", taken.Addr().String()}, "port_in_use"},
		"fail/API port taken":      {good, []string{"--apilisten", taken.Addr().String()}, "port_in_use"},
		"fail/peer port taken":     {good, []string{"--listen", taken.Addr().String()}, "port_in_use"},
		"fail/not our address":     {good, []string{"--rpclisten", "192.0.2.1:1"}, "bad_address"},
		"fail/backend unreachable": {good, []string{"--", "--btcd.rpchost=" + testbin.FreePort(t)}, "backend_unreachable"},
		"fail/backend's password":  {strings.Replace(good, access.Pass, "another", 1), nil, "backend_refused"},
		"fail/password file":       {good, []string{"--password-file", filepath.Join(m.home, "none")}, "no_password_file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m.write("lnd.conf", c.conf, 0o600)
			if _, code := m.run(m.startArgs(c.args...)...); code != c.code {
				t.Errorf("got %q, want %q", code, c.code)
			}
			if _, code := m.run("node", "status"); code != "not_running" {
				t.Errorf("something runs: %q", code)
			}
		})
	}
	m.write("lnd.conf", good, 0o644)
	if _, code := m.run(m.startArgs()...); code != "insecure_file" {
		t.Errorf("readable lnd.conf: %q", code)
	}
	m.write("lnd.conf", good, 0o600)
	m.start("--", "--alias=after all")
}

// TestPasswords: a wrong one stops the start, a readable file too, none leaves
// the wallet for unlock.
func TestPasswords(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.create()
	right, err := os.ReadFile(m.lndDir("wallet-password.txt"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("wallet-password.txt", "this is not it\n", 0o600)
	if _, code := m.run(m.startArgs()...); code != "wrong_password" {
		t.Errorf("wrong password: %q", code)
	}
	m.write("wallet-password.txt", string(right), 0o640)
	if _, code := m.run(m.startArgs()...); code != "insecure_file" {
		t.Errorf("readable password: %q", code)
	}
	if err := os.Remove(m.lndDir("wallet-password.txt")); err != nil {
		t.Fatal(err)
	}
	if r := m.start(); r.State != "locked" {
		t.Fatalf("without password: %+v", r)
	}
	checkLncliUnlock(t, m)
	m.write("typed", "this is not it\n", 0o600)
	if _, code := m.run("node", "unlock", "--password-file", m.lndDir("typed")); code != "wrong_password" {
		t.Errorf("unlock: %q", code)
	}
	if _, code := m.run("node", "unlock"); code != "no_password" {
		t.Errorf("unlock without terminal: %q", code)
	}
	m.write("typed", string(right), 0o600)
	m.must("node", "unlock", "--password-file", m.lndDir("typed"))
	m.await("active", func(r node.Running) bool { return r.State == "active" })
	if _, code := m.run("node", "unlock", "--password-file", m.lndDir("typed")); code != "already_unlocked" {
		t.Errorf("second unlock: %q", code)
	}
}

// TestChangePassword: the old one stops to open the wallet, the new one does,
// and a refused change leaves everything as it was.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if _, code := m.run("node", "change-password"); code != "no_wallet" {
		t.Errorf("without wallet: %q", code)
	}
	m.create()
	read := func() string {
		data, err := os.ReadFile(m.lndDir("wallet-password.txt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	old := read()
	m.write("typed", "this is not it\n", 0o600)
	if _, code := m.run("node", "change-password", "--password-file", m.lndDir("typed")); code != "wrong_password" {
		t.Errorf("wrong password: %q", code)
	}
	if read() != old {
		t.Error("a refused change changed the file")
	}
	m.must("node", "change-password")
	if read() == old {
		t.Error("the password is the old one")
	}
	m.write("typed", "chosen by the operator\n", 0o600)
	m.must("node", "change-password", "--new-password-file", m.lndDir("typed"))
	if _, code := m.run(m.startArgs("--password-file", m.lndDir("wallet-password.txt"))...); code != "wrong_password" {
		t.Errorf("the password before: %q", code)
	}
	if r := m.start(); r.State != "active" {
		t.Errorf("with the remembered file: %+v", r)
	}
	if _, code := m.run("node", "change-password"); code != "already_running" {
		t.Errorf("while running: %q", code)
	}
}

// TestRestore: the seed that create wrote down gives the same node again.
func TestRestore(t *testing.T) {
	t.Parallel()
	first := newMachine(t)
	first.create()
	first.start()
	key := identity(t, first)
	var created struct {
		Seed string `json:"seed_file"`
	}
	second := newMachine(t)
	if err := os.Mkdir(second.home, 0o700); err != nil {
		t.Fatal(err)
	}
	out := second.must("node", "create", "--mode", "standalone", "--network", "regtest", "--restore-seed-file", first.lndDir("seed.txt"))
	if err := json.Unmarshal(out, &created); err != nil || created.Seed != "" {
		t.Errorf("restored: %s, %v", out, err)
	}
	second.write("lnd.conf", second.conf(backend(t)), 0o600)
	second.start("--", "--nolisten")
	if again := identity(t, second); again != key {
		t.Errorf("restored %s, was %s", again, key)
	}
}
