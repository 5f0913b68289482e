package bakery

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// CustomRole is recorded of a macaroon that has no role.
const CustomRole = "custom"

// maxRootKeyID keeps ids exact for programs that read JSON numbers as floats.
const maxRootKeyID = 1<<53 - 1

// cleanUp bounds what is undone after a failure.
const cleanUp = 10 * time.Second

// Bakery makes macaroons at one node.
type Bakery struct {
	lnd   lnrpc.LightningClient
	where string
	book  book
	now   func() time.Time
}

// New returns a bakery at the node that conn reaches with macaroon:generate,
// macaroon:read, macaroon:write and info:read. where names the node in records
// and errors; dir is the folder of the records.
func New(conn grpc.ClientConnInterface, where, dir string) *Bakery {
	return &Bakery{lnd: lnrpc.NewLightningClient(conn), where: where, book: book(dir), now: time.Now}
}

// Offer asks the node what it offers.
func (b *Bakery) Offer(ctx context.Context) (Offer, error) {
	r, err := b.lnd.ListPermissions(ctx, &lnrpc.ListPermissionsRequest{})
	if err != nil {
		return nil, err
	}
	return offerOf(r), nil
}

// Order is a macaroon to be made.
type Order struct {
	// Role is recorded.
	Role        string
	Permissions []macaroon.Permission
	Bounds      Bounds

	// RootKeyID must not be in use at the node; 0: a random one.
	RootKeyID uint64

	// File is where the macaroon goes, with mode 0600. It must not exist, unless
	// Overwrite allows to replace a macaroon.
	File      string
	Overwrite bool
}

// Baked is a macaroon that was made.
type Baked struct {
	Record

	// Overwrote is the root key of the macaroon that the file held before, which
	// still works; 0: none.
	Overwrote uint64
}

// Bake makes a macaroon and writes it. On an error there is neither file nor
// root key, or the error says which root key is left. Codes: file_exists, write_failed, disk_full,
// bad_bounds, root_key_in_use, and those of the connection.
func (b *Bakery) Bake(ctx context.Context, o Order) (made Baked, err error) {
	caveats, err := o.Bounds.Caveats(b.now())
	if err != nil {
		return Baked{}, err
	}
	r := Record{Role: o.Role, RootKeyID: o.RootKeyID}
	if !o.Bounds.Expires.IsZero() {
		expires := o.Bounds.Expires.UTC()
		r.Expires = &expires
	}
	if r.File, err = filepath.Abs(o.File); err != nil {
		return Baked{}, err
	}
	unlock, err := b.book.lock()
	if err != nil {
		return Baked{}, err
	}
	defer unlock()
	if made.Overwrote, err = vacant(r.File, o.Overwrite); err != nil {
		return Baked{}, err
	}
	made.Record, err = b.make(ctx, r, o.Permissions, caveats)
	return made, err
}

// make bakes and writes what the record says, after it is on disk.
func (b *Bakery) make(ctx context.Context, r Record, permissions []macaroon.Permission, caveats []string) (Record, error) {
	var err error
	if r.RootKeyID, err = b.freeRootKey(ctx, r.RootKeyID); err != nil {
		return Record{}, err
	}
	r.Where, r.Made = b.where, b.now().UTC()
	if err := b.book.put(r); err != nil {
		return Record{}, err
	}
	raw, err := b.ask(ctx, r.RootKeyID, permissions, caveats)
	if err == nil {
		r.Digest = digest(raw)
		err = b.book.put(r)
	}
	if err == nil {
		err = files.Write(r.File, raw, 0o600)
	}
	if err != nil {
		return Record{}, b.undo(ctx, r.RootKeyID, err)
	}
	return r, nil
}

// undo deletes the root key of a macaroon that came to nothing.
func (b *Bakery) undo(ctx context.Context, id uint64, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if _, err := b.lnd.DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{RootKeyId: id}); err != nil {
		return fault.New(fault.Code(cause), RevokeCommand(b.where, fmt.Sprintf("--root-key-id %d", id)),
			"%w; its root key may be left at the node", cause)
	}
	return errors.Join(cause, b.book.remove(id))
}

// freeRootKey returns an id that is not in use: the wanted one, or for 0 a
// random one.
func (b *Bakery) freeRootKey(ctx context.Context, wanted uint64) (uint64, error) {
	used, err := b.rootKeys(ctx)
	if err != nil {
		return 0, err
	}
	if wanted != 0 {
		if slices.Contains(used, wanted) {
			return 0, fault.New("root_key_in_use", "leave --root-key-id out",
				"root key %d is in use: revoking one of its macaroons would revoke them all", wanted)
		}
		r, recorded, err := b.book.get(wanted)
		if recorded && r.Where != b.where {
			err = fault.New("root_key_in_use", "leave --root-key-id out",
				"root key %d is that of a macaroon made at %s: the records would not tell them apart", wanted, r.Where)
		}
		return wanted, err
	}
	for {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		id := binary.BigEndian.Uint64(random[:]) & maxRootKeyID
		if id != 0 && !slices.Contains(used, id) {
			return id, nil
		}
	}
}

func (b *Bakery) rootKeys(ctx context.Context) ([]uint64, error) {
	r, err := b.lnd.ListMacaroonIDs(ctx, &lnrpc.ListMacaroonIDsRequest{})
	if err != nil {
		return nil, err
	}
	return r.GetRootKeyIds(), nil
}

// ask has the node bake, and takes nothing but what was asked for.
func (b *Bakery) ask(ctx context.Context, id uint64, permissions []macaroon.Permission, caveats []string) ([]byte, error) {
	req := &lnrpc.BakeMacaroonRequest{RootKeyId: id}
	for _, p := range permissions {
		req.Permissions = append(req.Permissions, &lnrpc.MacaroonPermission{Entity: p.Entity, Action: p.Action})
	}
	resp, err := b.lnd.BakeMacaroon(ctx, req)
	if err != nil {
		return nil, err
	}
	wrong := fault.New("node_error", "", "the node made another macaroon than it was asked for")
	raw, err := hex.DecodeString(resp.GetMacaroon())
	if err != nil {
		return nil, wrong
	}
	got, err := parse(raw)
	if err != nil || got.rootKeyID != id || len(got.caveats) > 0 || !same(got.permissions, permissions) {
		return nil, wrong
	}
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, wrong
	}
	for _, caveat := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(caveat)); err != nil {
			return nil, err
		}
	}
	return m.MarshalBinary()
}

// same compares sets of permissions.
func same(a, b []macaroon.Permission) bool {
	in := func(set []macaroon.Permission) func(macaroon.Permission) bool {
		return func(p macaroon.Permission) bool { return !slices.Contains(set, p) }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

// vacant says whether a macaroon may be written there. What is replaced must be
// a macaroon that can be revoked, not a node's own nor anything else; its root
// key is returned.
func vacant(path string, overwrite bool) (rootKeyID uint64, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir := filepath.Dir(path); !isDir(dir) {
			return 0, fault.New("write_failed", "mkdir -p "+dir, "write %q: no such folder", path)
		}
		return 0, nil
	case err != nil:
		return 0, fault.New("write_failed", "check the folder's owner and mode", "write %q: %w", path, err)
	case info.IsDir():
		return 0, fault.New("write_failed", "name a file in it", "%q is a folder", path)
	case !overwrite:
		return 0, fault.New("file_exists", "leyden bake rotate "+path+", or choose another --save-to", "there is a file %q already", path)
	}
	raw, err := ReadFile(path)
	if err == nil {
		var m *parsed
		if m, err = parse(raw); err == nil && m.rootKeyID != 0 {
			return m.rootKeyID, nil
		}
	}
	return 0, fault.New("file_exists", "choose another --save-to", "%q is no macaroon that can be revoked: it is not overwritten", path)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
