package lnc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// vectors is the part of the vectors that this package answers for.
type vectors struct {
	Pairing []struct {
		Raw      hexBytes `json:"raw_entropy_hex"`
		Entropy  hexBytes `json:"entropy_from_words_hex"`
		Words    string   `json:"words"`
		Stretch  hexBytes `json:"scrypt_stretched_hex"`
		ToClient hexBytes `json:"server_to_client_sid_hex"`
		ToServer hexBytes `json:"client_to_server_sid_hex"`
	} `json:"pairing"`
	Static struct {
		Client   hexBytes `json:"client_static_priv_hex"`
		Server   hexBytes `json:"server_static_priv_hex"`
		ToClient hexBytes `json:"server_to_client_sid_hex"`
		ToServer hexBytes `json:"client_to_server_sid_hex"`
	} `json:"sid_from_static_keys"`
	MsgData []struct {
		Payload hexBytes `json:"payload_hex"`
		Bytes   hexBytes `json:"bytes_hex"`
	} `json:"msgdata"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*h = raw
	return err
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/lnc-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Pairing) != 4 || len(v.MsgData) != 3 {
		t.Fatalf("%d pairings and %d messages in the vectors", len(v.Pairing), len(v.MsgData))
	}
	return v
}

func TestVectorsPairing(t *testing.T) {
	for _, v := range loadVectors(t).Pairing {
		t.Run(v.Words, func(t *testing.T) {
			phrase, err := ParsePhrase(v.Words)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(phrase[:], v.Entropy) {
				t.Fatalf("entropy %x, want %x", phrase[:], v.Entropy)
			}
			if raw := Phrase(v.Raw); raw.Words() != v.Words {
				t.Errorf("words %q", raw.Words())
			}
			for name, p := range map[string]Phrase{"words": phrase, "raw": Phrase(v.Raw)} {
				toClient, toServer := p.StreamIDs()
				if !bytes.Equal(toClient[:], v.ToClient) || !bytes.Equal(toServer[:], v.ToServer) {
					t.Errorf("%s: streams %x and %x, want %x and %x", name, toClient[:], toServer[:], v.ToClient, v.ToServer)
				}
			}
			password, err := Phrase(v.Raw).Stretch(t.Context())
			if err != nil || !bytes.Equal(password[:], v.Stretch) {
				t.Errorf("stretched to %x (%v), want %x", password, err, v.Stretch)
			}
		})
	}
}

func TestVectorsStaticStreams(t *testing.T) {
	v := loadVectors(t).Static
	client, clientPublic := btcec.PrivKeyFromBytes(v.Client)
	server, serverPublic := btcec.PrivKeyFromBytes(v.Server)
	for name, ids := range map[string]func() (StreamID, StreamID){
		"client": func() (StreamID, StreamID) { return StaticStreamIDs(client, serverPublic) },
		"server": func() (StreamID, StreamID) { return StaticStreamIDs(server, clientPublic) },
	} {
		toClient, toServer := ids()
		if !bytes.Equal(toClient[:], v.ToClient) || !bytes.Equal(toServer[:], v.ToServer) {
			t.Errorf("%s: streams %x and %x, want %x and %x", name, toClient[:], toServer[:], v.ToClient, v.ToServer)
		}
	}
}

func TestVectorsMsgData(t *testing.T) {
	for _, v := range loadVectors(t).MsgData {
		if got := encodeMsgData(v.Payload); !bytes.Equal(got, v.Bytes) {
			t.Errorf("%x is encoded as %x, want %x", v.Payload, got, v.Bytes)
		}
		if got, err := decodeMsgData(v.Bytes); err != nil || !bytes.Equal(got, v.Payload) {
			t.Errorf("%x is decoded as %x, %v", v.Bytes, got, err)
		}
	}
}
