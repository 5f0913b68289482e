package node_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/testwallet"
	"github.com/leydenln/leyden/internal/until"
)

// TestLifecycle takes one node from its wallet to its end.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	access := backend(t)
	m := newMachine(t)
	m.createAnew("--profile", "debug")
	checkFiles(t, m)
	testwallet.CheapenIn(t, m.lndDir(), m.lndDir("wallet-password.txt"))
	if _, code := m.run("node", "create", "--mode", "standalone", "--network", "regtest"); code != "wallet_exists" {
		t.Errorf("second create: %q", code)
	}

	r := m.start()
	if r.State != "active" || r.Network != "regtest" || r.Backend != "btcd" {
		t.Errorf("started: %+v", r)
	}
	if _, code := m.run(m.startArgs()...); code != "already_running" {
		t.Errorf("second start: %q", code)
	}
	checkSecrets(t, m, r, access)
	if log, err := os.ReadFile(m.lndDir("logs", "bitcoin", "regtest", "lnd.log")); err != nil || !strings.Contains(string(log), "[DBG]") {
		t.Errorf("the profile given to create does nothing: %v", err)
	}
	key := identity(t, m)
	checkLncli(t, m)

	t.Run("lnd killed", func(t *testing.T) {
		conn := fromAddr(r, "127.0.0.1")(t)
		defer conn.Close()
		testbin.Kill(t, m.status().LndPID)
		checkAnswersMeanwhile(t, conn, r)
		back := m.await("active again", func(r node.Running) bool { return r.State == "active" && r.Restarts == 1 })
		if back.PID != r.PID || identity(t, m) != key {
			t.Errorf("after the restart: %+v", back)
		}
	})
	t.Run("parent killed", func(t *testing.T) {
		r := m.status()
		testbin.Kill(t, r.PID)
		testbin.AwaitEnd(t, r.LndPID)
		if _, code := m.run("node", "status"); code != "not_running" {
			t.Errorf("status of the dead: %q", code)
		}
		log, err := os.ReadFile(m.lndDir("logs", "bitcoin", "regtest", "lnd.log"))
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(log)), "Shutdown complete") {
			t.Errorf("lnd did not end in order: %v", err)
		}
		m.start()
	})

	t.Run("stopped by a client", func(t *testing.T) {
		r := m.status()
		m.must("lncli", "stop")
		testbin.AwaitEnd(t, r.PID)
		if _, code := m.run("node", "status"); code != "not_running" {
			t.Errorf("started again: %q", code)
		}
		m.start()
	})

	r = m.status()
	m.must("node", "stop")
	testbin.AwaitEnd(t, r.LndPID)
	for _, addr := range []string{m.rpc, m.p2p} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("after stop: %v", err)
			continue
		}
		l.Close()
	}
	if _, code := m.run("node", "stop"); code != "not_running" {
		t.Errorf("second stop: %q", code)
	}
}

// checkFiles: all that create leaves behind is for us alone.
func checkFiles(t *testing.T, m *machine) {
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	seed, err := os.ReadFile(m.lndDir("seed.txt"))
	if err != nil || len(strings.Fields(string(seed))) != lnd.SeedWords {
		t.Errorf("seed: %d words, %v", len(strings.Fields(string(seed))), err)
	}
	for _, name := range []string{"admin", "readonly", "invoice"} {
		if _, err := os.Stat(m.lndDir("data", "chain", "bitcoin", "regtest", name+".macaroon")); err != nil {
			t.Error(err)
		}
	}
}

// checkSecrets: no password is on a command line, in a log or in the status.
func checkSecrets(t *testing.T, m *machine, r node.Running, a chain.Access) {
	password, err := os.ReadFile(m.lndDir("wallet-password.txt"))
	if err != nil {
		t.Fatal(err)
	}
	where := map[string]string{"status": string(m.must("node", "status"))}
	for _, path := range []string{
		"/proc/" + strconv.Itoa(r.PID) + "/cmdline", "/proc/" + strconv.Itoa(r.LndPID) + "/cmdline",
		m.lndDir("logs", "leyden-node.log"), m.lndDir("logs", "lnd-child.log"), m.lndDir("logs", "bitcoin", "regtest", "lnd.log"),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		where[path] = string(data)
	}
	for path, text := range where {
		for _, secret := range []string{strings.TrimSpace(string(password)), a.Pass} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows a password", path)
			}
		}
	}
}

// identity returns the node's key, asked for with `leyden lncli`.
func identity(t *testing.T, m *machine) string {
	t.Helper()
	var info struct {
		Key string `json:"identity_pubkey"`
	}
	if err := json.Unmarshal(m.must("lncli", "getinfo"), &info); err != nil {
		t.Fatal(err)
	}
	if raw, err := hex.DecodeString(info.Key); err != nil || len(raw) != 33 {
		t.Fatalf("identity key %q", info.Key)
	}
	return info.Key
}

// checkAnswersMeanwhile: while lnd is away the front itself answers, and says
// so, until lnd is back.
func checkAnswersMeanwhile(t *testing.T, conn *grpc.ClientConn, r node.Running) {
	t.Helper()
	raw, err := os.ReadFile(r.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "macaroon", hex.EncodeToString(raw))
	told := false
	until.True(t, "lnd to be away and back", func() bool {
		_, err := lnrpc.NewLightningClient(conn).GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err == nil && told {
			return true
		}
		text := status.Convert(err).Message()
		told = told || strings.Contains(text, "leyden: lnd_down: ")
		if err != nil && (status.Code(err) != codes.Unavailable || !strings.HasPrefix(text, "leyden: ")) {
			t.Fatalf("not the front's answer: %v", err)
		}
		if ctx.Err() != nil {
			t.Fatalf("told %t, then %v", told, err)
		}
		return false
	})
}
