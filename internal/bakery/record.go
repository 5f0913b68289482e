package bakery

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Where macaroons are made, besides host:port.
const (
	AtNode   = "node"
	AtSigner = "signer"
)

// RevokeCommand is the command that revokes, at that place, what is named: a file
// or a root key.
func RevokeCommand(where, what string) string { return "leyden bake revoke " + what + flags(where) }

// flags lead to a place; "" to our node.
func flags(where string) string {
	switch where {
	case AtNode:
		return ""
	case AtSigner:
		return " --signer"
	}
	return " --rpcserver " + where + " --tlscertpath … --macaroonpath …"
}

// Record is what is remembered of a macaroon that was made. It holds no secret.
type Record struct {
	RootKeyID uint64 `json:"root_key_id,string"`

	// Role is a role's name, or custom.
	Role string `json:"role"`

	// Where says at which node: AtNode, AtSigner, or host:port.
	Where string `json:"where"`

	File    string     `json:"file"`
	Made    time.Time  `json:"made"`
	Expires *time.Time `json:"expires,omitempty"`

	// Digest is the SHA-256 of the macaroon, hex; "" while it is being made.
	Digest string `json:"digest,omitempty"`

	// Replaces is the root key that has yet to be deleted since this one took
	// its place; 0: none.
	Replaces uint64 `json:"replaces,string,omitempty"`
}

func (r Record) isOf(raw []byte) bool { return r.Digest == digest(raw) }

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// book keeps the records, a file each, named after the root key.
type book string

func (b book) path(id uint64) string {
	return filepath.Join(string(b), strconv.FormatUint(id, 10)+".json")
}

// lock keeps other processes from changing records, until unlock:
// write_failed.
func (b book) lock() (unlock func(), err error) {
	if err := files.MkdirPrivate(string(b)); err != nil {
		return nil, err
	}
	dir, err := os.Open(string(b))
	if err == nil {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fault.New("write_failed", "check the folder's owner and mode", "lock the records: %w", err)
	}
	return func() { dir.Close() }, nil
}

// put writes a record durably, under the lock: write_failed, disk_full.
func (b book) put(r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return files.Write(b.path(r.RootKeyID), append(data, '\n'), 0o600)
}

// get returns the record of a root key; ok is false if there is none.
func (b book) get(id uint64) (r Record, ok bool, err error) {
	data, err := os.ReadFile(b.path(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, false, nil
	case err == nil:
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.RootKeyID != id {
		err = errors.New("it is another root key's")
	}
	if err != nil {
		return Record{}, false, fault.New("bad_record", "remove it; the root key stays at the node",
			"record %q: %w", b.path(id), err)
	}
	return r, true, nil
}

func (b book) remove(id uint64) error {
	if err := os.Remove(b.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New("write_failed", "check the folder's owner and mode", "remove a record: %w", err)
	}
	return nil
}

// all returns every record, the oldest first.
func (b book) all() ([]Record, error) {
	entries, err := os.ReadDir(string(b))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("bad_record", "check the folder's owner and mode", "read the records: %w", err)
	}
	var found []Record
	for _, entry := range entries {
		id, err := strconv.ParseUint(strings.TrimSuffix(entry.Name(), ".json"), 10, 64)
		if err != nil || b.path(id) != filepath.Join(string(b), entry.Name()) {
			continue // not a record's name
		}
		r, ok, err := b.get(id)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Record) int { return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.RootKeyID, b.RootKeyID)) })
	return found, nil
}

// List returns what was made and not revoked, the oldest first: bad_record.
func List(dir string) ([]Record, error) { return book(dir).all() }
