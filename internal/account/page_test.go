package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// TestPages: the account's payments 1 to 9, one a minute, of which 3 is void, 6
// failed and 9 is open. Its invoices 1 to 9 likewise, but 9 is open and 3
// canceled; a pending one beside them.
func TestPages(t *testing.T) {
	w := newWall()
	l := open(t, w)
	a := newAccount(t, l, 100_000, policy.Limits{})
	other := newAccount(t, l, 100_000, policy.Limits{})
	begin := w.now()
	for n := 1; n <= 9; n++ {
		must(l.Reserve(t.Context(), agent, spend(other.ID, 100+n, 10, 0)))(t)
		p := must(l.Reserve(t.Context(), agent, spend(a.ID, n, 10, 0)))(t)
		end := map[int]account.State{3: account.StateVoid, 6: account.StateFailed}[n]
		switch {
		case end != "":
			must(l.Release(t.Context(), p.ID, end, account.Outcome{}))(t)
		case n != 9:
			must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 10}))(t)
		}
		must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(n)}))(t)
		must(l.InvoiceMade(t.Context(), hashOf(n), uint64(n), nil))(t)
		switch {
		case n == 3:
			must(l.InvoiceCanceled(t.Context(), hashOf(n), nil))(t)
		case n != 9:
			must(l.InvoiceSettled(t.Context(), hashOf(n), uint64(n), 1, preimageOf(n), nil))(t)
		}
		w.add(time.Minute)
	}
	must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(10)}))(t)
	at := func(n int) time.Time { return begin.Add(time.Duration(n-1) * time.Minute) }
	for name, c := range map[string]struct {
		page               account.Page
		payments, invoices string
	}{
		"ok/all":             {account.Page{}, "1 2 4 5 7 8", "1 2 3 4 5 6 7 8 9"},
		"ok/unfinished":      {account.Page{Unfinished: true}, "1 2 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9"},
		"ok/open":            {account.Page{Open: true}, "1 2 4 5 7 8", "9"},
		"ok/first":           {account.Page{Max: 3}, "1 2 4", "1 2 3"},
		"ok/next":            {account.Page{Max: 3, Offset: 4}, "5 7 8", "5 6 7"},
		"ok/last":            {account.Page{Max: 3, Reversed: true}, "5 7 8", "7 8 9"},
		"ok/before":          {account.Page{Max: 2, Reversed: true, Offset: 5}, "2 4", "3 4"},
		"ok/before, open":    {account.Page{Max: 2, Reversed: true, Unfinished: true, Open: true}, "8 9", "9"},
		"ok/past the end":    {account.Page{Offset: 9}, "", ""},
		"ok/far past":        {account.Page{Offset: 1 << 63}, "", ""},
		"ok/before 1":        {account.Page{Reversed: true, Offset: 1}, "", ""},
		"ok/huge":            {account.Page{Max: 1 << 63}, "1 2 4 5 7 8", "1 2 3 4 5 6 7 8 9"},
		"ok/from":            {account.Page{From: at(7)}, "7 8", "7 8 9"},
		"ok/until":           {account.Page{Until: at(2)}, "1 2", "1 2"},
		"ok/between":         {account.Page{From: at(2).Add(1), Until: at(5).Add(-1)}, "2 4", "2 3 4"},
		"ok/between, last":   {account.Page{From: at(2), Until: at(5), Reversed: true, Max: 2}, "4 5", "4 5"},
		"ok/from the future": {account.Page{From: at(99)}, "", ""},
		"ok/until the past":  {account.Page{Until: at(-99)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			payments, total, err := l.Payments(t.Context(), a.ID, c.page)
			if err != nil || total != 8 {
				t.Errorf("%d in all, %v", total, err)
			}
			invoices := must(l.Invoices(t.Context(), a.ID, c.page))(t)
			var got, gotInvoices []string
			for _, p := range payments {
				got = append(got, fmt.Sprint(p.Index))
			}
			for _, i := range invoices {
				gotInvoices = append(gotInvoices, fmt.Sprint(i.Index))
			}
			if strings.Join(got, " ") != c.payments || strings.Join(gotInvoices, " ") != c.invoices {
				t.Errorf("payments %v, want %s; invoices %v, want %s", got, c.payments, gotInvoices, c.invoices)
			}
		})
	}
}

// TestSubscription: an invoice that lnd makes late is not missed by who has seen
// a younger one.
func TestSubscription(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 0, policy.Limits{})
	for n := 1; n <= 3; n++ {
		must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(n)}))(t)
	}
	for _, n := range []int{3, 1, 2} {
		must(l.InvoiceMade(t.Context(), hashOf(n), uint64(10+n), nil))(t)
	}
	for _, n := range []int{2, 3} {
		must(l.InvoiceSettled(t.Context(), hashOf(n), uint64(10+n), 5, preimageOf(n), nil))(t)
	}
	added, settled, err := l.InvoicesSince(t.Context(), a.ID, 1, 1, 9)
	if err != nil || len(added) != 2 || added[0].Hash != hashOf(1) || added[1].Hash != hashOf(2) ||
		len(settled) != 1 || settled[0].Hash != hashOf(3) {
		t.Errorf("added %+v, settled %+v, %v", added, settled, err)
	}
	added, settled, err = l.InvoicesSince(t.Context(), a.ID, 0, 0, 1)
	if err != nil || len(added) != 1 || added[0].Index != 1 || len(settled) != 1 || settled[0].SettleIndex != 1 {
		t.Errorf("at most one: added %+v, settled %+v, %v", added, settled, err)
	}
	open := must(l.OpenInvoices(t.Context(), &a.ID))(t)
	all := must(l.OpenInvoices(t.Context(), nil))(t)
	if len(open) != 1 || !slices.EqualFunc(open, all, func(a, b account.Invoice) bool { return a.ID == b.ID }) {
		t.Errorf("open: %+v, %+v", open, all)
	}
}
