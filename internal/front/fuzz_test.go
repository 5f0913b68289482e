package front

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
)

// FuzzFrames sends arbitrary bytes through the front and back, with and without a
// hook that reads them: they must come out as they went in.
func FuzzFrames(f *testing.F) {
	plain := newBed(f, nil)
	hooked := newBed(f, decide(Decision{Request: passOn, Response: passOn}))
	conns := []*grpc.ClientConn{plain.dial(f, ""), hooked.dial(f, "")}
	f.Add([]byte(nil))
	f.Add([]byte{0})
	f.Add([]byte{0x08, 0xff, 0x01})
	f.Add(bytes.Repeat([]byte{0xff}, 5000))
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, cc := range conns {
			var out []byte
			if err := cc.Invoke(testContext(t), "/fake/Echo", &msg, &out); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(msg, out) {
				t.Errorf("sent %x, got %x", msg, out)
			}
		}
	})
}

func passOn(_ context.Context, msg []byte) ([][]byte, error) { return [][]byte{msg}, nil }

// FuzzMacaroonHeader decodes arbitrary header values as lnd would: exactly one
// value, hex of either case. Errors must not quote it.
func FuzzMacaroonHeader(f *testing.F) {
	f.Add("0201036c6e64", "", 1)
	f.Add("0201036C6E64", "", 1)
	f.Add("secret, not hex", "", 1)
	f.Add("00", "00", 2)
	f.Add("", "", 0)
	f.Fuzz(func(t *testing.T, first, second string, n int) {
		values := []string{first, second}[:min(max(n, 0), 2)]
		raw, err := decodeMacaroon(values)
		switch {
		case len(values) == 0:
			if !errors.Is(err, ErrNoMacaroon) {
				t.Errorf("got %v", err)
			}
		case len(values) == 2:
			if !errors.Is(err, ErrManyMacaroons) {
				t.Errorf("got %v", err)
			}
		case err == nil:
			if !strings.EqualFold(hex.EncodeToString(raw), first) {
				t.Errorf("decoded %q to %x", first, raw)
			}
		case len(first) > 8 && strings.Contains(err.Error(), first):
			t.Errorf("error quotes the header: %v", err)
		}
	})
}
