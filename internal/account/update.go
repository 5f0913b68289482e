package account

import (
	"context"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Change is what Update alters; nil leaves as it is.
type Change struct {
	Label   *string
	Expires *time.Time // zero: never
	Limits  *policy.Limits
	Frozen  *bool
	// Balance sets the balance by an entry of the operator's, never below what
	// is reserved.
	Balance *lnwire.MilliSatoshi
}

// Update changes an account. Codes: account_unknown, bad_label, bad_limits,
// bad_amount, balance_reserved.
func (l *Ledger) Update(ctx context.Context, by audit.Actor, id ID, c Change) (Account, error) {
	limits := ""
	if c.Limits != nil {
		var err error
		if limits, err = encodeLimits(*c.Limits); err != nil {
			return Account{}, err
		}
	}
	return write(ctx, l, func(s *step) (Account, error) {
		row, err := s.live(id)
		if err != nil {
			return Account{}, err
		}
		for _, change := range []func(audit.Actor, *guarddb.Account, Change) error{
			s.setBalance,
			func(by audit.Actor, row *guarddb.Account, c Change) error { return s.setTerms(by, row, c, limits) },
			s.setFrozen,
		} {
			if err := change(by, &row, c); err != nil {
				return Account{}, err
			}
		}
		return s.account(row.ID)
	})
}

func (s *step) setBalance(by audit.Actor, row *guarddb.Account, c Change) error {
	if c.Balance == nil {
		return nil
	}
	if *c.Balance > policy.MaxAmount {
		return fault.New(CodeBadAmount, "give at most 2100000000000000 sat", "balance of %d msat: want at most 21 million bitcoin", *c.Balance)
	}
	amount := int64(*c.Balance) - row.BalanceMsat
	if amount == 0 {
		return nil
	}
	return s.byOperator(by, *row, "", amount)
}

func (s *step) setTerms(by audit.Actor, row *guarddb.Account, c Change, limits string) error {
	if c.Label == nil && c.Expires == nil && c.Limits == nil {
		return nil
	}
	if c.Label != nil && *c.Label != row.Label {
		if err := s.labelFree(*c.Label); err != nil {
			return err
		}
		row.Label = *c.Label
	}
	if c.Expires != nil {
		row.ExpiresMs = millis(*c.Expires)
	}
	if c.Limits != nil {
		row.Limits = limits
	}
	return s.set(by, *row, "account.update", termsDetail{Label: c.Label, Expires: c.Expires, Limits: c.Limits})
}

// termsDetail is what the journal says about an update: what was set.
type termsDetail struct {
	Label   *string        `json:"label,omitempty"`
	Expires *time.Time     `json:"expires,omitempty"`
	Limits  *policy.Limits `json:"limits,omitempty"`
}

func (s *step) setFrozen(by audit.Actor, row *guarddb.Account, c Change) error {
	if c.Frozen == nil || *c.Frozen == (row.Frozen != 0) {
		return nil
	}
	row.Frozen = bit(*c.Frozen)
	return s.set(by, *row, freezeKind(*c.Frozen), nil)
}

func freezeKind(frozen bool) string {
	if frozen {
		return "account.freeze"
	}
	return "account.thaw"
}

// set writes the account's terms and journals it.
func (s *step) set(by audit.Actor, row guarddb.Account, kind string, detail any) error {
	if _, err := s.log(by, kind, ID(row.Name).String(), "", detail); err != nil {
		return err
	}
	return s.AccountSet(s, guarddb.AccountSetParams{
		ID: row.ID, Label: row.Label, Generation: row.Generation, Limits: row.Limits,
		ExpiresMs: row.ExpiresMs, RemovedMs: row.RemovedMs, Frozen: row.Frozen, UpdatedMs: s.now,
	})
}

// Rotate raises the generation, and revokes the account's sessions. Code:
// account_unknown.
func (l *Ledger) Rotate(ctx context.Context, by audit.Actor, id ID) (Account, error) {
	return write(ctx, l, func(s *step) (Account, error) {
		row, err := s.live(id)
		if err != nil {
			return Account{}, err
		}
		row.Generation++
		err = s.set(by, row, "account.rotate", map[string]int64{"generation": row.Generation})
		if err == nil {
			err = s.endSessionsOf(by, row.ID, "the account's macaroons were replaced")
		}
		return s.accountUnless(err, row.ID)
	})
}

// Remove gives the balance back to the operator and ends the account with its
// sessions. Refused
// while payments are in flight, or transfers to it (payment_in_flight). Its open invoices, if they
// are paid all the same, are still credited to it.
func (l *Ledger) Remove(ctx context.Context, by audit.Actor, id ID) (Account, error) {
	return write(ctx, l, func(s *step) (Account, error) {
		row, err := s.live(id)
		if err != nil {
			return Account{}, err
		}
		if row.PaymentsOpen > 0 {
			return Account{}, fault.New(CodeInFlight, "leyden accounts payments "+id.String(),
				"account %s has %d payments in flight", id, row.PaymentsOpen)
		}
		if coming, err := s.TransfersPendingTo(s, row.ID); err != nil {
			return Account{}, err
		} else if coming > 0 {
			return Account{}, fault.New(CodeInFlight, "leyden accounts info "+id.String(),
				"account %s is being paid by other accounts of this node", id)
		}
		seq, err := s.log(by, "account.remove", id.String(), row.Label, moneyDetail{Amount: row.BalanceMsat})
		if err != nil {
			return Account{}, err
		}
		err = s.post(movement{
			key: "remove/" + id.String(), kind: "remove", seq: seq,
			account: row.ID, against: bookOperator, amount: -row.BalanceMsat,
		})
		if err != nil {
			return Account{}, err
		}
		err = s.AccountSet(s, guarddb.AccountSetParams{
			ID: row.ID, Label: row.Label, Generation: row.Generation, Limits: row.Limits,
			ExpiresMs: row.ExpiresMs, RemovedMs: s.now, Frozen: row.Frozen, UpdatedMs: s.now,
		})
		if err == nil {
			err = s.endSessionsOf(by, row.ID, "the account was removed")
		}
		return s.accountUnless(err, row.ID)
	})
}

// SetFrozenAll freezes or thaws every account, and what moves money for
// operators. FrozenAll reads it.
func (l *Ledger) SetFrozenAll(ctx context.Context, by audit.Actor, frozen bool) error {
	_, err := write(ctx, l, func(s *step) (struct{}, error) {
		if frozen == s.frozen {
			return struct{}{}, nil
		}
		if _, err := s.log(by, freezeKind(frozen), "", "all", nil); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.LedgerFreeze(s, bit(frozen))
	})
	return err
}

// FrozenAll says whether everything is frozen.
func (l *Ledger) FrozenAll(ctx context.Context) (bool, error) {
	return read(ctx, l, func(s *step) (bool, error) { return s.frozen, nil })
}
