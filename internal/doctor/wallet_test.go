package doctor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestWalletsWithKeys(t *testing.T) {
	const inside = ".leyden/node/data/chain/bitcoin/mainnet/"
	with := func(mode string, files map[string]string) func(*bench) {
		return func(b *bench) {
			b.made(mode, "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
			for name, text := range files {
				b.write(inside+name, text, 0o600)
			}
		}
	}
	page := func(text string) string { return string(make([]byte, 1<<20-3)) + text + string(make([]byte, 9)) }
	checked{
		"ok/none":        {with("watchonly", map[string]string{"wallet.db": page("mhdpub"), "channel.db": "mhdpriv"}), []want{{OK, "watch-only"}}},
		"ok/standalone":  {with("standalone", map[string]string{"wallet.db": page("mhdpriv")}), []want{{Warn, "holds its own keys"}}},
		"fail/keys":      {with("watchonly", map[string]string{"wallet.db": page("mhdpriv")}), []want{{OK, "watch-only"}, {Fail, "still has private keys"}}},
		"fail/copy":      {with("watchonly", map[string]string{"wallet.db.bak": page("mhdpriv")}), []want{{OK, "watch-only"}, {Fail, "is a copy of a wallet"}}},
		"fail/in SQLite": {with("watchonly", map[string]string{"chain.sqlite-wal": page("mhdpriv")}), []want{{OK, "watch-only"}, {Fail, "is a copy of a wallet"}}},
	}.run(t, checkKeys)
}

// TestContains looks for words that lie across what is read at once.
func TestContains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.db")
	for name, c := range map[string]struct {
		before int
		word   string
		want   bool
	}{
		"ok/first":       {0, "mhdpriv", true},
		"ok/across":      {1<<20 - 1, "mhdpriv", true},
		"ok/last across": {1<<20 - 6, "mhdpriv", true},
		"ok/next":        {1 << 20, "mhdpriv", true},
		"fail/cut":       {1<<20 - 3, "mhdpri", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, append(bytes.Repeat([]byte("m"), c.before), c.word...), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := contains(t.Context(), path, masterKeyName); err != nil || got != c.want {
				t.Errorf("got %t, %v, want %t", got, err, c.want)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := contains(ended, path, masterKeyName); err == nil {
		t.Error("what was not read to its end counts as read")
	}
}
