package gbn

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestPacket(t *testing.T) {
	for name, test := range map[string]struct {
		hex  string
		want packet
	}{
		"ok/syn":       {"0114", packet{kind: kindSYN, seq: 20}},
		"ok/synack":    {"06", packet{kind: kindSYNACK}},
		"ok/fin":       {"05", packet{kind: kindFIN}},
		"ok/ack 0":     {"0300", packet{kind: kindACK}},
		"ok/ack 20":    {"0314", packet{kind: kindACK, seq: 20}},
		"ok/nack":      {"0407", packet{kind: kindNACK, seq: 7}},
		"ok/data":      {"020301000102030a", packet{kind: kindDATA, seq: 3, final: true, payload: []byte{1, 2, 3, 10}}},
		"ok/not final": {"02040000ff", packet{kind: kindDATA, seq: 4, payload: []byte{255}}},
		"ok/ping":      {"02050001", packet{kind: kindDATA, seq: 5, ping: true}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := hex.DecodeString(test.hex)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.kind != test.want.kind || got.seq != test.want.seq || got.final != test.want.final ||
				got.ping != test.want.ping || !bytes.Equal(got.payload, test.want.payload) {
				t.Errorf("parsed %+v, want %+v", got, test.want)
			}
			if b := test.want.encode(); !bytes.Equal(b, raw) {
				t.Errorf("encoded %x, want %x", b, raw)
			}
		})
	}
	for name, raw := range map[string]string{
		"fail/empty":             "",
		"fail/unknown":           "0701",
		"fail/zero":              "00",
		"fail/syn cut short":     "01",
		"fail/ack cut short":     "03",
		"fail/nack cut short":    "04",
		"fail/data of 3 bytes":   "020001",
		"fail/data of 1 byte":    "02",
		"fail/ping with payload": "0205000101",
		"fail/final ping":        "02050101",
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := hex.DecodeString(raw)
			if p, err := parse(b); !errors.Is(err, ErrProtocol) {
				t.Errorf("parsed %+v, error %v", p, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"\x01\x14", "\x06", "\x05", "\x03\x00", "\x04\x07", "\x02\x03\x01\x00abc", "\x02\x05\x00\x01", "\x02\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parse(raw)
		if err != nil {
			return
		}
		again, err := parse(p.encode())
		if err != nil {
			t.Fatal(err)
		}
		if again.kind != p.kind || again.seq != p.seq || again.final != p.final || again.ping != p.ping ||
			!bytes.Equal(again.payload, p.payload) {
			t.Errorf("%+v became %+v", p, again)
		}
	})
}
