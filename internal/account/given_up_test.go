package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/policy"
)

// TestGiveUp: a payment is given up in the operator's name, frees what it held,
// and is debited if it was paid after all.
func TestGiveUp(t *testing.T) {
	w := newWall()
	l := open(t, w)
	a := newAccount(t, l, 10_000, policy.Limits{})
	reserve := func(n int) account.Payment { return must(l.Reserve(t.Context(), agent, spend(a.ID, n, 1000, 10)))(t) }
	known, unknown, paid := reserve(1), reserve(2), reserve(3)
	out := account.Outcome{LndIndex: 7, Reason: "given up", Final: []byte("final")}
	got := must(l.GiveUp(t.Context(), operator, known.ID, account.StateFailed, out))(t)
	if got.State != account.StateFailed || got.LndIndex != 7 || got.Reason != "given up" || string(got.Final) != "final" {
		t.Errorf("given up: %+v", got)
	}
	must(l.GiveUp(t.Context(), operator, unknown.ID, account.StateVoid, account.Outcome{}))(t)
	wantBalance(t, l, a.ID, 10_000, 1010)

	for name, id := range map[string]int64{"twice": known.ID, "none": 99} {
		_, err := l.GiveUp(t.Context(), operator, id, account.StateFailed, out)
		if wantCode(t, err, account.CodeNotFound); t.Failed() {
			t.Fatal(name)
		}
	}
	_, err := l.GiveUp(t.Context(), operator, paid.ID, account.StateSucceeded, out)
	if err == nil {
		t.Error("given up as succeeded")
	}
	must(l.Settle(t.Context(), paid.ID, account.Outcome{Paid: 1000}))(t)
	_, err = l.GiveUp(t.Context(), operator, paid.ID, account.StateFailed, out)
	wantCode(t, err, account.CodeNotFound)

	list := must(l.GivenUp(t.Context()))(t)
	if len(list) != 1 || list[0].ID != known.ID || list[0].Account != a.ID {
		t.Fatalf("given up: %+v", list)
	}
	w.add(29 * 24 * time.Hour)
	if list = must(l.GivenUp(t.Context()))(t); len(list) != 1 {
		t.Errorf("after 29 days: %+v", list)
	}
	must(l.Settle(t.Context(), known.ID, account.Outcome{Paid: 1005, Fee: 5, Preimage: lntypes.Preimage{1}}))(t)
	if list = must(l.GivenUp(t.Context()))(t); len(list) != 0 {
		t.Errorf("after it was paid: %+v", list)
	}
	wantBalance(t, l, a.ID, 10_000-1000-1005, 0)
	wantClean(t, l)
	if text := journalText(t, l); !strings.Contains(text, "lnd paid it after it was failed") {
		t.Error("the fault is not in the journal")
	}
	records := must(l.Journal().List(t.Context(), audit.Query{Kind: "payment.release"}))(t)
	if len(records) != 2 || records[0].Actor != operator || records[1].Actor != operator {
		t.Errorf("journal: %+v", records)
	}

	again := must(l.Reserve(t.Context(), agent, spend(a.ID, 2, 1000, 10)))(t)
	must(l.GiveUp(t.Context(), operator, again.ID, account.StateFailed, out))(t)
	w.add(31 * 24 * time.Hour)
	if list = must(l.GivenUp(t.Context()))(t); len(list) != 0 {
		t.Errorf("after a month: %+v", list)
	}
}

// TestClockAhead: a clock that was once far ahead is told of.
func TestClockAhead(t *testing.T) {
	w := newWall()
	l := open(t, w)
	newAccount(t, l, 10_000, policy.Limits{})
	w.add(-59 * time.Second)
	if report := wantClean(t, l); len(report.Warnings) != 0 {
		t.Errorf("less than a minute: %q", report.Warnings)
	}
	w.add(-48 * time.Hour)
	report := wantClean(t, l)
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "is 2027-01-15T08:00:00Z, 48h0m59s ahead of the clock") {
		t.Errorf("warnings: %q", report.Warnings)
	}
}
