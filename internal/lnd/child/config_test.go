package child

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/signal"

	"github.com/leydenln/leyden/internal/lnd"
)

// specWith writes the configuration into folders of its own.
func specWith(t *testing.T, conf string) lnd.ChildSpec {
	t.Helper()
	dir := t.TempDir()
	spec := lnd.ChildSpec{Dir: filepath.Join(dir, "node"), Private: filepath.Join(dir, "node", "private"),
		Config: filepath.Join(dir, "child.conf"), Socket: filepath.Join(dir, "s"), Lifeline: 3}
	if err := os.WriteFile(spec.Config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestFixed: whatever a configuration says, in whatever spelling go-flags
// takes, lnd ends with no port of its own and no file outside its folders.
func TestFixed(t *testing.T) {
	spec := specWith(t, strings.Join([]string{
		"bitcoin.regtest=1", "bitcoin.node=neutrino", "alias=kept",
		"rpclisten=0.0.0.0:1", "RawRESTListeners=0.0.0.0:2", "norest=false",
		"NoMacaroons=true", "noseedbackup=true", "tlscertpath=/elsewhere/tls.cert", "TLSKeyPath=/elsewhere/tls.key",
		"b=/elsewhere", "adminmacaroonpath=/elsewhere/admin.macaroon", "letsencryptdomain=example.com",
		"rpcmiddleware.addmandatory=x", "tlsencryptkey=1", "wallet-unlock-allow-create=1",
	}, "\n"))
	cfg, err := load(spec, signal.Interceptor{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cfg.LogRotator.Close() })
	switch {
	case cfg.Alias != "kept":
		t.Errorf("alias %q", cfg.Alias)
	case cfg.NoMacaroons, cfg.NoSeedBackup, !cfg.DisableRest, len(cfg.RESTListeners) > 0,
		cfg.TLSEncryptKey, cfg.LetsEncryptDomain != "", cfg.WalletUnlockAllowCreate:
		t.Errorf("not fixed: %+v", cfg)
	case !cfg.RPCMiddleware.Enable, len(cfg.RPCMiddleware.Mandatory) > 0:
		t.Errorf("middleware %+v", cfg.RPCMiddleware)
	case cfg.TLSCertPath != spec.CertPath(), cfg.TLSKeyPath != spec.KeyPath():
		t.Errorf("certificate %q, key %q", cfg.TLSCertPath, cfg.TLSKeyPath)
	}
	for what, path := range map[string]string{"data": cfg.DataDir, "logs": cfg.LogDir, "admin macaroon": cfg.AdminMacPath,
		"tower": cfg.Watchtower.TowerDir, "backup": cfg.BackupFilePath} {
		if !strings.HasPrefix(path, spec.Dir+"/") {
			t.Errorf("%s is at %q", what, path)
		}
	}
}

func TestLoadFails(t *testing.T) {
	cases := map[string]struct{ conf, part string }{
		"fail/unknown option":  {"bitcoin.regtest=1\nnosuch=1", "child.conf:2: unknown option: nosuch"},
		"fail/wrong type":      {"bitcoin.regtest=1\nmaxpendingchannels=many", "child.conf:2:"},
		"fail/go-flags panics": {"bitcoin.regtest=1\nautopilot.heuristic=top:", "malformed option value"},
		"fail/no network":      {"alias=x", "must be specified"},
		"fail/beyond lnd":      {"bitcoin.regtest=1\nmaxchansize=99999999999", "channel size"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := load(specWith(t, c.conf), signal.Interceptor{}); err == nil || !strings.Contains(err.Error(), c.part) {
				t.Errorf("got %v, want %q", err, c.part)
			}
		})
	}
}

func TestMainRefusesAPerson(t *testing.T) {
	if got := Main([]string{"--dir=relative"}); got != lnd.ExitConfig {
		t.Errorf("status %d", got)
	}
}
