package itest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
	"github.com/leydenln/leyden/internal/testbin"
)

// agentUID is a user without an account.
const agentUID = 64123

// TestAgentsUser: the agent's user on the machine of node, guard and even signer
// reads no key, no seed, no password, no macaroon but its own, and no books; it
// reaches no socket but the ports that everybody reaches, where it is what its
// macaroon is. That it would see what is left open is tried too.
func TestAgentsUser(t *testing.T) {
	if os.Getenv(agentEnv) != "" {
		if err := agentMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	// The sockets' folder is opened below: it must not be that of other nodes.
	runtime, err := os.MkdirTemp("", "leyden-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	n := ownNetwork(t, devnet.Options{Signer: devnet.NodeName(0)})
	m := newMachine(t, n)
	a := newAgent(t, n)

	t.Run("as it is", func(t *testing.T) {
		got := a.look(t, m.all(t))
		m.expect(t, got, nil)
	})
	t.Run("its macaroon is an account's everywhere", func(t *testing.T) { a.isHeldToItsAccount(t, n) })
	t.Run("lnget buys, up to the balance", func(t *testing.T) { a.buys(t, n) })
	t.Run("with every folder open", func(t *testing.T) {
		m.openFolders(t)
		got := a.look(t, m.all(t))
		m.expect(t, got, public)
	})
	t.Run("it sees what is left open", func(t *testing.T) {
		password := filepath.Join(m.node.Dir, "wallet-password.txt")
		for _, path := range []string{password, m.node.Socket} {
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got := a.look(t, m.all(t))
		if !slices.Contains(got.Read, password) || !slices.Contains(got.Written, password) {
			t.Error("it does not see a password that everybody may read and write")
		}
		if !slices.Contains(got.Connected, m.node.Socket) {
			t.Error("it does not see a socket that everybody may connect to")
		}
	})
}

// agent is a user with a home, an account's macaroon, and lnget.
type agent struct {
	home     string
	macaroon string
}

// agentBalance is enough for what is cheap at the gate, in sat.
const agentBalance = 1000

func newAgent(t *testing.T, n *devnet.Network) *agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "leyden-agent-") // a test's own folder is its user's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := &agent{home: dir, macaroon: filepath.Join(dir, "agent.macaroon")}
	bin := testbin.Dir(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	made, err := shop.NewAccount(t.Context(), filepath.Join(bin, "leyden"), n.Nodes[0], agentBalance,
		filepath.Join(string(n.Nodes[0].Home()), "agent.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"look": self, "lnget": filepath.Join(bin, "lnget"),
		"agent.macaroon": made.Macaroon, "tls.cert": n.Nodes[0].TLSCert} {
		copyTo(t, from, filepath.Join(dir, to))
	}
	a.own(t)
	return a
}

// own gives the agent what is in its home.
func (a *agent) own(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(a.home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, agentUID, agentUID))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// as has a command run as the agent.
func (a *agent) as(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = a.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: agentUID, Gid: agentUID}}
	return cmd
}

// look has the agent try everything.
func (a *agent) look(t *testing.T, at lookAt) (got seen) {
	t.Helper()
	in, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	cmd := a.as(exec.CommandContext(t.Context(), filepath.Join(a.home, "look"), "-test.run=^TestAgentsUser$"))
	cmd.Env = []string{agentEnv + "=1"}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.UID != agentUID {
		t.Fatalf("%v: %s", err, out.String())
	}
	return got
}

// isHeldToItsAccount: at every port the macaroon is an account's, or nothing.
func (a *agent) isHeldToItsAccount(t *testing.T, n *devnet.Network) {
	alice := n.Nodes[0]
	conn, err := alice.DialAs(a.macaroon)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	own := lnrpc.NewLightningClient(conn)
	balance, err := own.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err != nil || balance.LocalBalance.Sat != agentBalance {
		t.Errorf("it owns %v, %v; want %d sat", balance, err, agentBalance)
	}
	_, err = own.SendCoins(t.Context(), &lnrpc.SendCoinsRequest{Addr: "x", Amount: 1})
	expectReason(t, err, codes.PermissionDenied, "method_denied")
	_, err = own.BakeMacaroon(t.Context(), &lnrpc.BakeMacaroonRequest{})
	expectReason(t, err, codes.PermissionDenied, "method_denied")

	operator, err := api.Dial(api.Target{Address: alice.API, CertPath: alice.TLSCert, MacaroonPath: a.macaroon})
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	if _, err := operator.Lit.ListAccounts(t.Context(), &litrpc.ListAccountsRequest{}); err == nil {
		t.Error("the operator's API lists accounts for an agent")
	}
	keys := lnd.RemoteSigner{Addr: alice.Signer.RPC, CertPath: filepath.Join(alice.Signer.Home().Signer(), "tls.cert"), MacaroonPath: a.macaroon}
	if err := keys.Check(t.Context()); fault.Code(err) != "signer_macaroon" {
		t.Errorf("the signer says %v to an account's macaroon", err)
	}
}

// buys runs lnget as the agent, with nothing but its own files.
func (a *agent) buys(t *testing.T, n *devnet.Network) {
	back := startBackend(t)
	gate, err := shop.OpenGate(t.Context(), shop.GateOptions{Node: n.Nodes[1], Home: config.Home(t.TempDir()),
		Leyden: filepath.Join(testbin.Dir(t), "leyden"), Services: back.services()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := gate.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	at := n.Nodes[0].NodeInfo
	at.TLSCert = filepath.Join(a.home, "tls.cert")
	buyer, err := shop.NewBuyerWith(a.home, filepath.Join(a.home, "lnget"), &devnet.Node{NodeInfo: at}, a.macaroon)
	if err != nil {
		t.Fatal(err)
	}
	a.own(t)
	run := func(args ...string) (status int, said string) {
		out, err := a.as(buyer.Command(t.Context(), args...)).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode(), string(out)
		} else if err != nil {
			t.Fatal(err)
		}
		return done, string(out)
	}
	if status, said := run("-q", gate.URL+"/a"); status != done || said != answer("GET", "/a", "") {
		t.Errorf("status %d: %s", status, said)
	}
	if status, said := run("--max-cost", "5000", gate.URL+"/dear"); status != unpaid || !strings.Contains(said, "balance") {
		t.Errorf("beyond its balance: status %d: %s", status, said)
	}
}

// copyTo copies a file; who gets it may run it.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}
