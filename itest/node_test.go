package itest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/node"
)

// readCommands are lncli's commands that change nothing. Those that need an
// argument get one that exists.
var readCommands = [][]string{
	{"getinfo"}, {"version"}, {"state"}, {"getrecoveryinfo"}, {"getdebuginfo"},
	{"walletbalance"}, {"channelbalance"}, {"pendingchannels"}, {"listchannels"},
	{"closedchannels"}, {"listpeers"}, {"describegraph"}, {"getnetworkinfo"},
	{"feereport"}, {"fwdinghistory"}, {"listpayments"}, {"listinvoices"},
	{"listchaintxns"}, {"listunspent"}, {"listaliases"}, {"listmacaroonids"}, {"listpermissions"},
	{"getnodeinfo", "PUBKEY"}, {"exportchanbackup", "--all"}, {"querymc"}, {"getmccfg"},
	{"wallet", "accounts", "list"}, {"wallet", "pendingsweeps"}, {"wallet", "listleases"},
	{"wallet", "addresses", "list"}, {"wallet", "estimatefeerate", "6"},
	{"wtclient", "towers"},
}

// volatile are values that change between two calls to the same node.
var volatile = map[string]bool{
	"ping_time": true, "bytes_sent": true, "bytes_recv": true, "lifetime": true, "uptime": true,
	"last_ping_payload": true, "multi_chan_backup": true, "chan_backup": true, "seconds": true,
	"log": true, "time_lock": true,
}

func TestLncliCannotTellTheDifference(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	running, err := node.Status(n.Home())
	if err != nil {
		t.Fatal(err)
	}
	front := []string{"--home", string(n.Home()), "lncli"}
	straight := append(slices.Clone(front), "--lnddir="+straightDir(t, n, running), "--rpcserver=unix://"+running.Socket)
	for _, args := range readCommands {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			for i, a := range args {
				args[i] = strings.ReplaceAll(a, "PUBKEY", n.Pubkey)
			}
			var got, want said
			for range 3 { // the node may change between two calls
				got, want = w.lncli(t, slices.Concat(front, args)), w.lncli(t, slices.Concat(straight, args))
				if got == want {
					return
				}
			}
			t.Errorf("through the front: %.3000s\nstraight: %.3000s", got, want)
		})
	}
}

// straightDir makes an lnddir with the certificate of the child's own socket:
// lncli takes it from nowhere else.
func straightDir(t *testing.T, n *devnet.Node, running node.Running) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(running.SocketCert, filepath.Join(dir, "tls.cert")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(n.LndDir, "data"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// said is what a program left.
type said struct {
	status         int
	stdout, stderr string
}

func (s said) String() string { return fmt.Sprintf("status %d\n%s%s", s.status, s.stdout, s.stderr) }

// lncli runs leyden and returns what it said, without what is volatile.
func (w *world) lncli(t *testing.T, args []string) said {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program("leyden"), args...)
	cmd.Env = devnet.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && (cmd.ProcessState == nil || !cmd.ProcessState.Exited()) {
		t.Fatal(err)
	}
	s := said{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	var v any
	if json.Unmarshal(out.Bytes(), &v) == nil {
		text, err := json.MarshalIndent(steady(v), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		s.stdout = string(text)
	}
	return s
}

// steady blanks the volatile values.
func steady(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = steady(value)
			if volatile[key] {
				v[key] = "volatile"
			}
		}
	case []any:
		for i := range v {
			v[i] = steady(v[i])
		}
	}
	return v
}

func TestREST(t *testing.T) {
	n := theWorld(t).buyerNode()
	pem, err := os.ReadFile(n.TLSCert)
	if err != nil {
		t.Fatal(err)
	}
	mac, err := os.ReadFile(n.AdminMacaroon)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for name, c := range map[string]struct {
		macaroon string
		status   int
	}{
		"ok/admin":         {hex.EncodeToString(mac), http.StatusOK},
		"fail/no macaroon": {"", http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+n.REST+"/v1/getinfo", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.macaroon != "" {
				req.Header.Set("Grpc-Metadata-macaroon", c.macaroon)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body struct {
				Pubkey string `json:"identity_pubkey"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || (c.status == http.StatusOK) != (body.Pubkey == n.Pubkey) {
				t.Fatalf("status %d, pubkey %q", resp.StatusCode, body.Pubkey)
			}
		})
	}
}

// TestLndKilled: the front keeps its port, says what is wrong, and all works
// again when lnd is back.
func TestLndKilled(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	before, err := node.Status(n.Home())
	if err != nil {
		t.Fatal(err)
	}
	if before.LndPID <= 1 {
		t.Fatalf("lnd has pid %d", before.LndPID)
	}
	if err := syscall.Kill(before.LndPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var refusal *status.Status
	await(t, "a refusal of the front", func() bool {
		_, err := n.Lightning().GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		refusal = status.Convert(err)
		// A call that was under way when lnd died ends as the connection did.
		return strings.HasPrefix(refusal.Message(), "leyden: ")
	})
	if refusal.Code() != codes.Unavailable {
		t.Errorf("while lnd is down the front says %v", refusal)
	}
	await(t, "lnd's return", func() bool {
		info, err := n.Lightning().GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err == nil && info.SyncedToChain && info.NumActiveChannels == 1
	})
	after, err := node.Status(n.Home())
	if err != nil {
		t.Fatal(err)
	}
	if after.PID != before.PID || after.LndPID == before.LndPID || after.Restarts != before.Restarts+1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	expect := w.payments(t)
	w.pay(t, 1)
	expect(1)
}

// TestNodeKilled: lnd does not outlive the process that was killed (-9) above
// it, and a new start has the same channel.
func TestNodeKilled(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	before, err := node.Status(n.Home())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "lnd's end", func() bool { return errors.Is(syscall.Kill(before.LndPID, 0), syscall.ESRCH) })
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.AwaitChannels(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect := w.payments(t)
	w.pay(t, 1)
	expect(1)
}

func TestMine(t *testing.T) {
	w := theWorld(t)
	height := func() uint32 {
		info, err := w.sellerNode().Lightning().GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return info.BlockHeight
	}
	before := height()
	if err := w.Mine(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if got := height(); got != before+5 {
		t.Errorf("height %d, want %d", got, before+5)
	}
	info, err := w.Info(t.Context())
	if err != nil || info.Nodes[0].ChannelBalanceSat == nil || *info.Nodes[0].ChannelBalanceSat == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}
