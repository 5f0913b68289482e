package signer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/signer"
	"github.com/leydenln/leyden/internal/testbin"
)

// TestExport makes bundles of a signer that runs and of one that does not.
func TestExport(t *testing.T) {
	t.Parallel()
	if _, code := newMachine(t).run("export"); code != "no_wallet" {
		t.Errorf("of nothing: %q", code)
	}
	m := newMade(t)
	first := read(t, m.export("--allow-ip", "192.0.2.7").Bundle)
	if got := caveats(t, first); !slices.Equal(got, []string{"ipaddr 192.0.2.7"}) {
		t.Errorf("caveats %q", got)
	}
	m.start()
	if err := sign(m.connect(first, first.Macaroon)); err == nil || !strings.Contains(err.Error(), "locked to different IP") {
		t.Errorf("from another address: %v", err)
	}
	t.Run("remembered", func(t *testing.T) {
		if e := m.export(); !slices.Equal(e.Caveats, []string{"ipaddr 192.0.2.7"}) {
			t.Errorf("%q", e.Caveats)
		}
	})
	t.Run("network", func(t *testing.T) {
		m.exported(t, true, "--allow-range", "127.0.0.1/8")
		m.exported(t, false, "--allow-range", "198.51.100.0/24")
	})
	t.Run("two at once", func(t *testing.T) {
		lock, err := daemon.Acquire(filepath.Join(m.home, "run", "signer-export.pid"))
		if err != nil {
			t.Fatal(err)
		}
		if _, code := m.run("export"); code != "already_running" {
			t.Errorf("%q", code)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	})
	open := m.exported(t, true, "--anywhere")
	t.Run("both", func(t *testing.T) {
		if _, code := m.run("export", "--anywhere", "--allow-ip", "192.0.2.7"); code != "bad_bounds" {
			t.Errorf("%q", code)
		}
	})
	t.Run("rotate", func(t *testing.T) {
		m.exported(t, true, "--rotate")
		if err := sign(m.connect(open, open.Macaroon)); err == nil {
			t.Error("the macaroon of an earlier bundle still signs")
		}
		m.finishesRotation(t)
	})
	t.Run("output", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new", "bundle")
		left := m.write(filepath.Join(dir, ".admin.macaroon123"), "of an export that was killed", 0o600)
		if e := m.export("--output", dir, "--rotate"); e.Bundle != dir || isThere(left) {
			t.Errorf("%s", e.Bundle)
		}
		read(t, dir)
		if r := m.awaitState(lnd.Active); r.BundleCurrent {
			t.Error("the macaroon of the other bundle is dead, and status does not say so")
		}
		other := t.TempDir()
		m.write(filepath.Join(other, "file"), "x", 0o600)
		if _, code := m.run("export", "--output", other); code != "write_failed" {
			t.Errorf("among other files: %q", code)
		}
	})
	m.must("stop")
	t.Run("stopped", func(t *testing.T) {
		if b := read(t, m.export().Bundle); !b.SameKeys(first) {
			t.Error("other keys")
		}
		if _, code := m.run("status"); code != "not_running" {
			t.Errorf("the export left a signer running: %q", code)
		}
	})
}

// finishesRotation: an export that was cut short after it noted which root key to
// delete is made good by the next.
func (m *machine) finishesRotation(t *testing.T) {
	t.Helper()
	now := m.export()
	b := read(t, now.Bundle)
	kept, err := os.ReadFile(m.path("leyden-signer.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Replace(string(kept), fmt.Sprintf("root_key_id: %d\n", now.RootKeyID),
		fmt.Sprintf("root_key_id: 4294967297\nold_root_key_ids: [%d]\n", now.RootKeyID), 1)
	m.write(m.path("leyden-signer.yaml"), cut, 0o600)
	m.exported(t, true)
	if err := sign(m.connect(b, b.Macaroon)); err == nil {
		t.Error("the macaroon of a rotation that was cut short still signs")
	}
}

// exported makes a bundle and tells whether its macaroon signs from here.
func (m *machine) exported(t *testing.T, signs bool, args ...string) *bundle.Bundle {
	t.Helper()
	b := read(t, m.export(args...).Bundle)
	if err := sign(m.connect(b, b.Macaroon)); (err == nil) != signs {
		t.Errorf("%q: %v", args, err)
	}
	return b
}

func caveats(t *testing.T, b *bundle.Bundle) (texts []string) {
	t.Helper()
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(b.Macaroon); err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Caveats() {
		texts = append(texts, string(c.Id))
	}
	return texts
}

// TestExportElsewhere makes a bundle over the signer's port: of ours, whose front
// bakes for nobody, and of an lnd without a front.
func TestExportElsewhere(t *testing.T) {
	t.Parallel()
	m := newMade(t)
	first := m.bundle()
	m.start()
	cert := filepath.Join(m.path(), bundle.CertFile)
	macaroon := m.write(filepath.Join(t.TempDir(), "list.macaroon"), string(m.listing(t)), 0o600)
	from := func(args ...string) []string {
		return append([]string{"export", "--rpcserver", m.rpc, "--tlscertpath", cert, "--output",
			filepath.Join(t.TempDir(), "bundle")}, args...)
	}
	away := newMachine(t) // has no signer of its own
	e := parsed[signer.Exported](t, away.must(from("--macaroonpath", macaroon, "--allow-range", "127.0.0.0/8")...))
	if e.Macaroon != "as given" || e.RootKeyID != 0 || len(e.Caveats) != 1 {
		t.Errorf("%+v", e)
	}
	b := read(t, e.Bundle)
	if err := sign(m.connect(b, b.Macaroon)); !b.SameKeys(first) || err != nil {
		t.Errorf("%v", err)
	}
	if _, code := m.run("export", "--rpcserver", m.rpc, "--tlscertpath", cert, "--macaroonpath", macaroon); code != "file_exists" {
		t.Errorf("over the signer's own bundle: %q", code)
	}
	for name, c := range map[string]struct {
		args []string
		code string
	}{
		"fail/no macaroon":   {from("--macaroonpath", filepath.Join(t.TempDir(), "none")), "bad_macaroon"},
		"fail/others read":   {from("--macaroonpath", m.write(filepath.Join(t.TempDir(), "m"), "x", 0o644)), "insecure_file"},
		"fail/no power":      {from("--macaroonpath", filepath.Join(signer.BundleDir(config.Home(m.home)), bundle.MacaroonFile)), "permission_denied"},
		"fail/not one":       {from("--macaroonpath", m.write(filepath.Join(t.TempDir(), "m"), "x", 0o600)), "permission_denied"},
		"fail/certificate":   {[]string{"export", "--rpcserver", m.rpc, "--tlscertpath", macaroon, "--macaroonpath", macaroon}, "bad_certificate"},
		"fail/nobody there":  {[]string{"export", "--rpcserver", testbin.FreePort(t), "--tlscertpath", cert, "--macaroonpath", macaroon}, "signer_unreachable"},
		"fail/much power":    {from("--macaroonpath", m.path("data", "chain", "bitcoin", "regtest", "admin.macaroon")), "strong_macaroon"},
		"fail/rotate it too": {from("--macaroonpath", macaroon, "--rotate"), "not_available"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, code := away.run(c.args...); code != c.code {
				t.Errorf("code %q, want %q", code, c.code)
			}
		})
	}
}

// listing is a macaroon that may list accounts and sign.
func (m *machine) listing(t *testing.T) []byte {
	t.Helper()
	conn, err := signer.Dial(config.Home(m.home))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	role, err := bakery.RoleNamed("signer-only")
	if err != nil {
		t.Fatal(err)
	}
	request := &lnrpc.BakeMacaroonRequest{}
	for _, method := range append(role.Needs, "/walletrpc.WalletKit/ListAccounts") {
		request.Permissions = append(request.Permissions, &lnrpc.MacaroonPermission{Entity: "uri", Action: method})
	}
	r, err := lnrpc.NewLightningClient(conn).BakeMacaroon(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unhex(r.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
