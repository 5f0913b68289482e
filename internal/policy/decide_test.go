package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/policy"
)

const sat = lnwire.MilliSatoshi(1000)

var (
	shop  = policy.PubKey{2, 0xaa}
	other = policy.PubKey{3, 0xbb}
)

func keys(k ...policy.PubKey) []policy.PubKey { return k }

func judge(t *testing.T, err error, reason policy.Reason, sentence string) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	d, ok := err.(*policy.Denied)
	if !ok || d.Reason != reason {
		t.Fatalf("got %v, want %s", err, reason)
	}
	if sentence != "" && d.Sentence != sentence {
		t.Errorf("got  %q\nwant %q", d.Sentence, sentence)
	}
}

func TestPayment(t *testing.T) {
	type L = policy.Limits
	type U = policy.Usage
	type P = policy.Payment
	rich := U{Available: policy.MaxAmount}
	for name, c := range map[string]struct {
		limits   L
		used     U
		payment  P
		want     policy.Reason
		sentence string
	}{
		"ok/no limits":         {L{}, rich, P{Amount: 5 * sat, Payee: shop}, "", ""},
		"ok/no limits, locks":  {L{}, rich, P{FinalCLTV: 5000, TimeLock: 9000}, "", ""},
		"ok/all of the money":  {L{}, U{Available: 107 * sat}, P{Amount: 100 * sat, MaxFee: 7 * sat}, "", ""},
		"fail/money":           {L{}, U{Available: 107*sat - 1}, P{Amount: 100 * sat, MaxFee: 7 * sat}, policy.Balance, "this payment of 100 sat and up to 7 sat of fees exceeds the balance: 106.999 sat are available"},
		"fail/money, no fee":   {L{}, U{Available: 1_234_567 * sat}, P{Amount: 2_000_000 * sat}, policy.Balance, "this payment of 2,000,000 sat exceeds the balance: 1,234,567 sat are available"},
		"fail/money, overflow": {L{}, rich, P{Amount: math.MaxUint64, MaxFee: 1}, policy.Balance, ""},
		"fail/money, the top":  {L{}, U{Available: math.MaxUint64}, P{Amount: math.MaxUint64, MaxFee: 1}, policy.Balance, ""},
		"fail/fee, overflow":   {L{}, rich, P{Amount: 1, MaxFee: math.MaxUint64}, policy.Balance, ""},

		"ok/largest payment":   {L{MaxPayment: 500 * sat}, rich, P{Amount: 500 * sat, MaxFee: 25 * sat}, "", ""},
		"fail/largest payment": {L{MaxPayment: 500 * sat}, rich, P{Amount: 500*sat + 1}, policy.LimitPayment, "this payment of 500.001 sat exceeds the largest allowed, 500 sat"},

		"ok/fee":       {L{MaxFee: 5 * sat, MaxFeePPM: 10_000}, rich, P{Amount: 500 * sat, MaxFee: 5 * sat}, "", ""},
		"fail/fee":     {L{MaxFee: 5 * sat}, rich, P{Amount: 500 * sat, MaxFee: 5*sat + 1}, policy.LimitFee, "fees of 5.001 sat for a payment of 500 sat exceed what is allowed, 5 sat"},
		"fail/fee ppm": {L{MaxFeePPM: 10_000}, rich, P{Amount: 500 * sat, MaxFee: 5*sat + 1}, policy.LimitFee, ""},

		"ok/hour":         {L{Hour: 1000 * sat}, U{Available: 9000 * sat, Hour: 893 * sat}, P{Amount: 100 * sat, MaxFee: 7 * sat}, "", ""},
		"fail/hour":       {L{Hour: 1000 * sat}, U{Available: 9000 * sat, Hour: 893*sat + 1}, P{Amount: 100 * sat, MaxFee: 7 * sat}, policy.LimitHour, ""},
		"fail/day":        {L{Day: 5000 * sat}, U{Available: 9000 * sat, Day: 4600 * sat}, P{Amount: 700 * sat, MaxFee: 7 * sat}, policy.LimitDay, "this payment of 700 sat and up to 7 sat of fees exceeds the daily limit: 4,600 of 5,000 sat are spent or reserved"},
		"fail/week":       {L{Week: 5000 * sat}, U{Available: 9000 * sat, Week: 4600 * sat}, P{Amount: 700 * sat}, policy.LimitWeek, ""},
		"fail/month":      {L{Month: 5000 * sat}, U{Available: 9000 * sat, Month: 4600 * sat}, P{Amount: 700 * sat}, policy.LimitMonth, ""},
		"fail/overflow":   {L{Month: policy.MaxAmount}, rich, P{Amount: math.MaxUint64, MaxFee: 1}, policy.LimitMonth, ""},
		"fail/used more":  {L{Day: 5000 * sat}, U{Available: 9000 * sat, Day: 6000 * sat}, P{Amount: 1}, policy.LimitDay, ""},
		"ok/other window": {L{Hour: 1000 * sat}, U{Available: 9000 * sat, Day: 8000 * sat}, P{Amount: 100 * sat}, "", ""},

		"ok/count":             {L{MaxPayments: 3, Per: time.Hour}, U{Available: sat, Payments: 2}, P{Amount: 1}, "", ""},
		"fail/count":           {L{MaxPayments: 3, Per: time.Hour}, U{Available: sat, Payments: 3}, P{Amount: 1}, policy.LimitPayments, "3 payments were made or are in flight, of 3 allowed in 1h"},
		"ok/in flight":         {L{InFlight: 2}, U{Available: sat, InFlight: 1}, P{Amount: 1}, "", ""},
		"fail/in flight":       {L{InFlight: 2}, U{Available: sat, InFlight: 2}, P{Amount: 1}, policy.LimitInFlight, "2 payments are in flight, as many as are allowed"},
		"ok/in flight, none":   {L{}, U{Available: sat, InFlight: 31}, P{Amount: 1}, "", ""},
		"fail/in flight, none": {L{}, U{Available: sat, InFlight: 32}, P{Amount: 1}, policy.LimitInFlight, ""},

		"ok/locks":       {L{MaxFinalCLTV: 144, MaxTimeLock: 500}, rich, P{FinalCLTV: 144, TimeLock: 500}, "", ""},
		"fail/cltv":      {L{MaxFinalCLTV: 144}, rich, P{FinalCLTV: 145}, policy.LimitCLTV, "the invoice may hold the payment for 145 blocks, more than the 144 allowed"},
		"fail/time lock": {L{MaxTimeLock: 500}, rich, P{TimeLock: 501}, policy.LimitTimeLock, ""},

		"ok/payee":                 {L{AllowPayees: keys(other, shop)}, rich, P{Payee: shop}, "", ""},
		"ok/payee not denied":      {L{DenyPayees: keys(other)}, rich, P{Payee: shop}, "", ""},
		"fail/payee":               {L{AllowPayees: keys(other)}, rich, P{Payee: shop}, policy.PayeeDenied, "the node " + shop.String() + " is not one of those that this account may pay"},
		"fail/payee not known":     {L{AllowPayees: keys(other)}, rich, P{}, policy.PayeeDenied, ""},
		"fail/payee denied":        {L{DenyPayees: keys(shop)}, rich, P{Payee: shop}, policy.PayeeDenied, ""},
		"fail/payee in both lists": {L{AllowPayees: keys(shop), DenyPayees: keys(shop)}, rich, P{Payee: shop}, policy.PayeeDenied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, c.limits.Payment(c.payment, c.used), c.want, c.sentence)
		})
	}
}

// TestOrderOfPayment lifts, one after the other, what a payment that breaks
// every limit is refused for.
func TestOrderOfPayment(t *testing.T) {
	l := policy.Limits{
		MaxPayment: 10 * sat, MaxFee: 1, Hour: sat, Day: sat, Week: sat, Month: sat, MaxPayments: 1, Per: time.Hour,
		InFlight: 1, MaxFinalCLTV: 1, MaxTimeLock: 1, DenyPayees: keys(shop),
	}
	p := policy.Payment{Amount: 11 * sat, MaxFee: sat, Payee: shop, FinalCLTV: 2, TimeLock: 2}
	used := policy.Usage{Payments: 1, InFlight: 1}
	for _, step := range []struct {
		reason policy.Reason
		lift   func()
	}{
		{policy.PayeeDenied, func() { l.DenyPayees = nil }},
		{policy.LimitPayment, func() { l.MaxPayment = 0 }},
		{policy.LimitFee, func() { l.MaxFee = 0 }},
		{policy.LimitCLTV, func() { l.MaxFinalCLTV = 0 }},
		{policy.LimitTimeLock, func() { l.MaxTimeLock = 0 }},
		{policy.LimitInFlight, func() { l.InFlight = 2 }},
		{policy.LimitPayments, func() { l.MaxPayments = 2 }},
		{policy.LimitHour, func() { l.Hour = 0 }},
		{policy.LimitDay, func() { l.Day = 0 }},
		{policy.LimitWeek, func() { l.Week = 0 }},
		{policy.LimitMonth, func() { l.Month = 0 }},
		{policy.Balance, func() { used.Available = 12 * sat }},
		{"", func() {}},
	} {
		judge(t, l.Payment(p, used), step.reason, "")
		step.lift()
	}
}

func TestInvoice(t *testing.T) {
	type L = policy.Limits
	type U = policy.Usage
	type I = policy.Invoice
	for name, c := range map[string]struct {
		limits   L
		used     U
		invoice  I
		want     policy.Reason
		sentence string
	}{
		"ok/no limits":        {L{}, U{OpenInvoices: 999}, I{Amount: policy.MaxAmount}, "", ""},
		"ok/no amount":        {L{}, U{}, I{}, "", ""},
		"ok/private":          {L{PrivateInvoices: true}, U{}, I{Private: true}, "", ""},
		"fail/private":        {L{}, U{}, I{Private: true}, policy.PrivateDenied, "this account may not make invoices that show the node's private channels"},
		"ok/amount":           {L{MaxInvoice: 5 * sat}, U{}, I{Amount: 5 * sat}, "", ""},
		"fail/amount":         {L{MaxInvoice: 5 * sat}, U{}, I{Amount: 5*sat + 500}, policy.LimitInvoice, "this invoice of 5.5 sat exceeds the largest allowed, 5 sat"},
		"fail/left to payer":  {L{MaxInvoice: 5 * sat}, U{}, I{}, policy.LimitInvoice, "an invoice of this account must name an amount: it may ask for up to 5 sat"},
		"fail/open":           {L{OpenInvoices: 2}, U{OpenInvoices: 2}, I{Amount: 1}, policy.LimitOpenInvoices, "2 invoices are open, as many as are allowed"},
		"fail/open by itself": {L{}, U{OpenInvoices: 1000}, I{Amount: 1}, policy.LimitOpenInvoices, ""},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, c.limits.Invoice(c.invoice, c.used), c.want, c.sentence)
		})
	}
}

func TestCapFee(t *testing.T) {
	most := lnwire.MilliSatoshi(math.MaxUint64)
	for name, c := range map[string]struct {
		limits              policy.Limits
		amount, asked, want lnwire.MilliSatoshi
	}{
		"no limit":           {policy.Limits{}, 100, 70, 70},
		"no limit, anything": {policy.Limits{}, 0, most, most},
		"below":              {policy.Limits{MaxFee: 80}, 100, 70, 70},
		"absolute":           {policy.Limits{MaxFee: 60}, 100, 70, 60},
		"share":              {policy.Limits{MaxFeePPM: 5000}, 1_000_000, 70_000, 5000},
		"share, down":        {policy.Limits{MaxFeePPM: 5000}, 399, 70_000, 1},
		"share of nothing":   {policy.Limits{MaxFeePPM: 5000}, 199, 70_000, 0},
		"smaller: share":     {policy.Limits{MaxFee: 80, MaxFeePPM: 5000}, 10_000, 90, 50},
		"smaller: absolute":  {policy.Limits{MaxFee: 40, MaxFeePPM: 5000}, 10_000, 90, 40},
		"all there is":       {policy.Limits{MaxFeePPM: 1_000_000}, policy.MaxAmount, most, policy.MaxAmount},
		"beyond all":         {policy.Limits{MaxFeePPM: math.MaxUint32}, most, most, most},
		"beyond all, little": {policy.Limits{MaxFeePPM: math.MaxUint32}, most, 7, 7},
		"large, exact":       {policy.Limits{MaxFeePPM: 999_999}, most, most, most - 18446744073710},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.limits.CapFee(c.amount, c.asked); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
