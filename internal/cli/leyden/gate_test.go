package leyden

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/gate"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
)

func soldRecord() gatedb.Record {
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.FixedZone("elsewhere", 3600))
	return gatedb.Record{Transaction: gatedb.Transaction{Hash: lntypes.Hash{1}, TokenID: l402.TokenID{2}, Service: "news",
		Price: 100_000, Paid: 100_500, State: gatedb.StateSettled, Created: at, Expires: at.Add(time.Hour), Settled: at.Add(time.Minute)}}
}

func TestTokenStates(t *testing.T) {
	now := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	for state, change := range map[string]func(*gatedb.Record){
		"good":    func(*gatedb.Record) {},
		"revoked": func(r *gatedb.Record) { r.Revoked, r.Used = now, now },
		"used":    func(r *gatedb.Record) { r.Used, r.TokenID = now, l402.TokenID(r.Hash) },
	} {
		r := soldRecord()
		change(&r)
		if v := viewToken(r, now); v.State != state {
			t.Errorf("%s: %+v", state, v)
		}
	}
	r := soldRecord()
	if r.Used = now; viewToken(r, now).State != "good" {
		t.Error("a token is worthless after a request by the Payment scheme")
	}
}

func TestRecordsAsJSONAndTable(t *testing.T) {
	r := soldRecord()
	r.Revoked, r.Reason = r.Settled, "leaked"
	for what, print := range map[string]func(*App, []gatedb.Record){"tokens": (*App).printTokens, "transactions": (*App).printTransactions} {
		var out bytes.Buffer
		print(&App{Out: &out, JSON: true}, []gatedb.Record{r})
		var views []map[string]any
		if err := json.Unmarshal(out.Bytes(), &views); err != nil || len(views) != 1 {
			t.Fatalf("%s: %s: %v", what, out.String(), err)
		}
		v := views[0]
		if v["payment_hash"] != r.Hash.String() || v["revoked"] != "2027-01-31T11:01:00Z" || v["paid_msat"] != 100_500.0 {
			t.Errorf("%s: %v", what, v)
		}
		out.Reset()
		print(&App{Out: &out, JSON: true}, nil)
		if strings.TrimSpace(out.String()) != "[]" {
			t.Errorf("no %s: %s", what, out.String())
		}
		out.Reset()
		print(&App{Out: &out}, []gatedb.Record{r})
		id := map[string]string{"tokens": r.TokenID.String(), "transactions": r.Hash.String()}[what]
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], id) || !strings.Contains(lines[1], "100.500") {
			t.Errorf("table of %s: %s", what, out.String())
		}
	}
}

func TestRecordFlags(t *testing.T) {
	for name, f := range map[string]recordFlags{
		"fail/state": {state: "paid"}, "fail/limit": {limit: -1}, "fail/since": {since: "yesterday-ish"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := f.filter(&cobra.Command{}); fault.Code(err) != "usage" {
				t.Errorf("%+v: %v", f, err)
			}
		})
	}
	f := recordFlags{state: "open", since: "24h", service: "news", limit: 7}
	got, err := f.filter(&cobra.Command{})
	if ago := time.Since(got.Since); err != nil || got.State != gatedb.StateOpen || got.Service != "news" || got.Limit != 7 ||
		ago < 24*time.Hour || ago > 25*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConfirmNeedsSomebody(t *testing.T) {
	app := &App{Out: new(bytes.Buffer), In: strings.NewReader("y\n")}
	if err := app.confirm("All is lost."); fault.Code(err) != "needs_confirmation" || !strings.HasPrefix(err.Error(), "all is lost") {
		t.Errorf("without a terminal: %v", err)
	}
}

func TestStatsTable(t *testing.T) {
	var out bytes.Buffer
	app := &App{Out: &out}
	total := gatedb.ServiceTotals{Service: "news", Open: 1, Settled: 2, Received: 200_500}
	app.printStats(gate.Stats{Services: []gatedb.ServiceTotals{total}})
	if !strings.Contains(out.String(), "200.500") || !strings.Contains(out.String(), "no gate is running") {
		t.Error(out.String())
	}
	out.Reset()
	app.printStats(gate.Stats{Running: true, Services: []gatedb.ServiceTotals{total}, Live: &gate.Live{OpenInvoices: 3,
		Health:   gate.Health{Status: "degraded", Reason: "the disk is full"},
		Requests: map[string]map[string]uint64{"news": {"paid": 5, "challenged": 4}, "": {"rejected": 1}},
		Shadow:   []gate.ShadowTotals{{Service: "trial", Requests: 6, Clients: 2, RequestsMsat: 7000}}}})
	for _, want := range []string{"degraded", "the disk is full", "3 open invoices", "news: 4 challenged, 5 paid", "for no service: 1 rejected", "trial: 6 requests of 2 clients, worth 7 sat"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// TestGateInitRefuses: a zero that somebody typed is not the default.
func TestGateInitRefuses(t *testing.T) {
	for _, args := range [][]string{{"--price", "0"}, {"--price", "-5"}, {"--port", "0"}, {"--port", "99999"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			home := t.TempDir()
			app := &App{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}
			if status := Run(t.Context(), app, append([]string{"--home", home, "gate", "init", "--network", "regtest"}, args...)); status != 2 {
				t.Errorf("status %d", status)
			}
			if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}
