package bakery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fault"
)

// Rotate puts a macaroon with a new root key, the same permissions and the same
// caveats in the file's place, and ends the old one. It starts from a macaroon
// that this bakery made, byte for byte, or with force from one that the node
// itself says is good: what a file merely claims is never granted. Codes:
// bad_macaroon, macaroon_expired, account_macaroon, root_key_zero, not_ours,
// unknown_root_key, old_macaroon_alive, and those of Bake.
func (b *Bakery) Rotate(ctx context.Context, file string, force bool) (Record, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return Record{}, err
	}
	unlock, err := b.book.lock()
	if err != nil {
		return Record{}, err
	}
	defer unlock()
	raw, m, err := rotatable(file)
	if err != nil {
		return Record{}, err
	}
	report, err := Inspect(raw, b.now())
	if err != nil {
		return Record{}, err
	}
	switch {
	case report.Account != "":
		return Record{}, fault.New("account_macaroon", "leyden accounts rotate "+report.Account+" --save_to FILE",
			"%q is an account's macaroon", file)
	case report.Void:
		return Record{}, fault.New("macaroon_expired", "leyden bake --role ROLE --save-to FILE",
			"%q has expired or can never be used: another one with its caveats would be no better", file)
	}
	old, err := b.known(ctx, raw, m.rootKeyID, force)
	if err != nil {
		return Record{}, err
	}
	if err := b.finish(ctx, old); err != nil {
		return Record{}, err
	}
	caveats := make([]string, len(m.caveats))
	for i, c := range m.caveats {
		caveats[i] = c.Text
	}
	role := report.Role
	if role == "" {
		role = CustomRole
	}
	made, err := b.make(ctx, Record{Role: role, File: file, Expires: report.Expires, Replaces: old.RootKeyID}, m.permissions, caveats)
	if err != nil {
		return Record{}, err
	}
	return made, b.finish(ctx, made)
}

func rotatable(file string) ([]byte, *parsed, error) {
	raw, err := ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	m, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if m.rootKeyID == 0 {
		return nil, nil, rootKeyZero()
	}
	return raw, m, nil
}

func rootKeyZero() error {
	return fault.New("root_key_zero", "bake one with leyden bake, which has a root key of its own",
		"root key 0 is the node's own macaroons', and cannot be revoked")
}

// known returns the record of the root key that a macaroon hangs on. One that
// the bakery did not make is taken on with force alone, and only if the node
// says that it is good.
func (b *Bakery) known(ctx context.Context, raw []byte, id uint64, force bool) (Record, error) {
	r, recorded, err := b.book.get(id)
	if err != nil {
		return Record{}, err
	}
	if recorded && r.Where != b.where && !force {
		return Record{}, b.unknown(id, r)
	}
	used, err := b.rootKeys(ctx)
	if err != nil {
		return Record{}, err
	}
	if !slices.Contains(used, id) {
		return Record{}, b.unknown(id, r)
	}
	if recorded && r.Where == b.where && r.isOf(raw) {
		return r, nil
	}
	if !force {
		return Record{}, b.notOurs(id)
	}
	m, err := parse(raw)
	if err != nil {
		return Record{}, err
	}
	req := &lnrpc.CheckMacPermRequest{Macaroon: raw}
	for _, p := range m.permissions {
		req.Permissions = append(req.Permissions, &lnrpc.MacaroonPermission{Entity: p.Entity, Action: p.Action})
	}
	resp, err := b.lnd.CheckMacaroonPermissions(ctx, req)
	if err == nil && !resp.GetValid() {
		err = errors.New("not valid")
	}
	if err != nil {
		return Record{}, fault.New("bad_macaroon", "bake a new one, and revoke this one's root key",
			"the node does not accept this macaroon from here: %w", err)
	}
	return Record{RootKeyID: id}, nil
}

func (b *Bakery) notOurs(id uint64) error {
	return fault.New("not_ours", "the same with --force, if all its macaroons shall end",
		"root key %d was not made by leyden bake for this: other macaroons may hang on it, or it is an account's", id)
}

func (b *Bakery) unknown(id uint64, r Record) error {
	hint := "give the node that made it: --signer, or --rpcserver with --tlscertpath and --macaroonpath"
	switch r.Where {
	case "", b.where:
	case AtNode:
		hint = "it was made at our node: leave --signer and --rpcserver out"
	default:
		hint = "it was made at " + r.Where + ": add" + flags(r.Where)
	}
	if r.Where != "" && r.Where != b.where {
		return fault.New("unknown_root_key", hint, "root key %d was made at another node than %s", id, b.where)
	}
	return fault.New("unknown_root_key", hint, "%s has no root key %d: it was revoked, or is another node's", b.where, id)
}

// finish ends what a rotation has replaced, also one that was cut short: the
// root key that r replaces, and those that were to replace r.
func (b *Bakery) finish(ctx context.Context, r Record) error {
	all, err := b.book.all()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Replaces == r.RootKeyID {
			if err := b.end(ctx, other.RootKeyID); err != nil {
				return err
			}
		}
	}
	if r.Replaces == 0 {
		return nil
	}
	if err := b.end(ctx, r.Replaces); err != nil {
		return fault.New("old_macaroon_alive", RevokeCommand(b.where, fmt.Sprintf("--force --root-key-id %d", r.Replaces)),
			"%q holds the new macaroon, but the old one still works: %w", r.File, err)
	}
	r.Replaces = 0
	return b.book.put(r)
}

// end deletes a root key, if it is there, and its record.
func (b *Bakery) end(ctx context.Context, id uint64) error {
	if _, err := b.lnd.DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{RootKeyId: id}); err != nil {
		return err
	}
	return b.book.remove(id)
}

// RevokeFile ends the macaroon in a file, and all others of its root key, whose
// id it returns. The file stays. One that the bakery did not make needs force.
// Codes: bad_macaroon, and those of Revoke.
func (b *Bakery) RevokeFile(ctx context.Context, file string, force bool) (uint64, error) {
	raw, m, err := rotatable(file)
	if err != nil {
		return 0, err
	}
	r, recorded, err := b.book.get(m.rootKeyID)
	if err != nil {
		return 0, err
	}
	if !force && !(recorded && r.isOf(raw)) {
		return 0, b.notOurs(m.rootKeyID)
	}
	return m.rootKeyID, b.Revoke(ctx, m.rootKeyID, force)
}

// Revoke ends all macaroons of a root key, also where somebody else has done so
// already, and those that they were to take the place of. One that the bakery did not
// make, at this node, needs force. Codes: root_key_zero, not_ours, unknown_root_key.
func (b *Bakery) Revoke(ctx context.Context, id uint64, force bool) error {
	if id == 0 {
		return rootKeyZero()
	}
	unlock, err := b.book.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, recorded, err := b.book.get(id)
	if err != nil {
		return err
	}
	here := recorded && r.Where == b.where
	switch {
	case !recorded && !force:
		return b.notOurs(id)
	case recorded && !here && !force:
		return b.unknown(id, r)
	}
	if here && r.Replaces != 0 {
		if err := b.end(ctx, r.Replaces); err != nil { // a rotation was cut short
			return err
		}
	}
	resp, err := b.lnd.DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{RootKeyId: id})
	if err != nil {
		return err
	}
	if !here {
		if !resp.GetDeleted() {
			return b.unknown(id, r)
		}
		return nil
	}
	return b.book.remove(id)
}
