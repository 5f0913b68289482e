package cert

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	lndcert "github.com/lightningnetwork/lnd/cert"

	"github.com/leydenln/leyden/internal/fault"
)

func options(t *testing.T) Options {
	dir := t.TempDir()
	return Options{
		CertPath: filepath.Join(dir, "tls.cert"), KeyPath: filepath.Join(dir, "tls.key"),
		DisableAutofill: true, Logger: slog.New(slog.DiscardHandler),
	}
}

func mustOpen(t *testing.T, opts Options, now func() time.Time) *Keeper {
	t.Helper()
	k, err := open(opts, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func leaf(t *testing.T, k *Keeper) *x509.Certificate {
	t.Helper()
	pair, err := k.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func onDisk(t *testing.T, opts Options) *x509.Certificate {
	t.Helper()
	_, cert, err := lndcert.LoadCert(opts.CertPath, opts.KeyPath)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestMakesAPair(t *testing.T) {
	opts := options(t)
	opts.ExtraIPs, opts.ExtraDomains = []string{"10.1.2.3"}, []string{"node.example"}
	k := mustOpen(t, opts, time.Now)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "10.1.2.3", "node.example"} {
		if err := leaf(t, k).VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if !leaf(t, k).Equal(onDisk(t, opts)) {
		t.Error("another certificate on disk")
	}
	for path, want := range map[string]fs.FileMode{opts.CertPath: 0o644, opts.KeyPath: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	again := mustOpen(t, opts, time.Now)
	if !leaf(t, again).Equal(leaf(t, k)) {
		t.Error("a good certificate was replaced")
	}
}

func TestRenewedAtOpen(t *testing.T) {
	inAYear := func() time.Time { return time.Now().Add(2 * DefaultValidity) }
	cases := map[string]struct {
		change func(*Options)
		now    func() time.Time
		renew  bool
	}{
		"ok/same":                     {renew: false},
		"ok/fewer names":              {change: func(o *Options) { o.ExtraDomains = nil }, renew: false},
		"ok/expired":                  {now: inAYear, renew: true},
		"ok/another domain":           {change: func(o *Options) { o.ExtraDomains = []string{"b.example"} }, renew: true},
		"ok/another IP":               {change: func(o *Options) { o.ExtraIPs = []string{"10.0.0.9"} }, renew: true},
		"ok/fewer names, autorefresh": {change: func(o *Options) { o.ExtraDomains, o.AutoRefresh = nil, true }, renew: true},
		"ok/key of another":           {change: func(o *Options) { os.WriteFile(o.KeyPath, nil, 0o600) }, renew: true},
		"ok/key gone":                 {change: func(o *Options) { os.Remove(o.KeyPath) }, renew: true},
		"ok/certificate gone":         {change: func(o *Options) { os.Remove(o.CertPath) }, renew: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			opts := options(t)
			opts.ExtraDomains = []string{"a.example"}
			before := leaf(t, mustOpen(t, opts, time.Now))
			if c.change != nil {
				c.change(&opts)
			}
			if c.now == nil {
				c.now = time.Now
			}
			k := mustOpen(t, opts, c.now)
			after := onDisk(t, opts)
			if renewed := !after.Equal(before); renewed != c.renew {
				t.Errorf("renewed: %v, want %v", renewed, c.renew)
			}
			if !k.pair.Leaf.Equal(after) {
				t.Error("shows another certificate than the one on disk")
			}
		})
	}
}

func TestRefusedAtOpen(t *testing.T) {
	cases := map[string]struct {
		change func(*testing.T, *Options)
		code   string
	}{
		"fail/readable key": {func(t *testing.T, o *Options) { os.Chmod(o.KeyPath, 0o644) }, "insecure_file"},
		"fail/garbage":      {func(t *testing.T, o *Options) { os.WriteFile(o.CertPath, []byte("x"), 0o644) }, "bad_certificate"},
		"fail/others', key of another": {func(t *testing.T, o *Options) {
			foreign(t, *o, time.Hour)
			os.WriteFile(o.KeyPath, nil, 0o600)
		}, "bad_certificate"},
		"fail/not an IP": {func(t *testing.T, o *Options) { o.ExtraIPs = []string{"node.example"} }, "bad_config"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			opts := options(t)
			mustOpen(t, opts, time.Now)
			c.change(t, &opts)
			before, _ := os.ReadFile(opts.CertPath)
			_, err := Open(opts)
			if fault.Code(err) != c.code || fault.Hint(err) == "" {
				t.Errorf("got %v, code %q", err, fault.Code(err))
			}
			if after, _ := os.ReadFile(opts.CertPath); string(after) != string(before) {
				t.Error("certificate was overwritten")
			}
		})
	}
}

func TestForeignCertificateIsLeftAlone(t *testing.T) {
	opts := options(t)
	foreign(t, opts, -time.Minute)
	before := onDisk(t, opts)
	opts.ExtraDomains = []string{"a.example"}
	k := mustOpen(t, opts, time.Now)
	if !leaf(t, k).Equal(before) || !onDisk(t, opts).Equal(before) {
		t.Error("replaced")
	}
}

// TestWhileServing looks at the certificate through handshakes of one listener.
func TestWhileServing(t *testing.T) {
	opts := options(t)
	now := time.Now()
	k := mustOpen(t, opts, func() time.Time { return now })
	first := handshake(t, k)

	now = now.Add(2 * DefaultValidity)
	opts.Validity = 3 * DefaultValidity
	k.opts.Validity = opts.Validity
	second := handshake(t, k)
	if second.Equal(first) || !second.Equal(onDisk(t, opts)) {
		t.Error("not renewed when it expired")
	}

	foreign(t, opts, 48*time.Hour)
	third := handshake(t, k)
	if third.Equal(second) || !third.Equal(onDisk(t, opts)) {
		t.Error("files from outside not picked up")
	}

	if err := os.WriteFile(opts.CertPath, []byte("half a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !handshake(t, k).Equal(third) {
		t.Error("did not go on with the old one")
	}
}

func handshake(t *testing.T, k *Keeper) *x509.Certificate {
	t.Helper()
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	go tls.Server(server, k.TLSConfig()).Handshake()
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

func foreign(t *testing.T, opts Options, validity time.Duration) {
	t.Helper()
	certPEM, keyPEM, err := lndcert.GenCertPair("somebody else", nil, nil, true, validity)
	if err != nil {
		t.Fatal(err)
	}
	if err := lndcert.WriteCertPair(opts.CertPath, opts.KeyPath, certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
}
