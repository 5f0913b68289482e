package guard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/front/macaroon"
)

// forge replaces a text in a macaroon by another of the same length.
func forge(t *testing.T, raw []byte, old, new string) []byte {
	t.Helper()
	forged := bytes.Replace(raw, []byte(old), []byte(new), 1)
	if bytes.Equal(forged, raw) {
		t.Fatal("nothing was altered")
	}
	return forged
}

// withoutCaveats cuts the caveats off and keeps the signature.
func withoutCaveats(t *testing.T, raw []byte) []byte {
	t.Helper()
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	// Version 2: 2, location (1), identifier (2), end, end of caveats, signature (6).
	field := func(out []byte, kind uint64, data []byte) []byte {
		out = binary.AppendUvarint(out, kind)
		out = binary.AppendUvarint(out, uint64(len(data)))
		return append(out, data...)
	}
	out := field([]byte{2}, 1, []byte(m.Location()))
	out = append(field(out, 2, m.Id()), 0, 0)
	out = field(out, 6, m.Signature())
	if parsed, err := macaroon.Parse(out); err != nil || len(parsed.Caveats()) != 0 {
		t.Fatalf("cut off: %v", err)
	}
	return out
}

func TestJudgeAddresses(t *testing.T) {
	cases := map[string]struct {
		caveats []string
		client  string
		ok      bool
	}{
		"ok/none":                  {client: "10.0.0.1", ok: true},
		"ok/others":                {caveats: []string{"time-before x", "lnd-custom ipaddr 1.2.3.4", "ipaddress 1.2.3.4"}, client: "10.0.0.1", ok: true},
		"ok/address":               {caveats: []string{"ipaddr 10.0.0.1"}, client: "10.0.0.1", ok: true},
		"ok/mapped address":        {caveats: []string{"ipaddr ::ffff:10.0.0.1"}, client: "10.0.0.1", ok: true},
		"ok/address v6":            {caveats: []string{"ipaddr 2001:db8::1"}, client: "2001:db8:0::1", ok: true},
		"ok/range":                 {caveats: []string{"iprange 10.0.0.0/8"}, client: "10.9.9.9", ok: true},
		"ok/mapped range":          {caveats: []string{"iprange ::ffff:10.0.0.0/104"}, client: "10.9.9.9", ok: true},
		"ok/both":                  {caveats: []string{"iprange 10.0.0.0/8", "ipaddr 10.0.0.1"}, client: "10.0.0.1", ok: true},
		"fail/other address":       {caveats: []string{"ipaddr 10.0.0.2"}, client: "10.0.0.1"},
		"fail/one of two":          {caveats: []string{"ipaddr 10.0.0.1", "ipaddr 10.0.0.2"}, client: "10.0.0.1"},
		"fail/no address":          {caveats: []string{"ipaddr localhost"}, client: "127.0.0.1"},
		"fail/empty address":       {caveats: []string{"ipaddr"}, client: "127.0.0.1"},
		"fail/space after address": {caveats: []string{"ipaddr 10.0.0.1 "}, client: "10.0.0.1"},
		"fail/out of range":        {caveats: []string{"iprange 10.0.0.0/8"}, client: "11.0.0.1"},
		"fail/no range":            {caveats: []string{"iprange 10.0.0.1"}, client: "10.0.0.1"},
		"fail/v6 in a v4 range":    {caveats: []string{"iprange 0.0.0.0/0"}, client: "2001:db8::1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var list []macaroon.Caveat
			for _, text := range c.caveats {
				list = append(list, macaroon.Caveat{Text: text})
			}
			if err := judgeAddresses(list, netip.MustParseAddr(c.client)); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
