package itest

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/lnc"
)

// words reads the ten words out of what `leyden sessions add` says to a pipe.
func words(t *testing.T, said string) string {
	t.Helper()
	var made madeSession
	if err := json.Unmarshal([]byte(said), &made); err != nil || made.Phrase == "" {
		t.Fatalf("%v: %s", err, said)
	}
	return made.Phrase
}

// find returns the lines of the block of a page that holds a text.
func find(t *testing.T, page, text string) []string {
	t.Helper()
	for _, block := range blocks(readPage(t, page)) {
		if strings.Contains(strings.Join(block, "\n"), text) {
			return block
		}
	}
	t.Fatalf("%s: no block has %q", page, text)
	return nil
}

// TestAssistantsPage types the page of assistants, on the node and elsewhere.
func TestAssistantsPage(t *testing.T) {
	w, r := theWorld(t), theWorld(t).relay(t)
	gate := w.gate(t, false, shop.Service{Name: "data", PathRegexp: "^/", Address: sells(t), Price: 100,
		Free: []string{"^" + shop.HealthPath + "$"}})
	const page = "docs/assistant.md"
	node := w.reader(t, w.buyerNode(), "sessions add", "sessions add --devserver --mailboxserveraddr "+r.addr)
	var phrase string
	for _, line := range find(t, page, "accounts create") {
		if said := node.line(page, line); strings.HasPrefix(line, "leyden sessions add") {
			phrase = words(t, said)
		}
	}
	elsewhere := reader{t: t, w: w, home: t.TempDir(), names: node.names}
	if err := os.WriteFile(filepath.Join(elsewhere.home, "words"), []byte(phrase), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere.names = strings.NewReplacer("lnc pair", "lnc pair - --devserver --mailbox "+r.addr+" < words", "https://api.example.com", gate.URL)
	expect := w.payments(t)
	elsewhere.types(page, "lnc pair")
	elsewhere.types(page, "--max-cost")
	expect(1)
	node.types(page, "sessions revoke")
	node.line(page, "leyden accounts remove assistant")
}

// TestWalletsPage types the page of wallets, and pays as Zeus does.
func TestWalletsPage(t *testing.T) {
	w, r := theWorld(t), theWorld(t).relay(t)
	const page = "docs/wallets.md"
	node := w.reader(t, w.buyerNode(), "sessions add", "sessions add --devserver --mailboxserveraddr "+r.addr,
		" --mailboxserveraddr relay.example:443", "")
	lines := append(find(t, page, "accounts create"), find(t, page, "relay.example")...)
	for _, line := range lines {
		if said := node.line(page, line); strings.HasPrefix(line, "leyden sessions add") {
			phrase, err := lnc.ParsePhrase(words(t, said))
			if err != nil {
				t.Fatal(err)
			}
			ownProgram(t, r, phrase)
		}
	}
	node.line(page, "leyden accounts info phone")
	node.line(page, "leyden accounts remove phone")
}

// ownProgram is a program of one's own, as the page of the library has it, that
// is started twice: the second time its file is enough.
func ownProgram(t *testing.T, r *relay, phrase lnc.Phrase) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "node.keys")
	for _, words := range []lnc.Phrase{phrase, phrase, {}} {
		dialer, err := lnc.Open(keys, lnc.Mailbox{Addr: r.addr, TLS: &tls.Config{InsecureSkipVerify: true}}, words)
		if err != nil {
			t.Fatal(err)
		}
		client, err := dialer.NewClient()
		if err != nil {
			t.Fatal(err)
		}
		balance, err := lnrpc.NewLightningClient(client).ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
		if err != nil || balance.GetLocalBalance().GetSat() != 50_000 {
			t.Errorf("%v, %v", balance, err)
		}
		client.Close()
		dialer.Close()
	}
}
