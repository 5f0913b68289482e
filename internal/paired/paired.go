// Package paired keeps this machine's side of sessions of Lightning Node
// Connect: one file for each, mode 0600, which is there before the node can
// know the key in it. It promises that a session once kept is found again,
// whatever cuts a program short, and that two programs do not use one session at
// a time. It knows nothing of what is said over a session.
package paired

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/lnc"
)

// Codes of this package's errors.
const (
	CodeNone    = "lnc_not_paired"
	CodeCorrupt = "corrupt_session"
)

const (
	suffix     = ".json"
	lockSuffix = ".lock"
)

// Session is one pairing with a node.
type Session struct {
	// Mailbox is the relay's host:port. DevServer skips the check of its
	// certificate, WebSocket is for networks that let no gRPC through.
	Mailbox              string
	DevServer, WebSocket bool

	// Created is when the two paired, to the second.
	Created time.Time

	// Node is the node's public key in hex, Network its network; "" if it did
	// not say.
	Node, Network string

	// Identity has a Remote once the node has proved its key.
	Identity lnc.Identity

	// Phrase is zero once it is of no more use.
	Phrase lnc.Phrase

	meeting string // by which the phrase is known again
}

// New is a session that is to be paired.
func New(phrase lnc.Phrase) Session {
	return Session{Created: time.Now().Truncate(time.Second), Phrase: phrase, meeting: meeting(phrase)}
}

// ID is the session's name at the node too: bytes 1 to 4 of the key that the
// node has for it, in hex, as litd counts them. "" before the pairing.
func (s *Session) ID() string {
	if s.Identity.Remote == nil {
		return ""
	}
	return hex.EncodeToString(s.Identity.Remote.SerializeCompressed()[1:5])
}

// meeting names a phrase by where the two sides meet with it, which the relay
// knows too.
func meeting(phrase lnc.Phrase) string {
	at, _ := phrase.StreamIDs()
	sum := sha256.Sum256(at[:])
	return hex.EncodeToString(sum[:16])
}

// Folder is where sessions are kept.
type Folder string

func (f Folder) path(id string) string { return filepath.Join(string(f), id+suffix) }

// Load returns the session with that id, or with "" the one that was paired
// last. Codes: lnc_not_paired, corrupt_session, insecure_file.
func (f Folder) Load(id string) (Session, error) {
	if id != "" {
		if !isID(id) {
			return Session{}, fault.New(CodeNone, "lnget ln lnc sessions", "%q is no session's id: want 8 hex digits", id)
		}
		s, err := f.read(id)
		if errors.Is(err, fs.ErrNotExist) {
			return s, fault.New(CodeNone, "lnget ln lnc sessions", "there is no session %s in %s", id, f)
		}
		return s, err
	}
	all, err := f.All()
	if err != nil {
		return Session{}, err
	}
	if len(all) == 0 {
		return Session{}, fault.New(CodeNone, "lnget ln lnc pair", "no node is paired with: %s has no session", f)
	}
	return all[len(all)-1], nil
}

// All returns all sessions, the one paired last at the end.
func (f Folder) All() ([]Session, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(CodeCorrupt, "check the folder's owner and mode", "read the sessions: %w", err)
	}
	var all []Session
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || !isID(id) {
			continue
		}
		s, err := f.read(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID(), b.ID()))
	})
	return all, nil
}

// Find returns the session that was begun with a phrase, if there is one.
func (f Folder) Find(phrase lnc.Phrase) (s Session, ok bool, err error) {
	all, err := f.All()
	if err != nil {
		return s, false, err
	}
	at := slices.IndexFunc(all, func(s Session) bool { return s.meeting == meeting(phrase) })
	if at < 0 {
		return s, false, nil
	}
	return all[at], true, nil
}

// Remove deletes a session's keys: without them nobody can use it any more.
func (f Folder) Remove(id string) error {
	if _, err := f.Load(id); err != nil && fault.Code(err) != CodeCorrupt {
		return err
	}
	if err := os.Remove(f.path(id)); err != nil {
		return files.Fault(f.path(id), err)
	}
	if err := os.Remove(filepath.Join(string(f), id+lockSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.Fault(f.path(id), err)
	}
	return files.SyncDir(string(f))
}

// Dialer returns what connects to the session's node, and keeps in the folder
// what must be kept. s follows.
func (f Folder) Dialer(s *Session) *lnc.Dialer {
	return &lnc.Dialer{Mailbox: s.mailbox(), Phrase: s.Phrase, Identity: s.Identity, Persist: func(identity lnc.Identity) error {
		next := *s
		next.Identity = identity
		if identity.Confirmed {
			next.Phrase = lnc.Phrase{}
		}
		if err := f.Save(next); err != nil {
			return err
		}
		*s = next
		return nil
	}}
}

// Ephemeral is Dialer for a session that ends with it: nothing is kept but in
// s.
func Ephemeral(s *Session) *lnc.Dialer {
	return &lnc.Dialer{Mailbox: s.mailbox(), Phrase: s.Phrase, Identity: s.Identity, Persist: func(identity lnc.Identity) error {
		s.Identity = identity
		return nil
	}}
}

// Lock waits until no other process uses the session.
func (f Folder) Lock(ctx context.Context, id string) (unlock func(), err error) {
	return files.Lock(ctx, filepath.Join(string(f), id+lockSuffix))
}

func isID(id string) bool {
	return len(id) == 8 && strings.Trim(id, "0123456789abcdef") == ""
}

// Save keeps a session for good. One of another pairing is not replaced.
func (f Folder) Save(s Session) error {
	if before, err := f.read(s.ID()); err == nil && before.meeting != s.meeting {
		return fault.New(CodeCorrupt, "move "+f.path(s.ID())+" away", "another session has the id %s already", s.ID())
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := files.MkdirPrivate(string(f)); err != nil {
		return err
	}
	return files.Write(f.path(s.ID()), append(data, '\n'), 0o600)
}

func (f Folder) read(id string) (Session, error) {
	path := f.path(id)
	data, err := files.ReadSecret(path)
	if err != nil {
		return Session{}, err
	}
	var s Session
	if err := json.Unmarshal(data, &s); err != nil {
		return Session{}, fault.New(CodeCorrupt, "rm "+path+", then pair anew", "%s is damaged: %w", path, err)
	}
	if s.ID() != id {
		return Session{}, fault.New(CodeCorrupt, "rm "+path+", then pair anew", "%s is damaged: its keys are of another session", path)
	}
	return s, nil
}
