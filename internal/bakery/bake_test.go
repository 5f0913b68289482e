package bakery

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// kitchen is a fake node, a bakery at it and a folder for macaroons.
type kitchen struct {
	*Bakery
	lnd *fakeLnd
	dir string
}

func newKitchen(t *testing.T) kitchen {
	f, dir := newFake(t), t.TempDir()
	return kitchen{f.bakery(filepath.Join(dir, "records")), f, dir}
}

func (k kitchen) file(name string) string { return filepath.Join(k.dir, name) }

// order is for a macaroon that can pay.
func (k kitchen) order(t *testing.T, name string) Order {
	t.Helper()
	role, err := RoleNamed("pay-only")
	if err != nil {
		t.Fatal(err)
	}
	offer, err := k.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	permissions, err := Resolve(role, offer)
	if err != nil {
		t.Fatal(err)
	}
	return Order{Role: role.Name, Permissions: permissions, File: k.file(name)}
}

func (k kitchen) bake(t *testing.T, o Order) Record {
	t.Helper()
	made, err := k.Bake(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return made.Record
}

// good says whether the node accepts the macaroon.
func (k kitchen) good(raw []byte) bool { return k.lnd.verify(raw) == nil }

func read(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// expect compares the root keys at the node and the records with the wanted
// number of macaroons.
func (k kitchen) expect(t *testing.T, macaroons int) {
	t.Helper()
	records, err := List(string(k.book))
	if err != nil {
		t.Fatal(err)
	}
	if len(k.lnd.keys) != macaroons+1 || len(records) != macaroons {
		t.Errorf("%d root keys besides the node's own and %d records, want %d", len(k.lnd.keys)-1, len(records), macaroons)
	}
}

func TestBake(t *testing.T) {
	k := newKitchen(t)
	o := k.order(t, "pay.macaroon")
	o.Bounds = Bounds{Expires: now.Add(time.Hour)}
	made := k.bake(t, o)
	raw := read(t, made.File)
	if info, err := os.Stat(made.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if !k.good(raw) {
		t.Error("the node refuses it")
	}
	r, err := Inspect(raw, now)
	if err != nil {
		t.Fatal(err)
	}
	if r.Role != "pay-only" || r.RootKeyID != made.RootKeyID || r.RootKeyID == 0 || r.RootKeyID > maxRootKeyID ||
		!r.Expires.Equal(now.Add(time.Hour)) || r.Void || len(r.Caveats) != 1 {
		t.Errorf("%+v", r)
	}
	k.expect(t, 1)
	if record := string(read(t, k.book.path(made.RootKeyID))); !strings.Contains(record, `"pay-only"`) {
		t.Errorf("record %s", record)
	}
	second := k.bake(t, k.order(t, "other.macaroon"))
	if second.RootKeyID == made.RootKeyID {
		t.Error("two macaroons on one root key")
	}
	k.expect(t, 2)
}

func TestBakeRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*kitchen, *Order)
		code   string
		left   int
	}{
		"fail/file there":       {func(k *kitchen, o *Order) { o.File = k.file("there") }, "file_exists", 0},
		"fail/no macaroon":      {func(k *kitchen, o *Order) { o.File, o.Overwrite = k.file("there"), true }, "file_exists", 0},
		"fail/folder":           {func(k *kitchen, o *Order) { o.File = k.dir }, "write_failed", 0},
		"fail/no folder":        {func(k *kitchen, o *Order) { o.File = k.file("no/such/file") }, "write_failed", 0},
		"fail/expired":          {func(_ *kitchen, o *Order) { o.Bounds.Expires = now }, "bad_bounds", 0},
		"fail/root key in use":  {func(k *kitchen, o *Order) { k.lnd.keys[7], o.RootKeyID = []byte("k"), 7 }, "root_key_in_use", 1},
		"fail/more than asked":  {func(k *kitchen, _ *Order) { k.lnd.extra = []string{"/lnrpc.Lightning/SendCoins"} }, "node_error", 0},
		"fail/another root key": {func(k *kitchen, _ *Order) { k.lnd.wrong = 1 }, "node_error", 0},
		"fail/tied":             {func(k *kitchen, _ *Order) { k.lnd.caveat = "ipaddr 192.0.2.7" }, "node_error", 0},
		"fail/macaroon there":   {func(k *kitchen, o *Order) { o.File = k.file("other.macaroon") }, "file_exists", 0},
		"fail/lnd refuses":      {func(k *kitchen, _ *Order) { k.lnd.bakes = errAway }, fault.Internal, 0},
		"fail/file not written": {func(k *kitchen, o *Order) { o.File = k.file("locked/file") }, "write_failed", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			k := newKitchen(t)
			if err := os.WriteFile(k.file("there"), []byte("a key"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(k.file("other.macaroon"), k.lnd.mintAt("5", []byte("key")), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(k.file("locked"), 0o500); err != nil {
				t.Fatal(err)
			}
			if os.Getuid() == 0 && name == "fail/file not written" {
				t.Skip("root writes anywhere")
			}
			o := k.order(t, "new.macaroon")
			c.change(&k, &o)
			if _, err := k.Bake(t.Context(), o); fault.Code(err) != c.code {
				t.Errorf("got %v (%s), want %s", err, fault.Code(err), c.code)
			}
			records, err := List(string(k.book))
			if err != nil || len(records) != 0 || len(k.lnd.keys) != c.left+1 {
				t.Errorf("records %v, %v; root keys %v", records, err, k.lnd.keys)
			}
			if string(read(t, k.file("there"))) != "a key" {
				t.Error("a file was overwritten")
			}
			if _, err := os.Stat(k.file("new.macaroon")); err == nil {
				t.Error("there is a macaroon")
			}
		})
	}
}

// TestBakeLeavesARecordOfWhatItCannotUndo cuts lnd off in the middle.
func TestBakeLeavesARecordOfWhatItCannotUndo(t *testing.T) {
	k := newKitchen(t)
	k.lnd.bakes, k.lnd.forget = errAway, errAway
	_, err := k.Bake(t.Context(), k.order(t, "pay.macaroon"))
	if err == nil || !strings.HasPrefix(fault.Hint(err), "leyden bake revoke --root-key-id ") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	records, listErr := List(string(k.book))
	if listErr != nil || len(records) != 1 || !strings.HasSuffix(fault.Hint(err), "-id "+filepath.Base(strings.TrimSuffix(k.book.path(records[0].RootKeyID), ".json"))) {
		t.Errorf("records %v, %v", records, listErr)
	}
}

func TestOverwriteKeepsTheOldMacaroonGood(t *testing.T) {
	k := newKitchen(t)
	first := k.bake(t, k.order(t, "pay.macaroon"))
	old := read(t, first.File)
	o := k.order(t, "pay.macaroon")
	o.Overwrite = true
	made, err := k.Bake(t.Context(), o)
	if err != nil || made.Overwrote != first.RootKeyID || !k.good(old) || !k.good(read(t, made.File)) {
		t.Errorf("%+v, %v", made, err)
	}
	k.expect(t, 2)
	own := k.lnd.mintOwn()
	if err := os.WriteFile(k.file("admin.macaroon"), own, 0o600); err != nil {
		t.Fatal(err)
	}
	o.File = k.file("admin.macaroon")
	if _, err := k.Bake(t.Context(), o); fault.Code(err) != "file_exists" || !slices.Equal(read(t, o.File), own) {
		t.Errorf("the node's own macaroon is overwritten: %v", err)
	}
}

func TestWantedRootKey(t *testing.T) {
	k := newKitchen(t)
	o := k.order(t, "pay.macaroon")
	o.RootKeyID = 1<<64 - 1
	made := k.bake(t, o)
	r, err := Inspect(read(t, made.File), now)
	if err != nil || r.RootKeyID != o.RootKeyID {
		t.Errorf("%+v, %v", r, err)
	}
	records, err := List(string(k.book))
	if err != nil || len(records) != 1 || records[0].RootKeyID != o.RootKeyID {
		t.Errorf("%v, %v", records, err)
	}
}

func TestSame(t *testing.T) {
	a, b := macaroon.Permission{Entity: "a", Action: "x"}, macaroon.Permission{Entity: "b", Action: "x"}
	for name, c := range map[string]struct {
		x, y []macaroon.Permission
		want bool
	}{
		"ok/order":      {[]macaroon.Permission{a, b}, []macaroon.Permission{b, a}, true},
		"fail/more":     {[]macaroon.Permission{a, b}, []macaroon.Permission{a}, false},
		"fail/less":     {[]macaroon.Permission{a}, []macaroon.Permission{a, b}, false},
		"fail/nothing":  {nil, []macaroon.Permission{a}, false},
		"fail/another":  {[]macaroon.Permission{a}, []macaroon.Permission{b}, false},
		"ok/repetition": {[]macaroon.Permission{a, a}, []macaroon.Permission{a}, true},
	} {
		if same(c.x, c.y) != c.want {
			t.Error(name)
		}
	}
}
