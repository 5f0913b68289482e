package account_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

// model is what a ledger should be, kept in the plainest way: lists that are
// added up each time.
type model struct {
	l    *account.Ledger
	path string
	wall *wall
	last time.Time // the ledger's time

	frozen   bool
	tick     account.ID
	accounts []*modelAccount
	payments []*modelPayment
	invoices []*modelInvoice
}

type modelAccount struct {
	id              account.ID
	balance         lnwire.MilliSatoshi
	limits          policy.Limits
	expires         time.Time
	frozen, removed bool
	generation      uint64
	payments        uint64
}

type modelPayment struct {
	id       int64
	of       *modelAccount
	index    uint64
	hash     lntypes.Hash
	state    account.State
	amount   lnwire.MilliSatoshi
	fee      lnwire.MilliSatoshi
	paid     lnwire.MilliSatoshi
	resolved time.Time
	to       *modelInvoice // of a transfer
}

type modelInvoice struct {
	of    *modelAccount
	known bool // its preimage
	hash  lntypes.Hash
	n     int
	state account.State
	paid  lnwire.MilliSatoshi
}

func (m *model) now() time.Time {
	if now := m.wall.now(); now.After(m.last) {
		return now
	}
	return m.last
}

func (m *model) open(of *modelAccount) (reserved lnwire.MilliSatoshi, n uint32) {
	for _, p := range m.payments {
		if p.of == of && p.state == account.StateOpen {
			reserved += p.amount + p.fee
			n++
		}
	}
	return reserved, n
}

func (m *model) openInvoices(of *modelAccount) (n uint32) {
	for _, i := range m.invoices {
		if i.of == of && (i.state == account.StatePending || i.state == account.StateOpen) {
			n++
		}
	}
	return n
}

func (m *model) usage(a *modelAccount) policy.Usage {
	reserved, open := m.open(a)
	u := policy.Usage{
		Available: a.balance - reserved, Hour: reserved, Day: reserved, Week: reserved, Month: reserved,
		InFlight: open, OpenInvoices: m.openInvoices(a),
	}
	if a.limits.MaxPayments != 0 {
		u.Payments = open
	}
	for _, p := range m.payments {
		if p.of != a || p.state != account.StateSucceeded {
			continue
		}
		age := m.now().Sub(p.resolved)
		for span, into := range map[time.Duration]*lnwire.MilliSatoshi{
			policy.Hour: &u.Hour, policy.Day: &u.Day, policy.Week: &u.Week, policy.Month: &u.Month,
		} {
			if age < span {
				*into += p.paid
			}
		}
		if a.limits.MaxPayments != 0 && age < a.limits.Per {
			u.Payments++
		}
	}
	return u
}

// unusable is the code that a payment or an invoice of the account gets.
func (m *model) unusable(a *modelAccount) string {
	switch {
	case a.removed:
		return account.CodeUnknown
	case !a.expires.IsZero() && !m.now().Before(a.expires):
		return account.CodeExpired
	case a.frozen || m.frozen:
		return account.CodeFrozen
	}
	return ""
}

func reasonOf(err error) string {
	if d, ok := errors.AsType[*policy.Denied](err); ok {
		return string(d.Reason)
	}
	return fault.Code(err)
}

func same(t *rapid.T, what string, err error, want string) {
	t.Helper()
	if reasonOf(err) != want {
		t.Fatalf("%s: %q (%v), want %q", what, reasonOf(err), err, want)
	}
}

func (m *model) pick(t *rapid.T) *modelAccount {
	return rapid.SampledFrom(m.accounts).Draw(t, "account")
}

func (m *model) pickPayment(t *rapid.T) *modelPayment {
	if len(m.payments) == 0 {
		t.Skip("no payments")
	}
	return rapid.SampledFrom(m.payments).Draw(t, "payment")
}

var amounts = rapid.Custom(func(t *rapid.T) lnwire.MilliSatoshi {
	return lnwire.MilliSatoshi(rapid.Uint64Range(1, 3000).Draw(t, "msat"))
})

var limits = rapid.Custom(func(t *rapid.T) policy.Limits {
	limit := func(name string, most uint64) lnwire.MilliSatoshi {
		return lnwire.MilliSatoshi(rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(uint64(0)), rapid.Uint64Range(most/4, most)).Draw(t, name))
	}
	l := policy.Limits{
		MaxPayment: limit("payment", 9000), MaxFee: limit("fee", 200), Hour: limit("hour", 15000),
		Day: limit("day", 20000), Week: limit("week", 30000), Month: limit("month", 40000),
		InFlight:     rapid.Uint32Range(0, 6).Draw(t, "in flight"),
		OpenInvoices: rapid.Uint32Range(0, 4).Draw(t, "open invoices"),
	}
	if l.MaxPayments = rapid.SampledFrom([]uint32{0, 0, 2, 5}).Draw(t, "payments"); l.MaxPayments != 0 {
		l.Per = time.Duration(rapid.IntRange(1, 100).Draw(t, "per")) * time.Hour
	}
	return l
})

func (m *model) create(t *rapid.T) {
	if len(m.accounts) >= 4 {
		t.Skip("enough")
	}
	a := &modelAccount{balance: 20_000 + amounts.Draw(t, "balance")*10, limits: limits.Draw(t, "limits")}
	made, err := m.l.Create(t.Context(), operator, account.New{Balance: a.balance, Limits: a.limits})
	same(t, "create", err, "")
	a.id = made.ID
	m.accounts = append(m.accounts, a)
}

func (m *model) moveClock(t *rapid.T) {
	m.persist(t)
	m.last = m.now()
	m.wall.add(time.Duration(rapid.IntRange(-48*3600, 14*24*3600).Draw(t, "seconds")) * time.Second)
}

// persist makes the ledger remember its time.
func (m *model) persist(t *rapid.T) {
	_, err := m.l.Credit(t.Context(), operator, m.tick, 1, "")
	same(t, "tick", err, "")
}

func (m *model) reopen(t *rapid.T) {
	m.persist(t)
	m.last = m.now()
	if err := m.l.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.l, err = account.Open(t.Context(), m.path, m.wall.now); err != nil {
		t.Fatal(err)
	}
}

func (m *model) credit(t *rapid.T) {
	a, amount := m.pick(t), amounts.Draw(t, "amount")
	_, err := m.l.Credit(t.Context(), operator, a.id, amount, "")
	if a.removed {
		same(t, "credit", err, account.CodeUnknown)
		return
	}
	same(t, "credit", err, "")
	a.balance += amount
}

func (m *model) debit(t *rapid.T) {
	a, amount := m.pick(t), amounts.Draw(t, "amount")
	_, err := m.l.Debit(t.Context(), operator, a.id, amount, "")
	reserved, _ := m.open(a)
	switch {
	case a.removed:
		same(t, "debit", err, account.CodeUnknown)
	case reserved+amount > a.balance:
		same(t, "debit", err, account.CodeReserved)
	default:
		same(t, "debit", err, "")
		a.balance -= amount
	}
}

func (m *model) update(t *rapid.T) {
	a := m.pick(t)
	change := account.Change{}
	if rapid.Bool().Draw(t, "set limits") {
		l := limits.Draw(t, "limits")
		change.Limits = &l
	}
	if rapid.Bool().Draw(t, "set expiry") {
		at := time.Time{}
		if rapid.Bool().Draw(t, "expires") {
			at = m.wall.now().Add(time.Duration(rapid.IntRange(-10, 100).Draw(t, "hours")) * time.Hour)
		}
		change.Expires = &at
	}
	if rapid.Bool().Draw(t, "set frozen") {
		frozen := rapid.Bool().Draw(t, "frozen")
		change.Frozen = &frozen
	}
	_, err := m.l.Update(t.Context(), operator, a.id, change)
	if a.removed {
		same(t, "update", err, account.CodeUnknown)
		return
	}
	same(t, "update", err, "")
	if change.Limits != nil {
		a.limits = *change.Limits
	}
	if change.Expires != nil {
		a.expires = *change.Expires
	}
	if change.Frozen != nil {
		a.frozen = *change.Frozen
	}
}

func (m *model) freezeAll(t *rapid.T) {
	m.frozen = rapid.IntRange(0, 3).Draw(t, "all") == 0
	same(t, "freeze all", m.l.SetFrozenAll(t.Context(), operator, m.frozen), "")
}

func (m *model) rotate(t *rapid.T) {
	a := m.pick(t)
	_, err := m.l.Rotate(t.Context(), operator, a.id)
	if a.removed {
		same(t, "rotate", err, account.CodeUnknown)
		return
	}
	same(t, "rotate", err, "")
	a.generation++
}

func (m *model) remove(t *rapid.T) {
	a := m.pick(t)
	_, open := m.open(a)
	coming := slices.ContainsFunc(m.invoices, func(i *modelInvoice) bool {
		return i.of == a && i.state == account.StateOpen && m.transferring(i)
	})
	_, err := m.l.Remove(t.Context(), operator, a.id)
	switch {
	case a.removed:
		same(t, "remove", err, account.CodeUnknown)
	case open > 0 || coming:
		same(t, "remove", err, account.CodeInFlight)
	default:
		same(t, "remove", err, "")
		a.removed, a.balance = true, 0
	}
}

func (m *model) reserve(t *rapid.T) {
	a := m.pick(t)
	n := rapid.IntRange(0, 40).Draw(t, "hash")
	amount, fee := amounts.Draw(t, "amount"), amounts.Draw(t, "fee")/20
	want := m.unusable(a)
	for _, p := range m.payments {
		if want == "" && p.hash == hashOf(n) && p.state == account.StateSucceeded {
			want = account.CodeAlreadyPaid
		}
	}
	for _, p := range m.payments {
		if want == "" && p.hash == hashOf(n) && p.state == account.StateOpen {
			want = account.CodeInFlight
		}
	}
	capped := a.limits.CapFee(amount, fee)
	if want == "" {
		want = reasonOf(a.limits.Payment(policy.Payment{Amount: amount, MaxFee: capped, Payee: payee}, m.usage(a)))
	}
	p, err := m.l.Reserve(t.Context(), agent, spend(a.id, n, amount, fee))
	same(t, "reserve", err, want)
	if err != nil {
		return
	}
	a.payments++
	if p.Index != a.payments || p.Amount != amount || p.MaxFee != capped || p.Reserved != amount+capped {
		t.Fatalf("reserved %+v", p)
	}
	m.payments = append(m.payments, &modelPayment{
		id: p.ID, of: a, index: p.Index, hash: hashOf(n), state: account.StateOpen, amount: amount, fee: capped,
	})
}

func (m *model) raise(t *rapid.T) {
	p := m.pickPayment(t)
	amount, fee := amounts.Draw(t, "amount"), amounts.Draw(t, "fee")/20
	was := p.state
	want := account.CodeNotFound
	if was == account.StateOpen && p.to == nil {
		want = m.unusable(p.of)
	}
	if want == "" {
		p.state = account.StateVoid // it is judged anew, as one
		want = reasonOf(p.of.limits.Payment(policy.Payment{
			Amount: p.amount + amount, MaxFee: p.fee + fee, Payee: payee,
		}, m.usage(p.of)))
		p.state = was
	}
	_, err := m.l.Raise(t.Context(), agent, p.id, amount, fee)
	same(t, "raise", err, want)
	if err == nil {
		p.amount += amount
		p.fee += fee
	}
}

func (m *model) settle(t *rapid.T) {
	p := m.pickPayment(t)
	if p.to != nil {
		_, err := m.l.Settle(t.Context(), p.id, account.Outcome{Paid: p.amount})
		same(t, "settle what is a transfer", err, account.CodeNotFound)
		m.settleTransfer(t, p)
		return
	}
	if p.state != account.StateOpen && p.state != account.StateSucceeded {
		t.Skip("must not happen: TestMoneyTruth")
	}
	paid := p.amount + lnwire.MilliSatoshi(rapid.Uint64Range(0, uint64(p.fee)).Draw(t, "fee"))
	_, err := m.l.Settle(t.Context(), p.id, account.Outcome{Paid: paid, Fee: paid - p.amount, LndIndex: 5})
	same(t, "settle", err, "")
	if p.state == account.StateOpen {
		p.state, p.paid, p.resolved = account.StateSucceeded, paid, m.now()
		p.of.balance -= paid
	}
}

func (m *model) release(t *rapid.T) {
	p := m.pickPayment(t)
	state := rapid.SampledFrom([]account.State{account.StateFailed, account.StateVoid}).Draw(t, "state")
	_, err := m.l.Release(t.Context(), p.id, state, account.Outcome{Reason: "no"})
	same(t, "release", err, "")
	if p.state == account.StateOpen {
		p.state = state
	}
}

// transferring says whether a transfer to the invoice is pending.
func (m *model) transferring(i *modelInvoice) bool {
	return slices.ContainsFunc(m.payments, func(p *modelPayment) bool { return p.to == i && p.state == account.StateOpen })
}

func (m *model) transfer(t *rapid.T) {
	if len(m.invoices) == 0 {
		t.Skip("no invoices")
	}
	a, n := m.pick(t), rapid.SampledFrom(m.invoices).Draw(t, "invoice").n
	amount := lnwire.MilliSatoshi(rapid.SampledFrom([]uint64{5, 5, 5, 5, 6}).Draw(t, "amount"))
	var to *modelInvoice // the latest; a void one only if there is no other
	for _, i := range m.invoices {
		if i.n == n && (to == nil || to.state == account.StateVoid || i.state != account.StateVoid) {
			to = i
		}
	}
	want := ""
	switch {
	case to.of == a:
		want = account.CodeSameNode
	case to.state == account.StateSettled:
		want = account.CodeAlreadyPaid
	case to.state != account.StateOpen || to.of.removed:
		want = account.CodeCanceled
	case !to.known:
		want = account.CodeSameNode
	case amount != 5:
		want = account.CodeBadAmount
	default:
		want = m.unusable(a)
	}
	if want == "" && m.transferring(to) {
		want = account.CodeInFlight
	}
	if want == "" {
		want = reasonOf(a.limits.Payment(policy.Payment{Amount: amount, Payee: payee}, m.usage(a)))
	}
	p, err := m.l.Transfer(t.Context(), agent, spend(a.id, n, amount, 50))
	same(t, "transfer", err, want)
	if err != nil {
		return
	}
	a.payments++
	if !p.Transfer || p.Index != a.payments || p.Reserved != amount {
		t.Fatalf("transferring %+v", p)
	}
	m.payments = append(m.payments, &modelPayment{
		id: p.ID, of: a, index: p.Index, hash: to.hash, state: account.StateOpen, amount: amount, to: to,
	})
}

func (m *model) settleTransfer(t *rapid.T, p *modelPayment) {
	_, _, err := m.l.SettleTransfer(t.Context(), p.id, account.Transferred{})
	switch {
	case p.state == account.StateSucceeded:
		same(t, "settle transfer again", err, "")
	case p.state != account.StateOpen:
		same(t, "settle released transfer", err, account.CodeNotFound)
	case p.to.state == account.StateSettled:
		same(t, "settle transfer overtaken", err, account.CodeAlreadyPaid)
	default:
		same(t, "settle transfer", err, "")
		p.state, p.paid, p.resolved = account.StateSucceeded, p.amount, m.now()
		p.of.balance -= p.amount
		p.to.state, p.to.paid = account.StateSettled, p.amount
		p.to.of.balance += p.amount
	}
}

func (m *model) own(t *rapid.T) {
	a := m.pick(t)
	n := 100 + rapid.IntRange(0, 15).Draw(t, "hash")
	want := m.unusable(a)
	for _, i := range m.invoices {
		if want == "" && i.n == n && i.state != account.StateVoid {
			want = account.CodeHashTaken
		}
	}
	if want == "" {
		want = reasonOf(a.limits.Invoice(policy.Invoice{Amount: 5}, m.usage(a)))
	}
	asked := account.NewInvoice{Account: a.id, Hash: hashOf(n), Amount: 5}
	known := rapid.IntRange(0, 3).Draw(t, "hold") != 0
	if known {
		preimage := preimageOf(n)
		asked.Preimage = &preimage
	}
	_, err := m.l.OwnInvoice(t.Context(), agent, asked)
	same(t, "own", err, want)
	if err == nil {
		m.invoices = append(m.invoices, &modelInvoice{of: a, known: known, hash: hashOf(n), n: n, state: account.StatePending})
	}
}

func (m *model) invoice(t *rapid.T) {
	if len(m.invoices) == 0 {
		t.Skip("no invoices")
	}
	i := rapid.SampledFrom(m.invoices).Draw(t, "invoice")
	if i.state == account.StateVoid {
		t.Skip("must not happen: TestMoneyTruth")
	}
	open := i.state == account.StatePending || i.state == account.StateOpen
	var err error
	switch rapid.SampledFrom([]string{"made", "settled", "canceled", "void"}).Draw(t, "what") {
	case "made":
		_, err = m.l.InvoiceMade(t.Context(), i.hash, uint64(i.n), nil)
		if i.state == account.StatePending {
			i.state = account.StateOpen
		}
	case "settled":
		if i.state == account.StateCanceled {
			t.Skip("must not happen: TestMoneyTruth")
		}
		received := amounts.Draw(t, "received")
		_, err = m.l.InvoiceSettled(t.Context(), i.hash, uint64(i.n), received, preimageOf(i.n), nil)
		if open {
			i.state, i.paid = account.StateSettled, received
			i.of.balance += received
		}
	case "canceled":
		_, err = m.l.InvoiceCanceled(t.Context(), i.hash, nil)
		if open && !m.transferring(i) {
			i.state = account.StateCanceled
		}
	case "void":
		err = m.l.InvoiceVoid(t.Context(), i.hash, "no")
		if i.state == account.StatePending {
			i.state = account.StateVoid
		}
	}
	same(t, "invoice", err, "")
}

// compare is run after every action.
func (m *model) compare(t *rapid.T) {
	for _, a := range m.accounts {
		got, err := m.l.Get(t.Context(), a.id)
		reserved, _ := m.open(a)
		if err != nil || got.Balance != a.balance || got.Reserved != reserved || got.Removed != a.removed || got.Generation != a.generation {
			t.Fatalf("account %+v (%v), want %+v, reserved %d", got, err, a, reserved)
		}
		if a.removed {
			continue
		}
		if used, err := m.l.Usage(t.Context(), a.id); err != nil || used != m.usage(a) {
			t.Fatalf("usage %+v (%v), want %+v", used, err, m.usage(a))
		}
	}
}

func (m *model) finish(t *rapid.T) {
	for _, p := range m.payments {
		if p.state == account.StateVoid {
			continue
		}
		list, _, err := m.l.Payments(t.Context(), p.of.id, account.Page{Offset: p.index - 1, Max: 1, Unfinished: true})
		if err != nil || len(list) != 1 || list[0].ID != p.id || list[0].State != p.state || list[0].Paid != p.paid {
			t.Fatalf("payment %+v is listed as %+v, %v", p, list, err)
		}
	}
	for _, i := range m.invoices {
		if i.state == account.StateVoid {
			continue
		}
		if got, err := m.l.InvoiceByHash(t.Context(), i.hash); err != nil || got.State != i.state || got.Received != i.paid {
			t.Fatalf("invoice %+v is %+v, %v", i, got, err)
		}
	}
	report, err := m.l.Check(t.Context())
	if err != nil || len(report.Faults) > 0 {
		t.Fatalf("check: %q, %v", report.Faults, err)
	}
	if _, faults, err := m.l.Journal().Verify(t.Context()); err != nil || len(faults) > 0 {
		t.Fatalf("journal: %q, %v", faults, err)
	}
}

func TestLedgerIsLikeItsModel(t *testing.T) {
	// Fewer but longer lives, in which windows fill and empty.
	checks := "30"
	if raced {
		checks = "2"
	}
	if err := errors.Join(flag.Set("rapid.steps", "120"), flag.Set("rapid.checks", checks)); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "leyden-model-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{path: filepath.Join(dir, "guard.db"), wall: newWall()}
		if m.l, err = account.Open(t.Context(), m.path, m.wall.now); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := m.l.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		ticker, err := m.l.Create(t.Context(), operator, account.New{Label: "tick"})
		same(t, "create", err, "")
		m.tick = ticker.ID
		m.create(t)
		t.Repeat(map[string]func(*rapid.T){
			"create": m.create, "clock": m.moveClock, "reopen": m.reopen,
			"credit": m.credit, "debit": m.debit, "update": m.update, "freeze all": m.freezeAll,
			"rotate": m.rotate, "remove": m.remove,
			"reserve": m.reserve, "reserve more": m.reserve, "raise": m.raise, "settle": m.settle,
			"settle more": m.settle, "release": m.release, "own": m.own, "invoice": m.invoice,
			"transfer": m.transfer, "transfer more": m.transfer,
			"": m.compare,
		})
		m.finish(t)
	})
}
