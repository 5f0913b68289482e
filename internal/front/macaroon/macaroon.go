// Package macaroon reads what a front must know of a macaroon: its caveats, and
// which account it belongs to. It parses with the library that lnd itself uses,
// so that the two cannot see different caveats in the same bytes, and it is
// stricter than lnd about what it finds: a macaroon that says anything about
// accounts in any but the one exact form is refused.
//
// It does not verify: signature, permissions and the other caveats are lnd's to
// check (CheckMacaroonPermissions).
package macaroon

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	gomacaroon "gopkg.in/macaroon.v2"
)

const (
	// customName is the name lnd gives all custom caveats:
	// "lnd-custom <name> <condition>" (lnd, macaroons.CondLndCustom).
	customName  = "lnd-custom"
	accountName = "account"

	accountPrefix = customName + " " + accountName + " "
)

// ErrAccountCaveat means that a macaroon is neither free of account caveats nor
// has exactly one in the exact form. Nothing may be done with it.
var ErrAccountCaveat = errors.New("malformed account caveat")

// AccountID names an account: 16 lower-case hex digits in text.
type AccountID [8]byte

// String returns the 16 lower-case hex digits.
func (id AccountID) String() string { return hex.EncodeToString(id[:]) }

// Caveat is one condition of a macaroon.
type Caveat struct {
	// Text is the caveat's id: for a first-party caveat the condition itself. Any
	// bytes.
	Text string

	// ThirdParty means that another service has to discharge it; lnd accepts no
	// such caveat.
	ThirdParty bool
}

// Macaroon is a parsed, unverified macaroon.
type Macaroon struct {
	id      []byte
	caveats []Caveat
}

// Parse reads a macaroon in binary form, version 1 or 2. As lnd does, it ignores
// bytes after its end. Errors never quote the macaroon.
func Parse(raw []byte) (*Macaroon, error) {
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("malformed macaroon of %d bytes", len(raw))
	}
	parsed := &Macaroon{id: m.Id()}
	for _, c := range m.Caveats() {
		parsed.caveats = append(parsed.caveats, Caveat{Text: string(c.Id), ThirdParty: len(c.VerificationId) > 0})
	}
	return parsed, nil
}

// Caveats returns the caveats in their order.
func (m *Macaroon) Caveats() []Caveat { return m.caveats }

// Account returns the account the macaroon belongs to; ok is false for one
// without an account caveat. With anything but exactly one first-party caveat
// `lnd-custom account <16 lower-case hex digits>` the error is ErrAccountCaveat.
func (m *Macaroon) Account() (id AccountID, ok bool, err error) {
	for _, c := range m.caveats {
		if !aboutAccounts(c.Text) {
			continue
		}
		if ok {
			return AccountID{}, false, fmt.Errorf("%w: more than one", ErrAccountCaveat)
		}
		digits, exact := strings.CutPrefix(c.Text, accountPrefix)
		if !exact || c.ThirdParty || !parseID(&id, digits) {
			return AccountID{}, false, fmt.Errorf("%w: want %q and 16 lower-case hex digits", ErrAccountCaveat, accountPrefix)
		}
		ok = true
	}
	return id, ok, nil
}

func parseID(id *AccountID, digits string) bool {
	if len(digits) != 2*len(id) || digits != strings.ToLower(digits) {
		return false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return err == nil
}

// aboutAccounts casts its net wider than lnd, which takes the first caveat that
// begins with "lnd-custom account" for the account's.
func aboutAccounts(text string) bool {
	words := bytes.Fields([]byte(text))
	return len(words) > 1 && strings.EqualFold(string(words[0]), customName) &&
		strings.HasPrefix(strings.ToLower(string(words[1])), accountName)
}
