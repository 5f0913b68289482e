package fetchtest

import (
	"bytes"

	"gopkg.in/macaroon.v2"
)

// Macaroon makes a macaroon as lnd's bakery does, with the given caveats and
// permissions, each an entity and an action.
func Macaroon(caveats []string, ops ...[2]string) []byte {
	field := func(b *bytes.Buffer, number byte, value []byte) {
		b.WriteByte(number<<3 | 2)
		b.WriteByte(byte(len(value)))
		b.Write(value)
	}
	id := bytes.NewBuffer([]byte{3})
	field(id, 1, []byte("nonce"))
	field(id, 2, []byte("0"))
	for _, o := range ops {
		var b bytes.Buffer
		field(&b, 1, []byte(o[0]))
		field(&b, 2, []byte(o[1]))
		field(id, 3, b.Bytes())
	}
	m, err := macaroon.New([]byte("root"), id.Bytes(), "lnd", macaroon.V2)
	if err != nil {
		panic(err)
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			panic(err)
		}
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return raw
}
