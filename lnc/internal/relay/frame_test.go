package relay

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

type frameVector struct {
	GBN  string `json:"gbn_hex"`
	JSON string `json:"send_json_compact"`
}

func vectorFrames(t testing.TB) []frameVector {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/lnc-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Message struct{ Header, Body frameVector } `json:"full_stack_first_message"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return []frameVector{v.Message.Header, v.Message.Body}
}

func TestVectorsFrames(t *testing.T) {
	for _, v := range vectorFrames(t) {
		packet, err := hex.DecodeString(v.GBN)
		if err != nil {
			t.Fatal(err)
		}
		var box struct {
			Desc struct {
				ID []byte `json:"stream_id"`
			} `json:"desc"`
		}
		if err := json.Unmarshal([]byte(v.JSON), &box); err != nil {
			t.Fatal(err)
		}
		if got := appendBoxFrame(nil, ID(box.Desc.ID), packet); string(got) != v.JSON {
			t.Errorf("frame\n%s, want\n%s", got, v.JSON)
		}
		got, err := parseBoxFrame([]byte(`{"result":` + v.JSON + `}`))
		if err != nil || !bytes.Equal(got, packet) {
			t.Errorf("read back %x, %v", got, err)
		}
	}
}

func TestParseFrames(t *testing.T) {
	for _, test := range []struct {
		name, frame string
		want        error // nil: any
	}{
		{"fail/not found", `{"error":{"code":2,"message":"stream not found","details":[]}}`, ErrNotFound},
		{"fail/occupied", `{"error":{"code":2,"message":"read stream occupied","details":[]}}`, ErrOccupied},
		{"fail/bare", `{"code":2,"message":"stream not found","details":[]}`, ErrNotFound},
		{"fail/cut by the relay", `{"error":{"code":13,"message":"stream terminated by RST_STREAM"}}`, nil},
		{"fail/empty", ``, nil},
		{"fail/not JSON", `{"result":`, nil},
		{"fail/null", `null`, nil},
		{"fail/two values", `{"result":{"msg":""}}{"result":{"msg":""}}`, nil},
		{"fail/not base64", `{"result":{"msg":"%"}}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseBoxFrame([]byte(test.frame))
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
				t.Errorf("a message gives %v", err)
			}
			err = parseSendFrame([]byte(test.frame))
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
				t.Errorf("where messages are sent: %v", err)
			}
		})
	}
	if _, err := parseBoxFrame(appendResult(make([]byte, maxMessage+1))); err == nil {
		t.Error("a message over the limit passes")
	}
	if msg, err := parseBoxFrame(appendResult(make([]byte, maxMessage))); err != nil || len(msg) != maxMessage {
		t.Errorf("a message at the limit: %v", err)
	}
}

func appendResult(msg []byte) []byte {
	return append(appendBoxFrame([]byte(`{"result":`), ID{}, msg), '}')
}

func FuzzFrames(f *testing.F) {
	for _, v := range vectorFrames(f) {
		f.Add([]byte(`{"result":` + v.JSON + `}`))
	}
	f.Add([]byte(`{"error":{"code":2,"message":"stream not found","details":[]}}`))
	f.Add([]byte(`{"code":2,"message":"stream occupied","details":[]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		msg, err := parseBoxFrame(frame)
		if err == nil {
			again, err := parseBoxFrame(appendResult(msg))
			if err != nil || !bytes.Equal(again, msg) {
				t.Fatalf("%x comes back as %x, %v", msg, again, err)
			}
		}
		if parseSendFrame(frame) == nil {
			t.Fatal("no error where only errors come")
		}
	})
}
