package signer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/signer"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// nodeKey locates the key that a node signs its invoices with.
var nodeKey = &signrpc.KeyLocator{KeyFamily: 6}

// sign asks for a signature of the node's key, as a watch-only lnd does.
func sign(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := signrpc.NewSignerClient(conn).SignMessage(ctx, &signrpc.SignMessageReq{
		Msg: []byte("Lightning Signed Message:hello"), KeyLoc: nodeKey, DoubleHash: true, CompactSig: true,
	})
	return err
}

// reason is the front's, of a refusal; else the status code.
func reason(err error) string {
	s := status.Convert(err)
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return s.Code().String()
}

// TestLifecycle is a signer's life: made, started, asked, its lnd killed, stopped,
// deleted.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if _, code := m.run("status"); code != "not_running" {
		t.Errorf("status of nothing: %q", code)
	}
	if _, code := m.run("start"); code != "no_wallet" {
		t.Errorf("start of nothing: %q", code)
	}
	if _, code := m.run("stop", "--clean", "--yes"); code != "no_wallet" {
		t.Errorf("clean of nothing: %q", code)
	}
	created := m.init()
	t.Run("modes", func(t *testing.T) { m.checkModes(t) })
	if created.Accounts != 259 || created.Macaroon != "signer-only" || len(created.Caveats) != 0 {
		t.Errorf("%+v", created)
	}
	if _, code := m.run("init", "--network", "regtest"); code != "wallet_exists" {
		t.Errorf("init again: %q", code)
	}
	m.cheapen()
	r := m.start("--rest", "--restlisten", testbin.FreePort(t))
	if r.State != "active" || !r.BundleCurrent || !slices.Equal(r.RPC, []string{m.rpc}) {
		t.Errorf("%+v", r)
	}
	if _, code := m.run("start", "--rpclisten", testbin.FreePort(t)); code != "already_running" {
		t.Errorf("start again: %q", code)
	}
	b := read(t, created.Bundle)
	conn := m.connect(b, b.Macaroon)
	if err := sign(conn); err != nil {
		t.Fatalf("sign: %v", err)
	}
	t.Run("methods", func(t *testing.T) { m.checkMethods(t) })
	t.Run("strangers", func(t *testing.T) { m.checkStrangers(t) })
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", r.LndPID)); err != nil || !noCore.Match(limits) {
		t.Errorf("lnd's core file would hold the keys: %s %v", limits, err)
	}

	testbin.Kill(t, r.LndPID)
	until.True(t, "another lnd", func() bool {
		now, err := signer.Status(config.Home(m.home))
		return err == nil && now.Restarts == 1 && now.State == "active"
	})
	until.True(t, "signatures again", func() bool { return sign(conn) == nil })

	if _, code := m.run("stop", "--clean"); code != "not_confirmed" {
		t.Errorf("clean without asking: %q", code)
	}
	if err := sign(conn); err != nil {
		t.Errorf("after a clean that was not confirmed: %v", err)
	}
	m.must("stop")
	if err := sign(conn); reason(err) != codes.Unavailable.String() {
		t.Errorf("stopped: %v", err)
	}
	if _, code := m.run("stop"); code != "not_running" {
		t.Errorf("stop again: %q", code)
	}
	elsewhere := filepath.Join(t.TempDir(), "disk") // where an operator has put the keys
	if err := errors.Join(os.Rename(m.path(), elsewhere), os.Symlink(elsewhere, m.path())); err != nil {
		t.Fatal(err)
	}
	m.must("stop", "--clean", "--yes")
	if isThere(m.path()) || isThere(elsewhere) {
		t.Error("the folder is still there")
	}
}

// checkModes: nothing in the folder can be read by others but the certificate.
func (m *machine) checkModes(t *testing.T) {
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && info.Mode().Perm() != 0o700 {
			t.Logf("%s: %v", path, info.Mode()) // inside a private one
		}
		secret := strings.HasSuffix(path, ".macaroon") || strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".key") ||
			strings.HasSuffix(path, ".b64") || strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, "wallet.db")
		if secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(m.path()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the signer's folder: %v %v", info.Mode(), err)
	}
}

// checkMethods calls every method of lnd through the front with the admin macaroon:
// only those that sign, and the list of public keys, get as far as lnd.
func (m *machine) checkMethods(t *testing.T) {
	pass := map[string]bool{"/walletrpc.WalletKit/SignPsbt": true, "/walletrpc.WalletKit/ListAccounts": true}
	for _, name := range []string{"SignMessage", "DeriveSharedKey", "MuSig2CreateSession", "MuSig2RegisterNonces",
		"MuSig2RegisterCombinedNonce", "MuSig2GetCombinedNonce", "MuSig2Sign", "MuSig2CombineSig", "MuSig2Cleanup"} {
		pass["/signrpc.Signer/"+name] = true
	}
	private, err := signer.Dial(config.Home(m.home))
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	list, err := lnrpc.NewLightningClient(private).ListPermissions(t.Context(), &lnrpc.ListPermissionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, signer.BundleDir(config.Home(m.home)))
	admin := m.connect(b, m.adminMacaroon())
	methods := []string{"/lnrpc.WalletUnlocker/GenSeed", "/lnrpc.WalletUnlocker/ChangePassword", "/no.Such/Method"}
	for method := range list.MethodPermissions {
		methods = append(methods, method)
	}
	if len(methods) < 150 {
		t.Errorf("only %d methods", len(methods))
	}
	for _, method := range methods {
		err := admin.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
		got := reason(err)
		switch {
		case strings.HasPrefix(method, "/lnrpc.State/"): // carries no secret and no power
		case pass[method] && (got == "not_allowed" || got == "method_blocked"):
			t.Errorf("%s: %v", method, err)
		case !pass[method] && got != "not_allowed" && got != "method_blocked":
			t.Errorf("%s: %v", method, err)
		}
	}
	m.checkMacaroon(t)
}

var noCore = regexp.MustCompile(`(?m)^Max core file size +0 +0 `)

// checkStrangers: who has no macaroon for a method is refused before a message is
// read, and who has one sends no huge message.
func (m *machine) checkStrangers(t *testing.T) {
	b := read(t, signer.BundleDir(config.Home(m.home)))
	elsewhere, err := m.restricted(b.Macaroon, "ipaddr 192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	readonly, err := os.ReadFile(m.path("data", "chain", "bitcoin", "regtest", "readonly.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(b.Macaroon)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		macaroon []byte
		refusal  string
	}{
		"fail/none":      {nil, "bad_macaroon"},
		"fail/malformed": {[]byte("macaroon"), "bad_macaroon"},
		"fail/forged":    {forged, "verification failed"},
		"fail/elsewhere": {elsewhere, "locked to different IP"},
		"fail/read-only": {readonly, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := m.connect(b, c.macaroon)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/signrpc.Signer/SignMessage")
			if err != nil {
				t.Fatal(err)
			}
			// Nothing was sent, and still there is an answer.
			if err := stream.RecvMsg(&emptypb.Empty{}); err == nil || !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("%v", err)
			}
		})
	}
	_, err = signrpc.NewSignerClient(m.connect(b, b.Macaroon)).SignMessage(t.Context(),
		&signrpc.SignMessageReq{Msg: make([]byte, 20<<20), KeyLoc: nodeKey})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("20 MB: %v", err)
	}
}

// restricted adds a caveat.
func (m *machine) restricted(raw []byte, caveat string) ([]byte, error) {
	var mac gomacaroon.Macaroon
	if err := mac.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	if err := mac.AddFirstPartyCaveat([]byte(caveat)); err != nil {
		return nil, err
	}
	return mac.MarshalBinary()
}

// checkMacaroon: the bundle's macaroon signs and does nothing else, past the front
// too.
func (m *machine) checkMacaroon(t *testing.T) {
	b := read(t, signer.BundleDir(config.Home(m.home)))
	r, err := signer.Status(config.Home(m.home))
	if err != nil {
		t.Fatal(err)
	}
	past, err := lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}.Dial(lnd.WithMacaroon(b.Macaroon))
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	for what, call := range map[string]func() error{
		"ListAccounts": func() error {
			_, err := walletrpc.NewWalletKitClient(past).ListAccounts(t.Context(), &walletrpc.ListAccountsRequest{})
			return err
		},
		"GetInfo": func() error {
			_, err := lnrpc.NewLightningClient(past).GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
			return err
		},
		"BakeMacaroon": func() error {
			_, err := lnrpc.NewLightningClient(past).BakeMacaroon(t.Context(), &lnrpc.BakeMacaroonRequest{
				Permissions: []*lnrpc.MacaroonPermission{{Entity: "macaroon", Action: "generate"}}})
			return err
		},
		"SignOutputRaw": func() error {
			_, err := signrpc.NewSignerClient(past).SignOutputRaw(t.Context(), &signrpc.SignReq{})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s with the bundle's macaroon: %v", what, err)
		}
	}
	if err := sign(past); err != nil {
		t.Error(err)
	}
	shared, err := signrpc.NewSignerClient(past).DeriveSharedKey(t.Context(), &signrpc.SharedKeyRequest{
		EphemeralPubkey: somebody(t), KeyDesc: &signrpc.KeyDescriptor{KeyLoc: nodeKey}})
	if err != nil || bytes.Equal(shared.SharedKey, make([]byte, 32)) {
		t.Errorf("shared key: %v", err)
	}
}

// somebody is a public key of somebody.
func somebody(t *testing.T) []byte {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.PubKey().SerializeCompressed()
}

// TestUnlock: without a password file the signer waits, says so to the node, and
// signs once it is opened.
func TestUnlock(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	password := m.write(filepath.Join(t.TempDir(), "pw"), "my own password\n", 0o600)
	created := m.init("--password-file", password)
	if created.PasswordFile != password {
		t.Errorf("%+v", created)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(password, moved); err != nil {
		t.Fatal(err)
	}
	if _, code := m.run("export"); code != "no_password" {
		t.Errorf("export of a closed wallet: %q", code)
	}
	if r := m.start(); r.State != "locked" {
		t.Fatalf("%+v", r)
	}
	b := read(t, created.Bundle)
	conn := m.connect(b, b.Macaroon)
	if err := sign(conn); reason(err) != "wallet_locked" || !strings.Contains(err.Error(), "leyden signer unlock") {
		t.Errorf("%v", err)
	}
	if _, code := m.run("export"); code != "signer_locked" {
		t.Errorf("export of a locked signer: %q", code)
	}
	wrong := m.write(filepath.Join(t.TempDir(), "wrong"), "another password\n", 0o600)
	if _, code := m.run("unlock", "--password-file", wrong); code != "wrong_password" {
		t.Errorf("%q", code)
	}
	if r := parsed[signer.Running](t, m.must("unlock", "--password-file", moved)); r.State != "active" {
		t.Errorf("%+v", r)
	}
	until.True(t, "signatures", func() bool { return sign(conn) == nil })
}
