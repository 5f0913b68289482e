package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// testChain is one btcd for all tests of this binary.
var testChain struct {
	once sync.Once
	*chain.Chain
	dir string
	err error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if testChain.Chain != nil {
		if err := testChain.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "stop btcd:", err)
			status = 1
		}
	}
	if err := errors.Join(os.RemoveAll(testChain.dir), made.Remove()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

// backend starts the chain once and returns how to reach it.
func backend(t *testing.T) chain.Access {
	t.Helper()
	testChain.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if testChain.dir, testChain.err = os.MkdirTemp("", "node-test"); testChain.err != nil {
			return
		}
		testChain.Chain, testChain.err = chain.Start(ctx, chain.Options{
			Dir: testChain.dir, Btcd: filepath.Join(testbin.Dir(t), "btcd"), RPC: testbin.FreePort(t), P2P: testbin.FreePort(t),
		})
	})
	if testChain.err != nil {
		t.Fatalf("start the chain: %v", testChain.err)
	}
	return testChain.Access()
}

// machine is one home folder and the program.
type machine struct {
	t        *testing.T
	bin      string
	home     string
	rpc, p2p string
	api      string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, bin: filepath.Join(testbin.Dir(t), "leyden"), home: filepath.Join(t.TempDir(), "home"),
		rpc: testbin.FreePort(t), p2p: testbin.FreePort(t), api: testbin.FreePort(t)}
	t.Cleanup(func() {
		if _, code := m.run("node", "status"); code == "" {
			m.must("node", "stop")
		}
	})
	return m
}

func (m *machine) lndDir(elem ...string) string {
	return filepath.Join(append([]string{m.home, "node"}, elem...)...)
}

// run runs leyden and returns its output, and the error's code if it failed.
func (m *machine) run(args ...string) (out []byte, code string) {
	m.t.Helper()
	stdout, stderr, told := testbin.Run(m.t, append([]string{m.bin, "--home", m.home}, args...)...)
	if told == nil {
		return stdout, ""
	}
	return stderr, told.Code
}

// must runs leyden and fails the test if that fails.
func (m *machine) must(args ...string) []byte {
	m.t.Helper()
	out, code := m.run(args...)
	if code != "" {
		m.t.Fatalf("leyden %q: %s", args, out)
	}
	return out
}

func (m *machine) conf(a chain.Access) string {
	return fmt.Sprintf("btcd.rpchost=%s\nbtcd.rpcuser=%s\nbtcd.rpcpass=%s\nbtcd.rpccert=%s\n", a.RPC, a.User, a.Pass, a.Cert)
}

func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	path := m.lndDir(name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) startArgs(more ...string) []string {
	return append([]string{"node", "start", "--detach", "--backend", "btcd", "--rpclisten", m.rpc,
		"--apilisten", m.api, "--listen", m.p2p}, more...)
}

// start starts the node on the chain, in the background.
func (m *machine) start(more ...string) node.Running {
	m.t.Helper()
	return m.parse(m.must(m.startArgs(more...)...))
}

func (m *machine) status() node.Running {
	m.t.Helper()
	return m.parse(m.must("node", "status"))
}

func (m *machine) parse(out []byte) (r node.Running) {
	m.t.Helper()
	if err := json.Unmarshal(out, &r); err != nil {
		m.t.Fatalf("%v in %s", err, out)
	}
	return r
}

// await waits until the status is as wanted.
func (m *machine) await(what string, want func(node.Running) bool) node.Running {
	m.t.Helper()
	var r node.Running
	until.True(m.t, what, func() bool {
		r = m.status()
		return want(r)
	})
	return r
}
