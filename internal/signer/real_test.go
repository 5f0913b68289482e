package signer_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/signer"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/testwallet"
	"github.com/leydenln/leyden/internal/until"
)

// patience bounds every call of these tests.
const patience = 3 * time.Minute

// made are signers' homes that init made once.
var made testwallet.Made

func TestMain(m *testing.M) {
	status := m.Run()
	if err := made.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

// machine is one home folder and the program.
type machine struct {
	t              *testing.T
	bin, home, rpc string
	in             []string // a command that runs the program in another namespace
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, bin: filepath.Join(testbin.Dir(t), "leyden"), home: filepath.Join(t.TempDir(), "home"), rpc: testbin.FreePort(t)}
	t.Cleanup(func() {
		if _, code := m.run("status"); code == "" {
			m.must("stop")
		}
	})
	return m
}

// newMade is a machine with a signer that init made, of the same keys for all tests.
// Its wallet opens at once.
func newMade(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.home = made.Copy(t, "signer", func(dir string) {
		maker := &machine{t: t, bin: m.bin, home: dir}
		maker.init()
		maker.cheapen()
	})
	return m
}

// cheapen makes the wallet open at once.
func (m *machine) cheapen() {
	m.t.Helper()
	testwallet.CheapenIn(m.t, m.path(), m.path("wallet-password.txt"))
}

// bundle reads the bundle that init has made.
func (m *machine) bundle() *bundle.Bundle {
	m.t.Helper()
	return read(m.t, m.path("credentials-bundle"))
}

// run runs `leyden signer` and returns its output, and the error's code if it
// failed. In neither may a secret stand.
func (m *machine) run(args ...string) (out []byte, code string) {
	m.t.Helper()
	stdout, stderr, told := testbin.Run(m.t, slices.Concat(m.in, []string{m.bin, "--home", m.home, "signer"}, args)...)
	m.noSecrets(args, stdout, stderr)
	if told == nil {
		return stdout, ""
	}
	if !ours(told.Hint) {
		m.t.Errorf("leyden signer %q: poor hint %q", args, told.Hint)
	}
	return stderr, told.Code
}

var ourCommand = regexp.MustCompile(`leyden ([a-z]+)( [a-z-]+)?`)

// ours says whether the hint names commands that a signer's machine has.
func ours(hint string) bool {
	for _, words := range ourCommand.FindAllStringSubmatch(hint, -1) {
		switch words[1] + words[2] {
		case "signer init", "signer start", "signer stop", "signer status", "signer unlock", "signer export", "signer change-password":
		default:
			return false
		}
	}
	return !strings.Contains(hint, "node's folder")
}

// noSecrets looks for the password and the seed's words in what was printed.
func (m *machine) noSecrets(args []string, outputs ...[]byte) {
	m.t.Helper()
	for _, name := range []string{"wallet-password.txt", "seed.txt"} {
		secret, err := os.ReadFile(m.path(name))
		secret = bytes.TrimSpace(secret)
		if err != nil || len(secret) == 0 {
			continue
		}
		for _, out := range outputs {
			if bytes.Contains(out, secret) {
				m.t.Errorf("leyden signer %q prints %s", args, name)
			}
		}
	}
}

// must runs `leyden signer` and fails the test if that fails.
func (m *machine) must(args ...string) []byte {
	m.t.Helper()
	out, code := m.run(args...)
	if code != "" {
		m.t.Fatalf("leyden signer %q: %s", args, out)
	}
	return out
}

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.home, "signer"}, elem...)...)
}

func (m *machine) write(path, text string, mode os.FileMode) string {
	m.t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
	if err != nil {
		m.t.Fatal(err)
	}
	return path
}

func (m *machine) init(args ...string) signer.Created {
	m.t.Helper()
	return parsed[signer.Created](m.t, m.must(append([]string{"init", "--network", "regtest"}, args...)...))
}

func (m *machine) start(args ...string) signer.Running {
	m.t.Helper()
	return parsed[signer.Running](m.t, m.must(append([]string{"start", "--detach", "--rpclisten", m.rpc}, args...)...))
}

func (m *machine) export(args ...string) signer.Exported {
	m.t.Helper()
	return parsed[signer.Exported](m.t, m.must(append([]string{"export"}, args...)...))
}

// awaitState waits for a state of the signer's lnd.
func (m *machine) awaitState(state lnd.State) (r signer.Running) {
	m.t.Helper()
	until.True(m.t, "signer "+state.String(), func() bool {
		var err error
		r, err = signer.Status(config.Home(m.home))
		return err == nil && r.State == state.String()
	})
	return r
}

func parsed[T any](t *testing.T, out []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return v
}

// read reads the bundle at its folder.
func read(t *testing.T, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Read(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// connect is a client at the front, with the macaroon.
func (m *machine) connect(b *bundle.Bundle, macaroon []byte) *grpc.ClientConn {
	m.t.Helper()
	cert := m.write(filepath.Join(m.t.TempDir(), "tls.cert"), string(b.TLSCert), 0o600)
	creds, err := credentials.NewClientTLSFromFile(cert, "")
	if err != nil {
		m.t.Fatal(err)
	}
	conn, err := grpc.NewClient(m.rpc, grpc.WithTransportCredentials(creds), lnd.WithMacaroon(macaroon))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

func (m *machine) adminMacaroon() []byte {
	m.t.Helper()
	raw, err := os.ReadFile(m.path("data", "chain", "bitcoin", "regtest", "admin.macaroon"))
	if err != nil {
		m.t.Fatal(err)
	}
	return raw
}

// childOf finds the lnd that a process of leyden runs for the signer.
func (m *machine) childOf() (pid int, ok bool) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte("lnd-child\x00")) && bytes.Contains(line, []byte("--dir="+m.path()+"\x00")) {
			_, err = fmt.Sscanf(filepath.Base(filepath.Dir(name)), "%d", &pid)
			return pid, err == nil
		}
	}
	return 0, false
}

func unhex(text string) ([]byte, error) { return hex.DecodeString(text) }
