package bakery

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	gomacaroon "gopkg.in/macaroon.v2"
)

var errAway = errors.New("lnd is away")

// now is the bakery's clock in tests.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fakeLnd bakes as lnd does: a root key for each id, made when first used.
type fakeLnd struct {
	lnrpc.LightningClient
	t  testing.TB
	mu sync.Mutex // of keys and made

	offered []string
	keys    map[uint64][]byte
	made    int // keys so far

	extra  []string // actions baked beyond what was asked for
	caveat string   // added to what is baked, if not empty
	wrong  uint64   // root key ids are off by that much
	doubts bool     // nothing is valid, without an error
	bakes  error    // the answer to BakeMacaroon
	forget error    // the answer to DeleteMacaroonID
}

func newFake(t testing.TB) *fakeLnd {
	f := &fakeLnd{t: t, keys: map[uint64][]byte{0: []byte("node's own")}}
	for _, r := range roles {
		f.offered = append(f.offered, r.Needs...)
	}
	f.offered = append(f.offered, "/lnrpc.Lightning/BakeMacaroon")
	return f
}

func (f *fakeLnd) bakery(dir string) *Bakery {
	return &Bakery{lnd: f, where: AtNode, book: book(dir), now: func() time.Time { return now }}
}

func (f *fakeLnd) ListPermissions(context.Context, *lnrpc.ListPermissionsRequest, ...grpc.CallOption) (*lnrpc.ListPermissionsResponse, error) {
	r := &lnrpc.ListPermissionsResponse{MethodPermissions: map[string]*lnrpc.MacaroonPermissionList{}}
	for _, method := range f.offered {
		r.MethodPermissions[method] = &lnrpc.MacaroonPermissionList{Permissions: []*lnrpc.MacaroonPermission{{Entity: "info", Action: "read"}}}
	}
	return r, nil
}

func (f *fakeLnd) ListMacaroonIDs(context.Context, *lnrpc.ListMacaroonIDsRequest, ...grpc.CallOption) (*lnrpc.ListMacaroonIDsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &lnrpc.ListMacaroonIDsResponse{RootKeyIds: slices.Collect(maps.Keys(f.keys))}, nil
}

func (f *fakeLnd) BakeMacaroon(_ context.Context, req *lnrpc.BakeMacaroonRequest, _ ...grpc.CallOption) (*lnrpc.BakeMacaroonResponse, error) {
	if f.bakes != nil {
		return nil, f.bakes
	}
	id := &lnrpc.MacaroonId{Nonce: []byte("nonce"), StorageId: []byte(strconv.FormatUint(req.GetRootKeyId()+f.wrong, 10))}
	for _, p := range req.GetPermissions() {
		id.Ops = append(id.Ops, &lnrpc.Op{Entity: p.GetEntity(), Actions: []string{p.GetAction()}})
	}
	for _, method := range f.extra {
		id.Ops = append(id.Ops, &lnrpc.Op{Entity: "uri", Actions: []string{method}})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys[req.GetRootKeyId()] == nil {
		f.made++
		f.keys[req.GetRootKeyId()] = fmt.Appendf(nil, "key %d", f.made)
	}
	raw := f.mint(id, f.keys[req.GetRootKeyId()])
	if f.caveat != "" {
		raw = constrain(f.t, raw, f.caveat)
	}
	return &lnrpc.BakeMacaroonResponse{Macaroon: hex.EncodeToString(raw)}, nil
}

func (f *fakeLnd) mint(id *lnrpc.MacaroonId, key []byte) []byte {
	text, err := proto.Marshal(id)
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := gomacaroon.New(key, append([]byte{3}, text...), "lnd", gomacaroon.V2)
	if err != nil {
		f.t.Fatal(err)
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

func (f *fakeLnd) DeleteMacaroonID(_ context.Context, req *lnrpc.DeleteMacaroonIDRequest, _ ...grpc.CallOption) (*lnrpc.DeleteMacaroonIDResponse, error) {
	if f.forget != nil {
		return nil, f.forget
	}
	if req.GetRootKeyId() == 0 {
		f.t.Error("root key 0 is to be deleted")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.keys[req.GetRootKeyId()]
	delete(f.keys, req.GetRootKeyId())
	return &lnrpc.DeleteMacaroonIDResponse{Deleted: ok}, nil
}

func (f *fakeLnd) CheckMacaroonPermissions(_ context.Context, req *lnrpc.CheckMacPermRequest, _ ...grpc.CallOption) (*lnrpc.CheckMacPermResponse, error) {
	if len(req.GetPermissions()) == 0 {
		f.t.Error("no permission is to be checked")
	}
	err := f.verify(req.GetMacaroon())
	return &lnrpc.CheckMacPermResponse{Valid: err == nil && !f.doubts}, err
}

// verify is the signature's check alone.
func (f *fakeLnd) verify(raw []byte) error {
	read, err := parse(raw)
	if err != nil {
		return err
	}
	key, ok := f.keys[read.rootKeyID]
	if !ok {
		return errors.New("cannot get macaroon root key")
	}
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return err
	}
	_, err = m.VerifySignature(key, nil)
	return err
}
