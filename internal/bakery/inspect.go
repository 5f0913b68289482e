package bakery

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// maxFile is more than any macaroon of lnd has, in bytes.
const maxFile = 1 << 20

// Report is what a macaroon says of itself. Nothing in it is verified: only the
// node can.
type Report struct {
	// Role is the role it equals before its caveats; "": none.
	Role string `json:"role,omitempty"`

	// RootKeyID is what it is revoked by; 0 never can be.
	RootKeyID uint64 `json:"root_key_id,string"`

	// Permissions as lncli has them: "offchain:read", "uri:/lnrpc.…".
	Permissions []string `json:"permissions"`

	// Can says in words what they allow; Warnings which of that is dangerous.
	Can      []string `json:"can"`
	Warnings []string `json:"warnings,omitempty"`

	Caveats []Caveat   `json:"caveats,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Account string     `json:"account,omitempty"`

	// Void means that a caveat can never be met, or not any more.
	Void bool `json:"void,omitempty"`
}

// Inspect reads a macaroon in binary form: bad_macaroon.
func Inspect(raw []byte, now time.Time) (Report, error) {
	m, err := parse(raw)
	if err != nil {
		return Report{}, err
	}
	r := Report{Role: RoleOf(m.permissions), RootKeyID: m.rootKeyID}
	for _, p := range m.permissions {
		r.Permissions = append(r.Permissions, p.Entity+":"+p.Action)
	}
	r.Can, r.Warnings = abilities(m.permissions)
	for _, c := range m.caveats {
		told, expires := explain(c, now)
		r.Caveats = append(r.Caveats, told)
		r.Void = r.Void || told.Void
		if !expires.IsZero() && (r.Expires == nil || expires.Before(*r.Expires)) {
			r.Expires = &expires
		}
	}
	id, ok, err := m.Account()
	switch {
	case err != nil:
		r.Void = true // the front refuses it
	case ok:
		r.Account, r.Warnings = id.String(), nil // the guard judges each call
	}
	return r, nil
}

// parsed is a macaroon of lnd's.
type parsed struct {
	*macaroon.Macaroon
	rootKeyID   uint64
	permissions []macaroon.Permission
	caveats     []macaroon.Caveat
}

func parse(raw []byte) (*parsed, error) {
	m, err := macaroon.Parse(raw)
	if err != nil {
		return nil, fault.New("bad_macaroon", "give a file that lnd or leyden has made", "%w", err)
	}
	b := &parsed{Macaroon: m, caveats: m.Caveats()}
	if b.rootKeyID, err = m.RootKeyID(); err == nil {
		b.permissions, err = m.Permissions()
	}
	if err != nil {
		return nil, fault.New("bad_macaroon", "give a file that lnd or leyden has made", "a macaroon, but none of lnd: %w", err)
	}
	return b, nil
}

// ReadFile reads a macaroon from a file, binary or in hex: bad_macaroon.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "read the macaroon: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "%q is no macaroon", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New("bad_macaroon", "check the file's owner and mode", "read the macaroon: %w", err)
	}
	if text, err := hex.DecodeString(strings.TrimSpace(string(raw))); err == nil {
		raw = text
	}
	if _, err := macaroon.Parse(raw); err != nil {
		return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "%q: %w", path, err)
	}
	return raw, nil
}

// abilities puts permissions into words: one phrase for all that say the same,
// in the order of the permissions.
func abilities(permissions []macaroon.Permission) (can, warnings []string) {
	said := make(map[string]bool)
	add := func(list *[]string, phrase string) {
		if phrase != "" && !said[phrase] {
			said[phrase] = true
			*list = append(*list, phrase)
		}
	}
	for _, p := range permissions {
		words, ok := phrases[p]
		switch {
		case ok:
		case p.Entity == uri:
			words.can = "call " + p.Action
		default:
			words.can = fmt.Sprintf("whatever lnd asks %s:%s for", p.Entity, p.Action)
		}
		add(&can, words.can)
		add(&warnings, words.warning)
	}
	return can, warnings
}
