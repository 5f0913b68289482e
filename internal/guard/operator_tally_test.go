package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/leydenln/leyden/internal/audit"
)

const addInvoiceMethod = "/lnrpc.Lightning/AddInvoice"

// TestRepeatedInvoicesAreCounted: the first is journalled, the others are
// counted, and what was counted is journalled when the guard is detached.
func TestRepeatedInvoicesAreCounted(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	mac, other := mint(t, 0), mint(t, 5)
	for range 4 {
		if err := s.call(t, addInvoiceMethod, mac, &lnrpc.Invoice{Value: 7}, new(emptypb.Empty)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.call(t, addInvoiceMethod, other, &lnrpc.Invoice{Value: 7}, new(emptypb.Empty)); err != nil {
		t.Fatal(err)
	}
	if got := len(s.lnd.reached()); got != 5 {
		t.Errorf("%d calls reached lnd", got)
	}
	s.journaled(t, "operator.call", 2)
	s.journaled(t, "operator.repeats", 0)
	s.stop()
	if err := s.ended(t); err != nil {
		t.Fatal(err)
	}
	entry := s.journaled(t, "operator.repeats", 1)[0]
	if text := fmt.Sprintf("%+v", entry); entry.Subject != addInvoiceMethod || !strings.Contains(text, `"calls":3`) {
		t.Errorf("entry %s", text)
	}
}

// TestUnjournaledCallIsNoFirst: a call that could not be journalled makes no
// later one a repetition.
func TestUnjournaledCallIsNoFirst(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	good := s.Guard.journal
	s.Guard.journal = brokenJournal{}
	if err := s.call(t, addInvoiceMethod, mint(t, 0), &lnrpc.Invoice{Value: 7}, new(emptypb.Empty)); err == nil {
		t.Fatal("passed without the journal")
	}
	s.Guard.journal = good
	if err := s.call(t, addInvoiceMethod, mint(t, 0), &lnrpc.Invoice{Value: 7}, new(emptypb.Empty)); err != nil {
		t.Fatal(err)
	}
	s.journaled(t, "operator.call", 1)
}

type brokenJournal struct{}

func (brokenJournal) Add(context.Context, audit.Entry) error { return errors.New("disk full") }

func TestTallies(t *testing.T) {
	now := time.Unix(1000, 0)
	tallies := newTallies(func() time.Time { return now })
	what := func(n int) tallied { return tallied{audit.Actor{Macaroon: fmt.Sprint(n)}, addInvoiceMethod} }
	if tallies.repeats(what(1)) || !tallies.repeats(what(1)) || tallies.repeats(what(2)) {
		t.Error("the first of an actor is no repetition, the second is")
	}
	now = now.Add(tallyInterval - 1)
	if got := tallies.take(false); len(got) != 0 {
		t.Errorf("too early: %+v", got)
	}
	now = now.Add(1)
	got := tallies.take(false)
	if len(got) != 1 || got[0].Actor.Macaroon != "1" {
		t.Errorf("entries: %+v", got)
	}
	if tallies.repeats(what(1)) {
		t.Error("a new minute begins with a repetition")
	}
	for n := range 2 * maxTallies {
		tallies.repeats(what(n))
	}
	if len(tallies.open) > maxTallies {
		t.Errorf("%d counts", len(tallies.open))
	}
	if tallies.repeats(what(2 * maxTallies)) {
		t.Error("what is not counted was not journalled")
	}
}
