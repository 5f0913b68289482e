package policy_test

import (
	"math"
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"

	"github.com/leydenln/leyden/internal/policy"
)

// none is most often drawn for a limit, so that a payment is refused for one
// thing or for nothing, and few is near the others, so that limits matter.
func none[N ~uint32 | ~uint64](few, any *rapid.Generator[N]) *rapid.Generator[N] {
	zero := rapid.Just[N](0)
	return rapid.OneOf(zero, zero, zero, zero, few, few, any)
}

var (
	few     = rapid.Map(rapid.Uint64Range(0, 8), func(n uint64) lnwire.MilliSatoshi { return lnwire.MilliSatoshi(n) })
	huge    = rapid.Just(lnwire.MilliSatoshi(math.MaxUint64))
	amounts = rapid.OneOf(few, few, few, few, huge)
	most    = rapid.OneOf(huge, huge, few)
	limits  = none(few, huge)

	numbers = rapid.Uint32Range(0, 3)
	counts  = none(numbers, rapid.Uint32())

	payees = rapid.SampledFrom([]policy.PubKey{shop, shop, shop, other, {}})
	lists  = rapid.OneOf(rapid.Just[[]policy.PubKey](nil), rapid.Just(keys(shop, other)), rapid.Just(keys(other)))
)

func drawLimits(t *rapid.T) policy.Limits {
	return policy.Limits{
		MaxPayment: limits.Draw(t, "max payment"), MaxFee: limits.Draw(t, "max fee"), MaxFeePPM: counts.Draw(t, "ppm"),
		Hour: limits.Draw(t, "hour"), Day: limits.Draw(t, "day"),
		Week: limits.Draw(t, "week"), Month: limits.Draw(t, "month"),
		MaxPayments: counts.Draw(t, "payments"), InFlight: counts.Draw(t, "in flight"),
		MaxFinalCLTV: counts.Draw(t, "cltv"), MaxTimeLock: counts.Draw(t, "time lock"),
		OpenInvoices: counts.Draw(t, "invoices"), MaxInvoice: limits.Draw(t, "invoice"),
		PrivateInvoices: rapid.Bool().Draw(t, "private"),
		AllowPayees:     lists.Draw(t, "allow"), DenyPayees: lists.Draw(t, "deny"),
	}
}

// narrower sets a limit where there was none, or lowers one.
func narrower[N ~uint32 | ~uint64](t *rapid.T, limit *N, none N) {
	most := *limit
	if most == 0 {
		most = none
	}
	*limit = N(min(rapid.OneOf(rapid.Uint64Range(1, 8), rapid.Uint64Range(1, uint64(most))).Draw(t, "narrower"), uint64(most)))
}

// narrow makes one limit narrower.
func narrow(t *rapid.T, l policy.Limits) policy.Limits {
	const top = math.MaxUint64
	ways := []func(){
		func() { narrower(t, &l.MaxPayment, top) },
		func() { narrower(t, &l.MaxFee, top) },
		func() { narrower(t, &l.MaxFeePPM, math.MaxUint32) },
		func() { narrower(t, &l.Hour, top) },
		func() { narrower(t, &l.Day, top) },
		func() { narrower(t, &l.Week, top) },
		func() { narrower(t, &l.Month, top) },
		func() { narrower(t, &l.MaxPayments, math.MaxUint32) },
		func() { narrower(t, &l.InFlight, policy.DefaultInFlight) },
		func() { narrower(t, &l.MaxFinalCLTV, math.MaxUint32) },
		func() { narrower(t, &l.MaxTimeLock, math.MaxUint32) },
		func() { narrower(t, &l.OpenInvoices, policy.DefaultOpenInvoices) },
		func() { narrower(t, &l.MaxInvoice, top) },
		func() { l.PrivateInvoices = false },
		func() { l.DenyPayees = append(keys(payees.Draw(t, "denied too")), l.DenyPayees...) },
		func() {
			if len(l.AllowPayees) == 0 {
				l.AllowPayees = keys(payees.Draw(t, "only"))
			} else if len(l.AllowPayees) > 1 {
				l.AllowPayees = l.AllowPayees[1:]
			}
		},
	}
	rapid.SampledFrom(ways).Draw(t, "way")()
	return l
}

// TestNarrowerNeverAllowsMore is the promise of the package.
func TestNarrowerNeverAllowsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide := drawLimits(t)
		tight := narrow(t, wide)
		used := policy.Usage{
			Available: most.Draw(t, "available"),
			Hour:      amounts.Draw(t, "in hour"), Day: amounts.Draw(t, "in day"),
			Week: amounts.Draw(t, "in week"), Month: amounts.Draw(t, "in month"),
			Payments: numbers.Draw(t, "made"), InFlight: numbers.Draw(t, "flying"), OpenInvoices: numbers.Draw(t, "open"),
		}
		p := policy.Payment{
			Amount: amounts.Draw(t, "amount"), MaxFee: amounts.Draw(t, "fee"), Payee: payees.Draw(t, "payee"),
			FinalCLTV: numbers.Draw(t, "final"), TimeLock: numbers.Draw(t, "lock"),
		}
		asked := p.MaxFee
		p.MaxFee = tight.CapFee(p.Amount, asked)
		if wider := wide.CapFee(p.Amount, asked); p.MaxFee > wider || wider > asked {
			t.Fatalf("fee: asked %d, wide %d, tight %d", asked, wider, p.MaxFee)
		}
		if err := tight.Payment(p, used); err == nil {
			if err := wide.Payment(p, used); err != nil {
				t.Fatalf("the narrower limits allow what the wider refuse: %v", err)
			}
			if p.Amount > used.Available || p.MaxFee > used.Available-p.Amount {
				t.Fatalf("allowed beyond the balance")
			}
		} else if err.(*policy.Denied).Reason == policy.LimitFee {
			t.Fatalf("a fee that was capped is refused: %v", err)
		}
		i := policy.Invoice{Amount: amounts.Draw(t, "asks"), Private: rapid.Bool().Draw(t, "shows")}
		if tight.Invoice(i, used) == nil {
			if err := wide.Invoice(i, used); err != nil {
				t.Fatalf("the narrower limits allow an invoice that the wider refuse: %v", err)
			}
		}
	})
}
