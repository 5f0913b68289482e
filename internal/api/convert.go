package api

import (
	"context"
	"math"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// msatPerSat is what a sat has of msat.
const msatPerSat = 1000

// mostSat is the hint to an amount that is too large.
const mostSat = "give at most 2100000000000000 sat"

// satoshis takes an amount in sat that a client gave.
func satoshis(sat uint64) (lnwire.MilliSatoshi, error) {
	if sat > uint64(policy.MaxAmount)/msatPerSat {
		return 0, fault.New(account.CodeBadAmount, mostSat, "amount of %d sat: more than there is", sat)
	}
	return lnwire.MilliSatoshi(sat * msatPerSat), nil
}

// when takes Unix seconds that a client gave; 0 is never.
func when(seconds int64) (time.Time, error) {
	switch {
	case seconds == 0:
		return time.Time{}, nil
	case seconds < 0 || seconds > math.MaxInt32*100:
		return time.Time{}, fault.New(codeBadArgument, "give seconds since 1970, or 0 for never", "expiration date %d is out of range", seconds)
	}
	return time.Unix(seconds, 0), nil
}

// unix is the way back; never is 0.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// find resolves an id or label.
func (s *Server) find(ctx context.Context, idOrLabel string) (account.Account, error) {
	if idOrLabel == "" {
		return account.Account{}, fault.New(codeBadArgument, "leyden accounts list", "name an account by its id or label")
	}
	return s.opts.Ledger.Find(ctx, idOrLabel)
}

func expired(a account.Account) bool {
	return !a.Expires.IsZero() && !time.Now().Before(a.Expires)
}

func accountOut(a account.Account) *leydenv1.Account {
	return &leydenv1.Account{
		Id: a.ID.String(), Label: a.Label, Generation: a.Generation,
		InitialMsat: uint64(a.Initial), BalanceMsat: uint64(a.Balance),
		ReservedMsat: uint64(a.Reserved), AvailableMsat: uint64(a.Available()),
		Created: unix(a.Created), Updated: unix(a.Updated), Expires: unix(a.Expires),
		Expired: expired(a), Frozen: a.Frozen, Limits: limitsOut(a.Limits),
	}
}

func usageOut(u policy.Usage) *leydenv1.Usage {
	return &leydenv1.Usage{
		HourMsat: uint64(u.Hour), DayMsat: uint64(u.Day), WeekMsat: uint64(u.Week), MonthMsat: uint64(u.Month),
		Payments: u.Payments, InFlight: u.InFlight, OpenInvoices: u.OpenInvoices,
	}
}

func paymentOut(p account.Payment) *leydenv1.Payment {
	out := &leydenv1.Payment{
		Index: p.Index, Hash: p.Hash[:], State: string(p.State),
		AmountMsat: uint64(p.Amount), MaxFeeMsat: uint64(p.MaxFee),
		PaidMsat: uint64(p.Paid), FeeMsat: uint64(p.Fee), Payee: p.Payee[:], PaymentRequest: p.PaymentRequest,
		Created: unix(p.Created), Resolved: unix(p.Resolved), Reason: p.Reason, Account: p.Account.String(),
	}
	if p.State == account.StateOpen {
		out.ReservedMsat = uint64(p.Reserved)
	}
	if p.Payee == (policy.PubKey{}) {
		out.Payee = nil
	}
	return out
}

func paymentsOut(list []account.Payment) []*leydenv1.Payment {
	out := make([]*leydenv1.Payment, len(list))
	for i, p := range list {
		out[i] = paymentOut(p)
	}
	return out
}
