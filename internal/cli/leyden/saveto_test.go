package leyden

import (
	"os"
	"path/filepath"
	"testing"

	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// macaroonWith is a macaroon with caveats, in binary.
func macaroonWith(t *testing.T, caveats ...string) []byte {
	t.Helper()
	m, err := gomacaroon.New([]byte("key"), []byte{3}, "lnd", gomacaroon.LatestVersion)
	if err != nil {
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

// TestSaveTo: where a new macaroon may be written, said before it is made.
func TestSaveTo(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"account": macaroonWith(t, "lnd-custom account 00112233aabbccdd"), "admin": macaroonWith(t), "text": []byte("notes"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]struct{ free, replaceable string }{
		"":                              {"", ""},
		filepath.Join(dir, "new"):       {"", ""},
		filepath.Join(dir, "account"):   {"file_exists", ""},
		filepath.Join(dir, "admin"):     {"file_exists", "file_exists"},
		filepath.Join(dir, "text"):      {"file_exists", "file_exists"},
		filepath.Join(dir, "none", "m"): {"write_failed", "write_failed"},
		dir:                             {"write_failed", "write_failed"},
	} {
		for how, c := range map[string]struct {
			check func(string) error
			code  string
		}{"free": {free, want.free}, "replaceable": {replaceable, want.replaceable}} {
			err := c.check(path)
			if c.code == "" && err != nil || c.code != "" && (fault.Code(err) != c.code || fault.Hint(err) == "") {
				t.Errorf("%s %q: %v, want %s", how, path, err, c.code)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestAccountIsNotLost: if the macaroon cannot be written after all, the error
// says which account is there and how to get another.
func TestAccountIsNotLost(t *testing.T) {
	app := &App{Out: os.Stdout}
	err := app.handOver(&leydenv1.Account{Id: "00112233aabbccdd"}, []byte{1}, filepath.Join(t.TempDir(), "none", "m"))
	if fault.Code(err) != "write_failed" || fault.Hint(err) != "leyden accounts macaroon 00112233aabbccdd --save_to FILE" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
