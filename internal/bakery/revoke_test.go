package bakery

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
)

// mintOwn makes the node's own admin macaroon.
func (f *fakeLnd) mintOwn() []byte {
	return f.mint(&lnrpc.MacaroonId{StorageId: []byte("0"), Ops: []*lnrpc.Op{{Entity: "macaroon", Actions: []string{"generate"}}}}, f.keys[0])
}

// mintAt makes one as lncli does, which the bakery does not know.
func (f *fakeLnd) mintAt(id string, key []byte, caveats ...string) []byte {
	raw := f.mint(&lnrpc.MacaroonId{StorageId: []byte(id), Ops: []*lnrpc.Op{{Entity: "offchain", Actions: []string{"read", "write"}}}}, key)
	return constrain(f.t, raw, caveats...)
}

func constrain(t testing.TB, raw []byte, caveats ...string) []byte {
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRotate(t *testing.T) {
	k := newKitchen(t)
	o := k.order(t, "pay.macaroon")
	bounds, err := ParseBounds("192.0.2.7", "192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	o.Bounds = bounds
	o.Bounds.Expires = now.Add(time.Hour)
	first := k.bake(t, o)
	old := read(t, first.File)
	made, err := k.Rotate(t.Context(), first.File, false)
	if err != nil {
		t.Fatal(err)
	}
	raw := read(t, first.File)
	if k.good(old) || !k.good(raw) || made.RootKeyID == first.RootKeyID || made.Role != "pay-only" || !made.Expires.Equal(*first.Expires) {
		t.Errorf("old %v, new %v, %+v", k.good(old), k.good(raw), made)
	}
	was, err := Inspect(old, now)
	if err != nil {
		t.Fatal(err)
	}
	is, err := Inspect(raw, now)
	if err != nil || !slices.Equal(was.Caveats, is.Caveats) || !slices.Equal(was.Permissions, is.Permissions) || len(is.Caveats) != 3 {
		t.Errorf("%+v became %+v, %v", was, is, err)
	}
	k.expect(t, 1)
	if records, err := List(string(k.book)); err != nil || records[0].Replaces != 0 {
		t.Errorf("%+v, %v", records, err)
	}
}

func TestRotateRefused(t *testing.T) {
	five := []byte("key five")
	cases := map[string]struct {
		file  func(*kitchen) []byte
		force bool
		code  string
	}{
		"fail/node's own": {func(k *kitchen) []byte { return k.lnd.mintOwn() }, true, "root_key_zero"},
		"fail/account":    {func(k *kitchen) []byte { return k.lnd.mintAt("5", five, "lnd-custom account 0123456789abcdef") }, true, "account_macaroon"},
		"fail/expired":    {func(k *kitchen) []byte { return k.lnd.mintAt("5", five, "time-before 2020-01-01T00:00:00Z") }, true, "macaroon_expired"},
		"fail/odd caveat": {func(k *kitchen) []byte { return k.lnd.mintAt("5", five, "phase-of-moon full") }, true, "macaroon_expired"},
		"fail/elsewhere":  {func(k *kitchen) []byte { return k.lnd.mintAt("6", five) }, true, "unknown_root_key"},
		"fail/not ours":   {func(k *kitchen) []byte { return k.lnd.mintAt("5", five) }, false, "not_ours"},
		"fail/forged":     {func(k *kitchen) []byte { return k.lnd.mintAt("5", []byte("another key")) }, true, "bad_macaroon"},
		"fail/doubted":    {func(k *kitchen) []byte { k.lnd.doubts = true; return k.lnd.mintAt("5", five) }, true, "bad_macaroon"},
		"fail/rubbish":    {func(*kitchen) []byte { return []byte("rubbish") }, true, "bad_macaroon"},
		"ok/forced":       {func(k *kitchen) []byte { return k.lnd.mintAt("5", five) }, true, ""},
		"ok/forced, tied": {func(k *kitchen) []byte { return k.lnd.mintAt("5", five, "ipaddr 192.0.2.7") }, true, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			k := newKitchen(t)
			k.lnd.keys[5] = five
			before := c.file(&k)
			if err := os.WriteFile(k.file("a.macaroon"), before, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := k.Rotate(t.Context(), k.file("a.macaroon"), c.force)
			if fault.Code(err) != c.code {
				t.Fatalf("got %v (%s), want %q", err, fault.Code(err), c.code)
			}
			changed := !bytes.Equal(read(t, k.file("a.macaroon")), before)
			if changed != (c.code == "") || (k.lnd.keys[5] == nil) != (c.code == "") {
				t.Errorf("changed: %v, root keys: %v", changed, k.lnd.keys)
			}
		})
	}
}

// TestRotateGrantsNoClaim rotates a file whose root key is ours, but whose
// content somebody else has written.
func TestRotateGrantsNoClaim(t *testing.T) {
	k := newKitchen(t)
	made := k.bake(t, k.order(t, "pay.macaroon"))
	claim := k.lnd.mint(&lnrpc.MacaroonId{StorageId: k.rootKey(made), Ops: []*lnrpc.Op{{Entity: "macaroon", Actions: []string{"generate"}}}}, []byte("guessed"))
	if err := os.WriteFile(made.File, claim, 0o600); err != nil {
		t.Fatal(err)
	}
	for force, code := range map[bool]string{false: "not_ours", true: "bad_macaroon"} {
		if _, err := k.Rotate(t.Context(), made.File, force); fault.Code(err) != code {
			t.Errorf("force %v: %v, want %s", force, err, code)
		}
	}
	k.expect(t, 1)
}

func (k kitchen) rootKey(r Record) []byte {
	return []byte(strings.TrimSuffix(strings.TrimPrefix(k.book.path(r.RootKeyID), string(k.book)+"/"), ".json"))
}

// TestRotateCutShort repeats a rotation that lnd or a crash has interrupted.
func TestRotateCutShort(t *testing.T) {
	t.Run("lnd away before the old one ended", func(t *testing.T) {
		k := newKitchen(t)
		first := k.bake(t, k.order(t, "pay.macaroon"))
		old := read(t, first.File)
		k.lnd.forget = errAway
		_, err := k.Rotate(t.Context(), first.File, false)
		if fault.Code(err) != "old_macaroon_alive" || !k.good(old) || !k.good(read(t, first.File)) {
			t.Fatalf("got %v", err)
		}
		k.lnd.forget = nil
		if _, err := k.Rotate(t.Context(), first.File, false); err != nil {
			t.Fatal(err)
		}
		if k.good(old) {
			t.Error("the old macaroon still works")
		}
		k.expect(t, 1)
	})
	t.Run("killed before the old one ended, then revoked", func(t *testing.T) {
		k := newKitchen(t)
		first := k.bake(t, k.order(t, "pay.macaroon"))
		old := read(t, first.File)
		k.lnd.forget = errAway
		if _, err := k.Rotate(t.Context(), first.File, false); fault.Code(err) != "old_macaroon_alive" {
			t.Fatalf("got %v", err)
		}
		k.lnd.forget = nil
		if _, err := k.RevokeFile(t.Context(), first.File, false); err != nil {
			t.Fatal(err)
		}
		if k.good(old) || k.good(read(t, first.File)) {
			t.Error("one of them still works")
		}
		k.expect(t, 0)
	})
	t.Run("killed before the file was written", func(t *testing.T) {
		k := newKitchen(t)
		first := k.bake(t, k.order(t, "pay.macaroon"))
		old := read(t, first.File)
		orphan := Record{RootKeyID: 99, Replaces: first.RootKeyID, File: first.File}
		if err := k.book.put(orphan); err != nil {
			t.Fatal(err)
		}
		k.lnd.keys[99] = []byte("orphan")
		if _, err := k.Rotate(t.Context(), first.File, false); err != nil {
			t.Fatal(err)
		}
		if k.good(old) || !k.good(read(t, first.File)) {
			t.Error("the wrong macaroon works")
		}
		k.expect(t, 1)
	})
}

// TestRotateAtOnce has several operators rotate one file: each rotation starts
// from the one before.
func TestRotateAtOnce(t *testing.T) {
	k := newKitchen(t)
	first := k.bake(t, k.order(t, "pay.macaroon"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := k.Rotate(t.Context(), first.File, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !k.good(read(t, first.File)) {
		t.Error("the file's macaroon does not work")
	}
	k.expect(t, 1)
}

func TestRevoke(t *testing.T) {
	k := newKitchen(t)
	made, other := k.bake(t, k.order(t, "a.macaroon")), k.bake(t, k.order(t, "b.macaroon"))
	if id, err := k.RevokeFile(t.Context(), made.File, false); err != nil || id != made.RootKeyID {
		t.Fatalf("%d, %v", id, err)
	}
	if k.good(read(t, made.File)) || !k.good(read(t, other.File)) {
		t.Error("the wrong macaroon works")
	}
	k.expect(t, 1)
	if _, err := k.RevokeFile(t.Context(), made.File, false); fault.Code(err) != "not_ours" {
		t.Errorf("again: %v", err)
	}
	if _, err := k.RevokeFile(t.Context(), made.File, true); fault.Code(err) != "unknown_root_key" {
		t.Errorf("again by force: %v", err)
	}
	if err := k.Revoke(t.Context(), 0, true); fault.Code(err) != "root_key_zero" {
		t.Errorf("root key 0: %v", err)
	}
	k.lnd.keys[5] = []byte("an account's")
	if err := k.Revoke(t.Context(), 5, false); fault.Code(err) != "not_ours" || k.lnd.keys[5] == nil {
		t.Errorf("root key 5: %v", err)
	}
	if err := k.Revoke(t.Context(), 5, true); err != nil || k.lnd.keys[5] != nil {
		t.Errorf("root key 5 by force: %v", err)
	}
	delete(k.lnd.keys, other.RootKeyID) // by somebody else
	if err := k.Revoke(t.Context(), other.RootKeyID, false); err != nil {
		t.Error(err)
	}
	k.expect(t, 0)
}

func TestRevokeAtAnotherNode(t *testing.T) {
	k := newKitchen(t)
	made := k.bake(t, k.order(t, "a.macaroon"))
	elsewhere := newFake(t).bakery(string(k.book))
	elsewhere.where = AtSigner
	for name, act := range map[string]func() error{
		"revoke": func() error { return elsewhere.Revoke(t.Context(), made.RootKeyID, false) },
		"rotate": func() error { _, err := elsewhere.Rotate(t.Context(), made.File, false); return err },
	} {
		if err := act(); fault.Code(err) != "unknown_root_key" || !strings.Contains(fault.Hint(err), "made at our node") {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
	k.expect(t, 1)
}

// TestOneRootKeyAtTwoNodes has another node with a root key of the same id, on which
// somebody else's macaroons hang.
func TestOneRootKeyAtTwoNodes(t *testing.T) {
	k := newKitchen(t)
	o := k.order(t, "a.macaroon")
	o.RootKeyID = 7
	made := k.bake(t, o)
	other := newFake(t)
	elsewhere := other.bakery(string(k.book))
	elsewhere.where = "192.0.2.7:10009"
	o.File = k.file("b.macaroon")
	if _, err := elsewhere.Bake(t.Context(), o); fault.Code(err) != "root_key_in_use" || other.keys[7] != nil {
		t.Errorf("baked: %v", err)
	}
	other.keys[7] = []byte("an account's")
	for name, act := range map[string]func() error{
		"by id":   func() error { return elsewhere.Revoke(t.Context(), 7, false) },
		"by file": func() error { _, err := elsewhere.RevokeFile(t.Context(), made.File, false); return err },
		"rotated": func() error { _, err := elsewhere.Rotate(t.Context(), made.File, false); return err },
		"forced":  func() error { _, err := elsewhere.Rotate(t.Context(), made.File, true); return err },
	} {
		if err := act(); err == nil || other.keys[7] == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := elsewhere.Revoke(t.Context(), 7, true); err != nil || other.keys[7] != nil {
		t.Errorf("by force: %v", err)
	}
	if !k.good(read(t, made.File)) {
		t.Error("the macaroon of our node is revoked")
	}
	k.expect(t, 1)
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	k := newKitchen(t)
	made := k.bake(t, k.order(t, "a.macaroon"))
	for _, text := range []string{"", "{", `{"root_key_id":"1"}`} {
		if err := os.WriteFile(k.book.path(made.RootKeyID), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.RevokeFile(t.Context(), made.File, false); fault.Code(err) != "bad_record" {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := List(string(k.book)); fault.Code(err) != "bad_record" {
			t.Errorf("%q: %v", text, err)
		}
	}
	if !k.good(read(t, made.File)) {
		t.Error("revoked all the same")
	}
}
