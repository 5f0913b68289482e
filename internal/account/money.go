package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// The books that are no account's. What is transferred between accounts passes
// through a book of its own, which is empty after each transaction.
const (
	bookTransfers = 0
	bookNode      = 1
	bookOperator  = 2
)

// maxKey is the longest key of a credit or debit, in bytes.
const maxKey = 128

// movement is one transaction of the ledger: amount (msat) moves from the book
// against to the account's, or the other way if it is below zero.
type movement struct {
	key, kind        string
	payment, invoice sql.NullInt64
	seq              int64
	account, against int64
	amount           int64
}

// post writes both entries and the running totals. A movement of 0 is none.
func (s *step) post(m movement) error {
	if m.amount == 0 {
		return nil
	}
	id, err := s.TransactionInsert(s, guarddb.TransactionInsertParams{
		Key: m.key, Kind: m.kind, Payment: m.payment, Invoice: m.invoice, AtMs: s.now, Seq: m.seq,
	})
	if err != nil {
		return fmt.Errorf("transaction %q: %w", m.key, err)
	}
	s.balances += m.amount
	return errors.Join(
		s.EntryInsert(s, guarddb.EntryInsertParams{Tx: id, Book: m.account, AmountMsat: m.amount}),
		s.EntryInsert(s, guarddb.EntryInsertParams{Tx: id, Book: m.against, AmountMsat: -m.amount}),
		s.AccountPost(s, guarddb.AccountPostParams{ID: m.account, AmountMsat: m.amount, NowMs: s.now}),
		s.LedgerBalances(s, m.amount),
	)
}

// creditable returns bad_amount if all accounts together would own more than
// there is.
func (s *step) creditable(amount lnwire.MilliSatoshi) error {
	room := policy.MaxAmount - min(policy.MaxAmount, msat(s.balances))
	if amount > room {
		return fault.New(CodeBadAmount, "leyden accounts check", "%s more: all accounts together would own more than 21 million bitcoin", policy.Sat(amount))
	}
	return nil
}

// Credit adds the operator's amount; a repeated key (not empty, at most 128
// bytes) does nothing. Codes: account_unknown, bad_amount, key_reused (with
// another amount).
func (l *Ledger) Credit(ctx context.Context, by audit.Actor, id ID, amount lnwire.MilliSatoshi, key string) (Account, error) {
	return l.operate(ctx, by, id, "credit", amount, key)
}

// Debit takes an amount away, never below what is reserved (balance_reserved).
// Keys and other codes are as of Credit.
func (l *Ledger) Debit(ctx context.Context, by audit.Actor, id ID, amount lnwire.MilliSatoshi, key string) (Account, error) {
	return l.operate(ctx, by, id, "debit", amount, key)
}

func (l *Ledger) operate(ctx context.Context, by audit.Actor, id ID, kind string, amount lnwire.MilliSatoshi, key string) (Account, error) {
	if amount == 0 || amount > policy.MaxAmount {
		return Account{}, fault.New(CodeBadAmount, "give 1 sat or more", "%s of %d msat: want 1 msat to 21 million bitcoin", kind, amount)
	}
	if len(key) > maxKey {
		return Account{}, fault.New(CodeKeyReused, "choose a shorter key", "key of %d bytes: want at most %d", len(key), maxKey)
	}
	signed := int64(amount)
	if kind == "debit" {
		signed = -signed
	}
	return write(ctx, l, func(s *step) (Account, error) {
		row, err := s.live(id)
		if err != nil {
			return Account{}, err
		}
		name := ""
		if key != "" {
			name = kind + "/" + id.String() + "/key/" + key
			done, err := s.posted(name, row.ID, signed)
			if done || err != nil {
				return s.accountUnless(err, row.ID)
			}
		}
		return s.accountUnless(s.byOperator(by, row, name, signed), row.ID)
	})
}

// byOperator moves an amount between the operator and the account, and journals
// it. Without a key the movement is named after its journal entry.
func (s *step) byOperator(by audit.Actor, row guarddb.Account, key string, amount int64) error {
	kind := "credit"
	if amount < 0 {
		kind = "debit"
		if -amount > row.BalanceMsat-row.ReservedMsat {
			held := ""
			if row.ReservedMsat > 0 {
				held = fmt.Sprintf(", %s of them held for payments in flight", policy.Sat(msat(row.ReservedMsat)))
			}
			return fault.New(CodeReserved, "leyden accounts info "+ID(row.Name).String(),
				"debit of %s: the account has %s%s", policy.Sat(msat(-amount)), policy.Sat(msat(row.BalanceMsat)), held)
		}
	} else if err := s.creditable(msat(amount)); err != nil {
		return err
	}
	id := ID(row.Name).String()
	seq, err := s.log(by, "account."+kind, id, "", moneyDetail{Amount: max(amount, -amount), Key: key})
	if err != nil {
		return err
	}
	if key == "" {
		key = fmt.Sprintf("%s/%s/seq/%d", kind, id, seq)
	}
	return s.post(movement{key: key, kind: kind, seq: seq, account: row.ID, against: bookOperator, amount: amount})
}

// moneyDetail is what the journal says about an operator's credit or debit.
type moneyDetail struct {
	Amount int64  `json:"amount_msat"`
	Key    string `json:"key,omitempty"`
}

// posted says whether the key's movement has been made, and key_reused if that
// had another amount.
func (s *step) posted(key string, account, amount int64) (bool, error) {
	before, err := s.TransactionByKey(s, key)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	entry, err := s.EntryOf(s, guarddb.EntryOfParams{Tx: before.ID, Book: account})
	if err != nil {
		return false, err
	}
	if entry != amount {
		_, given, _ := strings.Cut(key, "/key/")
		return false, fault.New(CodeKeyReused, "use a key once for each amount",
			"key %q was used for %s before, not %s", given, policy.Sat(msat(max(entry, -entry))), policy.Sat(msat(max(amount, -amount))))
	}
	return true, nil
}

func (s *step) accountUnless(err error, book int64) (Account, error) {
	if err != nil {
		return Account{}, err
	}
	return s.account(book)
}
