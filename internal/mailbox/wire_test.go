package mailbox

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// FuzzParseBox compares parseBox with what protobuf's own parser makes of the
// same bytes.
func FuzzParseBox(f *testing.F) {
	whole, err := proto.Marshal(&hashmailrpc.CipherBox{Desc: box64("a box"), Msg: []byte("hello")})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, append(whole, whole...), whole[:10], {0x12, 0x00}, {0x0a, 0x02, 0x18, 0x01}, {0x13, 0x14}, nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		want := new(hashmailrpc.CipherBox)
		wantErr := proto.Unmarshal(raw, want)
		desc, msg, err := parseBox(raw)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, protobuf's is %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if (desc == nil) != (want.GetDesc() == nil) || !bytes.Equal(desc.GetStreamId(), want.GetDesc().GetStreamId()) ||
			!bytes.Equal(msg, want.GetMsg()) {
			t.Errorf("got %v %x, protobuf has %v", desc, msg, want)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(frameOf(box64("a box"), "hello")))
	f.Add([]byte(`{"desc":{"streamId":"YQ"},"msg":"_-8"}`))
	f.Add([]byte(`{"desc":null,"msg":"*"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(hashmailrpc.CipherBox)
		if readJSON(raw, m) != nil {
			return
		}
		again := new(hashmailrpc.CipherBox)
		text := resultJSON(nil, m.GetDesc(), m.GetMsg())
		inner := text[len(`{"result":`) : len(text)-1]
		if err := readJSON(inner, again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !bytes.Equal(again.GetMsg(), m.GetMsg()) || !bytes.Equal(again.GetDesc().GetStreamId(), m.GetDesc().GetStreamId()) {
			t.Errorf("%v became %v", m, again)
		}
	})
}
