package macaroon_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/front/macaroon"
)

// withID makes a macaroon with the identifier.
func withID(t testing.TB, id string) *macaroon.Macaroon {
	t.Helper()
	m, err := gomacaroon.New([]byte("root key"), []byte(id), "lnd", gomacaroon.V2)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestRootKeyID(t *testing.T) {
	const nonce, ops = "\x0a\x02ab", "\x1a\x06\x0a\x04info"
	cases := map[string]struct {
		id   string
		want uint64
		bad  bool
	}{
		"ok/zero":                  {id: "\x03" + nonce + "\x12\x010" + ops},
		"ok/largest":               {id: "\x03" + nonce + "\x12\x1418446744073709551615" + ops, want: 18446744073709551615},
		"ok/several operations":    {id: "\x03" + nonce + "\x12\x0242" + ops + ops, want: 42},
		"fail/empty":               {bad: true},
		"fail/version 2":           {id: "\x02" + nonce + "\x12\x010" + ops, bad: true},
		"fail/no root key":         {id: "\x03" + nonce + ops, bad: true},
		"fail/empty root key":      {id: "\x03" + nonce + "\x12\x00" + ops, bad: true},
		"fail/two root keys":       {id: "\x03" + nonce + "\x12\x010\x12\x011" + ops, bad: true},
		"fail/the same twice":      {id: "\x03" + nonce + "\x12\x010\x12\x010" + ops, bad: true},
		"fail/leading zero":        {id: "\x03" + nonce + "\x12\x0201" + ops, bad: true},
		"fail/sign":                {id: "\x03" + nonce + "\x12\x02+1" + ops, bad: true},
		"fail/too large":           {id: "\x03" + nonce + "\x12\x1418446744073709551616" + ops, bad: true},
		"fail/not decimal":         {id: "\x03" + nonce + "\x12\x02a1" + ops, bad: true},
		"fail/space":               {id: "\x03" + nonce + "\x12\x021 " + ops, bad: true},
		"fail/other field":         {id: "\x03" + nonce + "\x12\x010" + "\x22\x01x", bad: true},
		"fail/field of other type": {id: "\x03" + nonce + "\x10\x01", bad: true},
		"fail/cut off":             {id: "\x03" + nonce + "\x12\x05 1", bad: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := withID(t, c.id).RootKeyID()
			if c.bad != errors.Is(err, macaroon.ErrRootKeyID) || got != c.want {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	const head = "\x03\x0a\x02ab\x12\x010"
	const info, offchain = "\x1a\x0c\x0a\x04info\x12\x04read", "\x1a\x17\x0a\x08offchain\x12\x04read\x12\x05write"
	cases := map[string]struct {
		id   string
		want []macaroon.Permission
		bad  bool
	}{
		"ok/none":              {id: head},
		"ok/some":              {id: head + info + offchain, want: []macaroon.Permission{{"info", "read"}, {"offchain", "read"}, {"offchain", "write"}}},
		"ok/entity last":       {id: head + "\x1a\x06\x12\x01r\x0a\x01i", want: []macaroon.Permission{{"i", "r"}}},
		"fail/no entity":       {id: head + "\x1a\x03\x12\x01r", bad: true},
		"fail/two entities":    {id: head + "\x1a\x09\x0a\x01a\x0a\x01b\x12\x01r", bad: true},
		"fail/other field":     {id: head + "\x1a\x03\x1a\x01r", bad: true},
		"fail/cut off":         {id: head + "\x1a\x03\x0a\x05r", bad: true},
		"fail/no root key":     {id: "\x03\x0a\x02ab" + info, bad: true},
		"fail/another version": {id: "\x02" + head[1:] + info, bad: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := withID(t, c.id).Permissions()
			if c.bad != errors.Is(err, macaroon.ErrRootKeyID) || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// FuzzRootKeyID checks that what is accepted is one canonical decimal number.
func FuzzRootKeyID(f *testing.F) {
	f.Add("\x03\x0a\x02ab\x12\x010\x1a\x06\x0a\x04info")
	f.Add("\x03\x12\x1418446744073709551615")
	f.Add("\x02")
	f.Fuzz(func(t *testing.T, id string) {
		got, err := withID(t, id).RootKeyID()
		if err != nil {
			return
		}
		field := "\x12" + string(rune(len(strconv.FormatUint(got, 10)))) + strconv.FormatUint(got, 10)
		if !strings.Contains(id, field) {
			t.Errorf("%q has no root key id %d", id, got)
		}
	})
}
