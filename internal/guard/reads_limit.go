package guard

import (
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// rate is how often an account may do something: burst times at once, and again
// each interval.
type rate struct {
	burst    int
	interval time.Duration
}

// Rates of an account. Payments that succeed and invoices that are paid do not
// count: those that come to nothing cost nothing, and leave their marks in the
// ledger, the journal and lnd's database.
var (
	lookupRate  = rate{10, time.Second}
	paymentRate = rate{1000, time.Second / 2}
	invoiceRate = rate{1000, time.Second / 10}
)

var (
	errManyPayments = refuse(codes.ResourceExhausted, "rate_limited", "",
		"of payments that come to nothing an account may make %d at once and one more each %s", paymentRate.burst, paymentRate.interval)
	errManyInvoices = refuse(codes.ResourceExhausted, "rate_limited", "",
		"of invoices that are not paid an account may make one each %s, after as many as may be open", invoiceRate.interval)
)

// invoiceRateOf is the rate at which an account may make invoices: at once as
// many as it may have open, if that is more.
func invoiceRateOf(l policy.Limits) rate {
	return rate{max(invoiceRate.burst, int(l.OpenInvoices)), invoiceRate.interval}
}

// maxRemembered is how many accounts an allowance remembers before it forgets
// those that have their whole burst again.
const maxRemembered = 1024

// allowance counts what accounts do at a rate. The zero value is ready. Safe for
// concurrent use.
type allowance struct {
	mu sync.Mutex

	// full is when each account has its whole burst again.
	full map[account.ID]time.Time
}

// allow counts one more, if the account may.
func (a *allowance) allow(id account.ID, r rate, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := time.Duration(r.burst) * r.interval
	full := a.full[id]
	if full.After(now.Add(most)) {
		full = now.Add(most) // the clock was moved back, or the burst lowered
	}
	if full.Before(now) {
		full = now
	}
	next := full.Add(r.interval)
	if next.Sub(now) > most {
		a.keep(id, full, now)
		return false
	}
	a.keep(id, next, now)
	return true
}

// giveBack takes one out of the count.
func (a *allowance) giveBack(id account.ID, r rate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if full, ok := a.full[id]; ok {
		a.full[id] = full.Add(-r.interval)
	}
}

func (a *allowance) keep(id account.ID, full, now time.Time) {
	if len(a.full) >= maxRemembered {
		maps.DeleteFunc(a.full, func(_ account.ID, full time.Time) bool { return !full.After(now) })
	}
	if a.full == nil {
		a.full = make(map[account.ID]time.Time)
	}
	a.full[id] = full
}
