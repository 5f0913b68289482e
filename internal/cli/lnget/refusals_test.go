package lnget_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/cli/lnget"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
)

// TestAccountRefusals: whatever an account is refused for, lnget says the
// reason and what to do, ends with status 3, and has paid nothing.
func TestAccountRefusals(t *testing.T) {
	for reason, code := range map[string]codes.Code{
		"balance": codes.ResourceExhausted, "limit_payment": codes.ResourceExhausted, "limit_fee": codes.ResourceExhausted,
		"limit_hour": codes.ResourceExhausted, "limit_day": codes.ResourceExhausted, "limit_week": codes.ResourceExhausted,
		"limit_month": codes.ResourceExhausted, "limit_payments": codes.ResourceExhausted, "limit_in_flight": codes.ResourceExhausted,
		"limit_cltv": codes.ResourceExhausted, "limit_time_lock": codes.ResourceExhausted,
		"payee_denied": codes.PermissionDenied, "frozen": codes.PermissionDenied, "account_expired": codes.PermissionDenied,
		"account_unknown": codes.PermissionDenied, "macaroon_rotated": codes.PermissionDenied,
		"already_paid": codes.AlreadyExists, "payment_in_flight": codes.AlreadyExists,
	} {
		t.Run(reason, func(t *testing.T) {
			ledger := fetchtest.Ledger(t.TempDir())
			node, err := fetchtest.StartNode(t.TempDir(), ledger)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(node.Stop)
			node.Refuse = status.Error(code, "leyden: "+reason+": the sentence: all of it (try: lncli channelbalance)")
			seller := httptest.NewServer(fetchtest.NewSeller(ledger))
			t.Cleanup(seller.Close)
			home := t.TempDir()
			t.Setenv("HOME", home)
			run := func(args ...string) (int, []byte, []byte) {
				var out, said bytes.Buffer
				app := &lnget.App{In: new(bytes.Buffer), Out: &out, Err: &said, Environ: func(string) (string, bool) { return "", false }}
				return lnget.Run(t.Context(), app, args), out.Bytes(), said.Bytes()
			}
			if exit, _, said := run("config", "init", "--lnddir", node.Dir, "--macaroon", filepath.Join(node.Dir, "data/chain/bitcoin/regtest/admin.macaroon")); exit != 0 {
				t.Fatalf("config init: %s", said)
			}
			for _, url := range []string{seller.URL + "/data", seller.URL + "/data"} {
				exit, out, said := run("--json", url)
				var voiced struct {
					Error struct{ Code, Message, Hint string }
				}
				if err := json.Unmarshal(said, &voiced); err != nil || exit != 3 || len(out) != 0 {
					t.Fatalf("status %d, %v: %s%s", exit, err, said, out)
				}
				if e := voiced.Error; e.Code != reason || e.Hint == "" || e.Hint == "lncli channelbalance" || !bytes.HasSuffix([]byte(e.Message), []byte(": the sentence: all of it")) {
					t.Errorf("said %s", said)
				}
			}
			if n := ledger.Payments(); n != 0 {
				t.Errorf("%d payments", n)
			}
			_, list, _ := run("payments", "list", "--json")
			var purchases []struct {
				State string
				Paid  int64 `json:"amount_paid_msat"`
			}
			if err := json.Unmarshal(list, &purchases); err != nil || len(purchases) == 0 {
				t.Fatalf("%v: %s", err, list)
			}
			for _, p := range purchases {
				if p.State != "failed" || p.Paid != 0 {
					t.Errorf("journalled: %s", list)
				}
			}
		})
	}
}
