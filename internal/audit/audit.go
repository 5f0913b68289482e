// Package audit is the guard's journal: what was asked, decided and done, in an
// append-only chain of hashes. Where a change of the ledger has an entry, both
// are one transaction. Verify finds any entry that was altered, removed from
// the middle or added; a tail that was cut off is found by comparing with a
// head noted earlier, as is a chain that was written anew. It leaves out who
// may read it.
package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// ByGuard is the actor of what the guard does by itself.
var ByGuard = Actor{Kind: "guard", Via: "guard"}

// Actor is who did something.
type Actor struct {
	// Kind is "operator", "account" or "guard".
	Kind string `json:"kind"`

	// Via is the way in: "lnd" (the node's port), "api" (the operator's port),
	// "lnc/" and a session's id (through that), "guard" (by itself).
	Via string `json:"via"`

	// Peer is the client's IP address; empty for the guard.
	Peer string `json:"peer,omitempty"`

	// Macaroon is the first 8 bytes, in hex, of the SHA-256 of the credential.
	// Never the credential.
	Macaroon string `json:"macaroon,omitempty"`
}

// Entry is what is to be journalled. Never a secret: no preimage, no macaroon.
type Entry struct {
	// Kind is a word or two with a dot between: "payment.reserve".
	Kind string

	Actor Actor

	// Account is the account's id, 16 lower-case hex digits, or empty.
	Account string

	// Subject is what it is about: a payment hash in hex, a method. May be empty.
	Subject string

	// Detail is the rest, written as a JSON object with sorted keys. Nil is {}.
	Detail any
}

// Append adds an entry inside a transaction of store.Write and returns its
// sequence number. atMS is its time in Unix ms; a time before the newest
// entry's becomes that one, so that the journal's times never decrease.
func Append(tx *sql.Tx, atMS int64, e Entry) (seq int64, err error) {
	ctx := context.Background()
	q := guarddb.New(tx)
	// What the chain ends with is read here and not remembered, since the
	// savepoint of an earlier entry may have been rolled back.
	head, err := q.JournalHead(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read the journal's head: %w", err)
	}
	detail, err := canonical(e.Detail)
	if err != nil {
		return 0, fmt.Errorf("detail of journal entry %q: %w", e.Kind, err)
	}
	row := guarddb.Journal{
		Seq:      head.Seq + 1,
		AtMs:     max(atMS, head.AtMs),
		Kind:     clean(e.Kind),
		Actor:    clean(e.Actor.Kind),
		Via:      clean(e.Actor.Via),
		Peer:     clean(e.Actor.Peer),
		Macaroon: clean(e.Actor.Macaroon),
		Account:  clean(e.Account),
		Subject:  clean(e.Subject),
		Detail:   detail,
	}
	sum := chain(previous(head.Hash), row)
	row.Hash = sum[:]
	if err := q.JournalAppend(ctx, guarddb.JournalAppendParams(row)); err != nil {
		return 0, fmt.Errorf("append to the journal: %w", err)
	}
	return row.Seq, nil
}

// clean makes text what any reader of an export gets back unchanged.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// canonical writes a detail as compact JSON with sorted keys.
func canonical(detail any) (string, error) {
	if detail == nil {
		return "{}", nil
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return "", err
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return "", errors.New("not a JSON object")
	}
	if tree == nil { // a nil map or pointer
		return "{}", nil
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(tree); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Journal reads the journal, and adds entries that are a transaction of their
// own. Safe for concurrent use.
type Journal struct {
	db  *guarddb.DB
	now func() time.Time
}

// NewJournal returns the journal of a database. now is the clock of Add; nil
// means time.Now.
func NewJournal(db *guarddb.DB, now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{db: db, now: now}
}

// Add appends an entry durably, or returns an error and has not. Errors are
// store.DB.Write's.
func (j *Journal) Add(ctx context.Context, e Entry) error {
	return j.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := Append(tx, j.now().UnixMilli(), e)
		return err
	})
}
