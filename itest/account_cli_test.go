package itest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// accountid sets a variable to the id of the account with a label:
// accountid ID label.
func accountid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: accountid VARIABLE label")
	}
	ts.Check(ts.Exec("leyden", "accounts", "info", args[1]))
	var info struct {
		ID string `json:"id"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &info))
	ts.Setenv(args[0], info.ID)
}

// TestAccountsPage types the page of accounts.
func TestAccountsPage(t *testing.T) {
	const page = "docs/accounts.md"
	w := theWorld(t)
	node := w.buyerNode()
	r := w.reader(t, node, "localhost:8443", node.API)
	defer r.line(page, "leyden accounts remove agent")
	for _, text := range []string{
		"accounts create", "accounts qr", "accounts list", "limits agent", "freeze agent",
		"accounts macaroon", "bakemacaroon", "audit verify", "--rpcserver",
	} {
		if text == "bakemacaroon" {
			r.names = strings.NewReplacer("07a4a3d12462b52e", r.accountID("agent"))
		}
		r.types(page, text)
		if text == "audit verify" {
			r.names = strings.NewReplacer("localhost:8443", node.API)
		}
	}
	for _, made := range []string{"agent.macaroon", "second.macaroon"} {
		info, err := os.Stat(filepath.Join(r.home, made))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", made, info, err)
		}
	}
	var balance struct {
		Balance string `json:"balance"`
	}
	out := r.line(page, "leyden lncli --macaroonpath=agent.macaroon channelbalance")
	if err := json.Unmarshal([]byte(out), &balance); err != nil || balance.Balance != "57500" {
		t.Errorf("the account that was rotated shows %s", out)
	}
}

// accountID is the id of the account with the label.
func (r reader) accountID(label string) string {
	r.t.Helper()
	var info struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(r.line("docs/accounts.md", "leyden accounts info "+label)), &info); err != nil {
		r.t.Fatal(err)
	}
	return info.ID
}
