package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

// with returns the operator's macaroon with caveats added.
func (b *bed) with(t *testing.T, caveats ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, MacaroonFile))
	if err != nil {
		t.Fatal(err)
	}
	var m macaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCredential(t *testing.T) {
	b := newBed(t)
	before := func(d time.Duration) string { return timeBefore + time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	foreign := func() []byte {
		raw, err := key{make([]byte, 32)}.bake()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	cut := b.with(t, "x")
	for _, c := range []struct {
		name     string
		macaroon []byte
		ok       bool
	}{
		{"ok/whole", b.with(t), true},
		{"ok/time-before", b.with(t, before(time.Minute)), true},
		{"fail/expired", b.with(t, before(-time.Second)), false},
		{"fail/one of two expired", b.with(t, before(time.Minute), before(-time.Second)), false},
		{"fail/malformed time", b.with(t, timeBefore+"tomorrow"), false},
		{"fail/unknown caveat", b.with(t, "lnd-custom account 0011223344556677"), false},
		{"fail/empty caveat", b.with(t, ""), false},
		{"fail/other key", foreign(), false},
		{"fail/no macaroon at all", []byte("not a macaroon"), false},
		{"fail/cut short", cut[:len(cut)-1], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := b.at
			at.MacaroonPath = filepath.Join(t.TempDir(), "m")
			if err := files.Write(at.MacaroonPath, c.macaroon, 0o600); err != nil {
				t.Fatal(err)
			}
			client, err := Dial(at)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, err = client.Accounts.List(t.Context(), &leydenv1.ListRequest{})
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, "bad_macaroon")
			_, err = client.Lit.ListAccounts(t.Context(), &litrpc.ListAccountsRequest{})
			wantCode(t, err, "bad_macaroon")
			stream, err := client.Audit.Export(t.Context(), &leydenv1.ExportRequest{Format: "jsonl"})
			if err == nil {
				_, err = stream.Recv()
			}
			wantCode(t, err, "bad_macaroon")
		})
	}
}

func TestMacaroonHeader(t *testing.T) {
	b := newBed(t)
	good := hex.EncodeToString(b.with(t))
	conf, err := trust(b.at.CertPath)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(b.at.Address, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, c := range map[string]struct {
		header []string
		code   codes.Code
	}{
		"ok/one":        {[]string{good}, codes.OK},
		"ok/upper case": {[]string{strings.ToUpper(good)}, codes.OK},
		"fail/none":     {nil, codes.Unauthenticated},
		"fail/two":      {[]string{good, good}, codes.Unauthenticated},
		"fail/no hex":   {[]string{"swordfish"}, codes.Unauthenticated},
		"fail/empty":    {[]string{""}, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{macaroonKey: c.header})
			_, err := leydenv1.NewAccountsClient(conn).List(ctx, &leydenv1.ListRequest{})
			if status.Code(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
			if err != nil && strings.Contains(err.Error(), "swordfish") {
				t.Error("the error quotes the macaroon")
			}
		})
	}
}

func TestDialFails(t *testing.T) {
	b := newBed(t)
	for name, c := range map[string]struct {
		change func(*Target)
		code   string
	}{
		"no macaroon":       {func(at *Target) { at.MacaroonPath = "none" }, "bad_macaroon"},
		"no certificate":    {func(at *Target) { at.CertPath = "none" }, "bad_certificate"},
		"macaroon as cert":  {func(at *Target) { at.CertPath = at.MacaroonPath }, "bad_certificate"},
		"other certificate": {func(at *Target) { at.CertPath = newBed(t).at.CertPath }, "bad_certificate"},
		"nobody there":      {func(at *Target) { at.Address = "127.0.0.1:1" }, "node_unreachable"},
		"no port":           {func(at *Target) { at.Address = "127.0.0.1" }, "bad_address"},
		"no address":        {func(at *Target) { at.Address = "" }, "bad_address"},
	} {
		t.Run(name, func(t *testing.T) {
			at := b.at
			c.change(&at)
			client, err := Dial(at)
			if err == nil {
				defer client.Close()
				_, err = client.Accounts.List(t.Context(), &leydenv1.ListRequest{})
			}
			wantCode(t, err, c.code)
			if fault.Hint(err) == "" || strings.Contains(err.Error(), "desc = ") {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

// TestExpiredCertificate: the hint is another than for a foreign one.
func TestExpiredCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	go func() { _ = server.Serve(lis) }() // until Stop
	t.Cleanup(server.Stop)
	at := newBed(t).at
	at.Address, at.CertPath = lis.Addr().String(), filepath.Join(t.TempDir(), "tls.cert")
	if err := os.WriteFile(at.CertPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Accounts.List(t.Context(), &leydenv1.ListRequest{})
	wantCode(t, err, "bad_certificate")
	if !strings.Contains(fault.Hint(err), "clock") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	first, err := openKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{keyFile, MacaroonFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	read := func() string {
		raw, err := os.ReadFile(filepath.Join(dir, MacaroonFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	before := read()
	if _, err := openKey(dir); err != nil || read() != before {
		t.Errorf("a second start changed the macaroon: %v", err)
	}

	// A key that was replaced ends the old macaroons.
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	second, err := openKey(dir)
	if err != nil || read() == before {
		t.Fatalf("the macaroon of a lost key is still there: %v", err)
	}
	if _, err := second.verify([]byte(before), time.Now()); err == nil {
		t.Error("the old macaroon is good with the new key")
	}
	if _, err := first.verify([]byte(before), time.Now()); err != nil {
		t.Errorf("the old macaroon was never good: %v", err)
	}

	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		code       string
	}{
		{"readable", strings.Repeat("00", 32), 0o644, "insecure_file"},
		{"short", "00", 0o600, "bad_key_file"},
		{"no hex", "swordfish", 0o600, "bad_key_file"},
	} {
		if err := files.Write(filepath.Join(dir, keyFile), []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := openKey(dir)
		wantCode(t, err, c.code)
		if err != nil && strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%s: the error quotes the key", c.name)
		}
	}
}
