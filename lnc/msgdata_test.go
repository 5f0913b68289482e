package lnc

import (
	"bytes"
	"testing"
)

func TestDecodeMsgData(t *testing.T) {
	for _, test := range []struct {
		name string
		msg  []byte
		want []byte // nil: an error
	}{
		{"ok/more behind", []byte{0, 0, 0, 0, 1, 7, 8, 9}, []byte{7}},
		{"ok/another version", []byte{9, 0, 0, 0, 1, 7}, []byte{7}},
		{"fail/nothing", nil, nil},
		{"fail/short header", []byte{0, 0, 0, 0}, nil},
		{"fail/short", []byte{0, 0, 0, 0, 2, 7}, nil},
		{"fail/huge", []byte{0, 0xff, 0xff, 0xff, 0xff, 7}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeMsgData(test.msg)
			if (err == nil) != (test.want != nil) || !bytes.Equal(got, test.want) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
}

func TestHeldBack(t *testing.T) {
	bad := map[int]bool{}
	for size := range 70_000 {
		if heldBack(size - dataHeader) {
			bad[size] = true
		}
	}
	for _, size := range []int{4093, 8189, 16*4096 - 3, 17*4096 - 5} {
		if !bad[size] {
			t.Errorf("%d is not held back", size)
		}
	}
	if len(bad) != 17 {
		t.Errorf("%d lengths are held back, want 17", len(bad))
	}
}

func FuzzMsgData(f *testing.F) {
	for _, v := range loadVectors(f).MsgData {
		f.Add([]byte(v.Bytes))
	}
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, msg []byte) {
		payload, err := decodeMsgData(msg)
		if err != nil {
			return
		}
		if again := encodeMsgData(payload); !bytes.Equal(again[1:], msg[1:len(again)]) {
			t.Fatalf("%x comes back as %x", msg, again)
		}
	})
}
