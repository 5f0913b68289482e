package itest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/bundle"
)

// TestSignerPage types the page of the signer, on two machines.
func TestSignerPage(t *testing.T) {
	const page = "docs/signer.md"
	w := theWorld(t)
	addr := net.JoinHostPort("127.0.0.1", freePort(t))
	keys := reader{t: t, w: w, home: t.TempDir(), names: strings.NewReplacer("testnet", "regtest",
		"192.0.2.7", "127.0.0.1", "signer start --detach", "signer start --detach --rpclisten "+addr)}
	keys.types(page, "signer init")
	defer keys.line(page, "leyden signer stop --clean --yes")
	file := filepath.Join(keys.home, ".leyden", "signer", "credentials-bundle", bundle.Base64File)

	node := reader{t: t, w: w, home: t.TempDir(), names: strings.NewReplacer("testnet", "regtest", bundle.Base64File, file)}
	for _, block := range blocks(readPage(t, page)) {
		for _, line := range block {
			if strings.HasPrefix(line, "leyden node ") && !strings.HasPrefix(line, "leyden node start") {
				node.line(page, line)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(node.home, ".leyden", "node", "data", "chain", "bitcoin", "regtest", "wallet.db")); err != nil {
		t.Errorf("no watch-only wallet: %v", err)
	}

	keys.types(page, "export --rotate")
	keys.types(page, "change-password")

	elsewhere := w.buyerNode()
	keys.names = strings.NewReplacer("signer.example:10012", elsewhere.RPC, "admin.macaroon", elsewhere.AdminMacaroon,
		"tlscertpath tls.cert", "tlscertpath "+elsewhere.TLSCert)
	keys.types(page, "--rpcserver")
	if _, err := bundle.Read(filepath.Join(keys.home, "bundle"), nil); err != nil {
		t.Error(err)
	}
}
