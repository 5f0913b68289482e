package noise

import (
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// FuzzReadAct gives the bytes to one of the states that read, of both patterns.
// Only the vectors' own acts, which have the same keys, may pass, whatever
// version they name.
func FuzzReadAct(f *testing.F) {
	v := loadVectors(f)
	genuine := map[string]bool{}
	for i, hv := range v.Handshakes {
		for at, act := range hv.Acts {
			f.Add(byte(i), byte(at), []byte(act.Bytes))
			f.Add(byte(i), byte(at), []byte{})
			genuine[string(act.Bytes[1:])] = true
		}
	}
	f.Fuzz(func(t *testing.T, which, state byte, raw []byte) {
		hv := v.Handshakes[int(which)%len(v.Handshakes)]
		at := int(state) % len(hv.Acts)
		client, server := v.sides(t, hv)
		advance(t, client, server, at)
		writer, reader := client, server
		if at%2 == 1 {
			writer, reader = server, client
		}
		if _, err := writer.WriteAct(); err != nil {
			t.Fatal(err)
		}
		before := reader.Remote()
		if err := reader.ReadAct(raw); err != nil {
			if reader.MyTurn() || reader.Done() || !same(before, reader.Remote()) {
				t.Fatal("a refused act has changed something")
			}
		} else if !genuine[string(raw[1:])] {
			t.Fatalf("act %d of %s is forged", at+1, hv.Name)
		}
	})
}

func same(a, b *btcec.PublicKey) bool {
	return a == b || (a != nil && b != nil && a.IsEqual(b))
}

// FuzzOpen gives the bytes to an opener as header and body.
func FuzzOpen(f *testing.F) {
	v := loadVectors(f)
	hv := v.Handshakes[0]
	hello := hv.Messages[0]
	f.Add([]byte(hello.Header), []byte(hello.Body))
	f.Add([]byte(hello.Header), []byte{})
	f.Add([]byte{}, []byte(hello.Body))
	f.Fuzz(func(t *testing.T, header, body []byte) {
		client, server := v.sides(t, hv)
		advance(t, client, server, len(hv.Acts))
		_, opener, err := server.Ciphers()
		if err != nil {
			t.Fatal(err)
		}
		n, err := opener.OpenHeader(header)
		if err == nil && (string(header) != string(hello.Header) || n != len(hello.Body)) {
			t.Fatal("the header is forged")
		}
		got, err := opener.OpenBody(nil, body)
		if err == nil && string(got) != string(hello.Plaintext) {
			t.Fatal("the body is forged")
		}
	})
}
