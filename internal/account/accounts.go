package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// maxLabel is the most characters of a label.
const maxLabel = 64

// New describes an account to be made.
type New struct {
	Label   string
	Balance lnwire.MilliSatoshi
	Expires time.Time // zero: never
	Limits  policy.Limits
}

// Create makes an account. Codes: bad_label, bad_amount, bad_limits.
func (l *Ledger) Create(ctx context.Context, by audit.Actor, n New) (Account, error) {
	limits, err := encodeLimits(n.Limits)
	if err != nil {
		return Account{}, err
	}
	var id ID
	if _, err := rand.Read(id[:]); err != nil {
		return Account{}, err
	}
	return write(ctx, l, func(s *step) (Account, error) { return s.create(by, id, n, limits) })
}

func (s *step) create(by audit.Actor, id ID, n New, limits string) (Account, error) {
	if err := errors.Join(s.creditable(n.Balance), s.labelFree(n.Label)); err != nil {
		return Account{}, err
	}
	seq, err := s.log(by, "account.create", id.String(), n.Label, accountDetail{
		Label: n.Label, Balance: n.Balance, Expires: n.Expires, Limits: &n.Limits,
	})
	if err != nil {
		return Account{}, err
	}
	book, err := s.BookInsert(s, id.String())
	if err != nil {
		return Account{}, err
	}
	err = s.AccountInsert(s, guarddb.AccountInsertParams{
		ID: book, Name: id[:], Label: n.Label, Limits: limits, InitialMsat: int64(n.Balance),
		NowMs: s.now, ExpiresMs: millis(n.Expires), CreatedSeq: seq,
	})
	if err != nil {
		return Account{}, err
	}
	err = s.post(movement{
		key: "create/" + id.String(), kind: "create", seq: seq,
		account: book, against: bookOperator, amount: int64(n.Balance),
	})
	if err != nil {
		return Account{}, err
	}
	return s.account(book)
}

// accountDetail is what the journal says about a new or changed account.
type accountDetail struct {
	Label   string              `json:"label,omitempty"`
	Balance lnwire.MilliSatoshi `json:"balance_msat,omitempty"`
	Expires time.Time           `json:"expires,omitzero"`
	Limits  *policy.Limits      `json:"limits,omitempty"`
}

// Get returns an account, also a removed one. Code: account_unknown.
func (l *Ledger) Get(ctx context.Context, id ID) (Account, error) {
	return read(ctx, l, func(s *step) (Account, error) {
		row, err := s.AccountByName(s, id[:])
		if err != nil {
			return Account{}, unknown(id.String(), err)
		}
		return accountOf(row)
	})
}

// Find returns the live account with the id (16 hex digits) or label. Code:
// account_unknown.
func (l *Ledger) Find(ctx context.Context, idOrLabel string) (Account, error) {
	return read(ctx, l, func(s *step) (Account, error) {
		if id, ok := parseID(idOrLabel); ok {
			row, err := s.live(id)
			if err != nil {
				return Account{}, err
			}
			return accountOf(row)
		}
		row, err := s.AccountByLabel(s, idOrLabel)
		if err != nil {
			return Account{}, unknown(idOrLabel, err)
		}
		return accountOf(row)
	})
}

// List returns all live accounts, oldest first.
func (l *Ledger) List(ctx context.Context) ([]Account, error) {
	return read(ctx, l, func(s *step) ([]Account, error) { return accountsOf(s.AccountsLive(s)) })
}

// Retired returns the accounts that had a root key before the one they have
// now, or have none any more: those that were rotated or removed.
func (l *Ledger) Retired(ctx context.Context) ([]Account, error) {
	return read(ctx, l, func(s *step) ([]Account, error) { return accountsOf(s.AccountsRetired(s)) })
}

// live returns the account if it is there and not removed.
func (s *step) live(id ID) (guarddb.Account, error) {
	row, err := s.AccountByName(s, id[:])
	if err == nil && row.RemovedMs != 0 {
		err = sql.ErrNoRows
	}
	return row, unknown(id.String(), err)
}

func (s *step) account(book int64) (Account, error) {
	row, err := s.AccountByID(s, book)
	if err != nil {
		return Account{}, err
	}
	return accountOf(row)
}

// labelFree returns bad_label unless the label is empty, or fit for an account
// and no live account has it.
func (s *step) labelFree(label string) error {
	if label == "" {
		return nil
	}
	const hint = "choose another label: 1 to 64 printable characters, not 16 hex digits"
	if raw, err := hex.DecodeString(label); err == nil && len(raw) == len(ID{}) {
		return fault.New(CodeLabel, hint, "label %q looks like an account's id", label)
	}
	if err := fitLabel(label, CodeLabel, hint); err != nil {
		return err
	}
	other, err := s.AccountByLabel(s, label)
	if err == nil {
		return fault.New(CodeLabel, hint, "label %q is that of account %x", label, other.Name)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// fitLabel refuses, with the code, what cannot be shown in a list.
func fitLabel(label, code, hint string) error {
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel {
		return fault.New(code, hint, "label %q is longer than %d characters, or no text", label, maxLabel)
	}
	for _, r := range label {
		if !unicode.IsPrint(r) {
			return fault.New(code, hint, "label %q has a character that cannot be printed", label)
		}
	}
	return nil
}

// unknown makes account_unknown of a row that is not there.
func unknown(name string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(CodeUnknown, "leyden accounts list", "no account %q", name)
	}
	return err
}

func parseID(text string) (ID, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(ID{}) || hex.EncodeToString(raw) != text {
		return ID{}, false
	}
	return ID(raw), true
}

func encodeLimits(limits policy.Limits) (string, error) {
	if err := limits.Validate(); err != nil {
		return "", fault.New(CodeLimits, "leyden accounts limits --help", "%w", err)
	}
	text, err := json.Marshal(limits)
	return string(text), err
}
