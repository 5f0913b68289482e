package noise

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// vectors is the part of the vectors that this package answers for.
type vectors struct {
	Pairing []struct {
		Entropy hexBytes `json:"entropy_from_words_hex"`
		Stretch hexBytes `json:"scrypt_stretched_hex"`
	} `json:"pairing"`
	Static struct {
		Client hexBytes `json:"client_static_priv_hex"`
		Server hexBytes `json:"server_static_pub_hex"`
		ECDH   hexBytes `json:"ecdh_sha256_hex"`
	} `json:"sid_from_static_keys"`
	Spake2 struct {
		N         hexBytes `json:"N_hex"`
		Password  hexBytes `json:"pw_hex"`
		Ephemeral hexBytes `json:"ephemeral_pub_hex"`
		Masked    hexBytes `json:"masked_hex"`
	} `json:"spake2"`
	Handshakes []handshakeVector `json:"handshakes"`
}

type handshakeVector struct {
	Name            string     `json:"name"`
	Pattern         string     `json:"pattern"`
	Protocol        string     `json:"protocol_name"`
	Auth            string     `json:"auth_data"`
	Entropy         hexBytes   `json:"entropy_hex"`
	ClientStatic    hexBytes   `json:"client_static_priv_hex"`
	ServerStatic    hexBytes   `json:"server_static_priv_hex"`
	ClientEphemeral hexBytes   `json:"client_ephemeral_priv_hex"`
	ServerEphemeral hexBytes   `json:"server_ephemeral_priv_hex"`
	ClientMin       byte       `json:"client_min_version"`
	ClientMax       byte       `json:"client_max_version"`
	ServerMin       byte       `json:"server_min_version"`
	ServerMax       byte       `json:"server_max_version"`
	Version         byte       `json:"agreed_version"`
	Initial         stateCheck `json:"initial_state"`
	Acts            []struct {
		From  string     `json:"from"`
		Bytes hexBytes   `json:"bytes_hex"`
		After stateCheck `json:"state_after"`
	} `json:"acts"`
	ToServer hexBytes `json:"client_to_server_key_hex"`
	ToClient hexBytes `json:"server_to_client_key_hex"`
	Salt     hexBytes `json:"initial_rotation_salt_hex"`
	Messages []struct {
		Direction string   `json:"direction"`
		Header    hexBytes `json:"header_hex"`
		Body      hexBytes `json:"body_hex"`
		Plaintext hexBytes `json:"plaintext_hex"`
		Key       hexBytes `json:"sender_key_after_hex"`
		Salt      hexBytes `json:"sender_salt_after_hex"`
		Nonce     uint64   `json:"sender_nonce_after"`
	} `json:"transport_messages"`
}

type stateCheck struct {
	Hash  hexBytes `json:"h"`
	Chain hexBytes `json:"ck"`
	Key   hexBytes `json:"k"`
	Nonce uint64   `json:"nonce"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*h = raw
	return err
}

func (h hexBytes) private() *btcec.PrivateKey {
	key, _ := btcec.PrivKeyFromBytes(h)
	return key
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/lnc-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Handshakes) != 4 {
		t.Fatalf("%d handshakes in the vectors, want 4", len(v.Handshakes))
	}
	return v
}

func (v vectors) password(t testing.TB, entropy []byte) (password [32]byte) {
	t.Helper()
	for _, p := range v.Pairing {
		if bytes.Equal(p.Entropy, entropy) {
			copy(password[:], p.Stretch)
			return password
		}
	}
	t.Fatalf("no pairing of %x in the vectors", entropy)
	return password
}

func (v vectors) sides(t testing.TB, hv handshakeVector) (client, server *Handshake) {
	t.Helper()
	from := func(key hexBytes) Option {
		return Ephemeral(func() (*btcec.PrivateKey, error) { return key.private(), nil })
	}
	clientKeys := Keys{Static: hv.ClientStatic.private()}
	serverKeys := Keys{Static: hv.ServerStatic.private(), AuthData: []byte(hv.Auth)}
	if hv.Pattern == "KK" {
		clientKeys.Remote, serverKeys.Remote = serverKeys.Static.PubKey(), clientKeys.Static.PubKey()
	} else {
		password := v.password(t, hv.Entropy)
		clientKeys.Password, serverKeys.Password = password, password
	}
	client, err := NewInitiator(clientKeys, from(hv.ClientEphemeral), Versions(hv.ClientMin, hv.ClientMax))
	if err != nil {
		t.Fatal(err)
	}
	server, err = NewResponder(serverKeys, from(hv.ServerEphemeral), Versions(hv.ServerMin, hv.ServerMax))
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestVectorsHandshakes(t *testing.T) {
	v := loadVectors(t)
	for _, hv := range v.Handshakes {
		t.Run(hv.Name, func(t *testing.T) {
			client, server := v.sides(t, hv)
			if client.pattern.name != hv.Protocol {
				t.Fatalf("protocol name %q, want %q", client.pattern.name, hv.Protocol)
			}
			checkState(t, "initial client", client.state, hv.Initial)
			checkState(t, "initial server", server.state, hv.Initial)
			for i, act := range hv.Acts {
				writer, reader := client, server
				if act.From == "server" {
					writer, reader = server, client
				}
				raw, err := writer.WriteAct()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(raw, act.Bytes) {
					t.Fatalf("act %d is\n%x, want\n%x", i+1, raw, act.Bytes)
				}
				if err := reader.ReadAct(raw); err != nil {
					t.Fatal(err)
				}
				checkState(t, fmt.Sprintf("writer after act %d", i+1), writer.state, act.After)
				checkState(t, fmt.Sprintf("reader after act %d", i+1), reader.state, act.After)
			}
			if !client.Done() || !server.Done() {
				t.Fatal("all acts are over, and the handshake is not done")
			}
			if string(client.AuthData()) != hv.Auth {
				t.Errorf("auth data %q, want %q", client.AuthData(), hv.Auth)
			}
			if client.Version() != hv.Version || server.Version() != hv.Version {
				t.Errorf("versions %d and %d, want %d", client.Version(), server.Version(), hv.Version)
			}
			if !client.Remote().IsEqual(hv.ServerStatic.private().PubKey()) {
				t.Error("the client has another key of the server")
			}
			if !server.Remote().IsEqual(hv.ClientStatic.private().PubKey()) {
				t.Error("the server has another key of the client")
			}
			checkRecords(t, client, server, hv)
		})
	}
}

func checkState(t *testing.T, when string, got symmetric, want stateCheck) {
	t.Helper()
	if !bytes.Equal(got.hash[:], want.Hash) || !bytes.Equal(got.chain[:], want.Chain) ||
		!bytes.Equal(got.key[:], want.Key) || got.nonce != want.Nonce {
		t.Fatalf("%s:\nh %x\nck %x\nk %x\nn %d, want\nh %x\nck %x\nk %x\nn %d", when,
			got.hash, got.chain, got.key, got.nonce, want.Hash, want.Chain, want.Key, want.Nonce)
	}
}

// checkRecords sends the vectors' records and those between them, which have
// the text "msg" and their number, counted from 0 from the client.
func checkRecords(t *testing.T, client, server *Handshake, hv handshakeVector) {
	t.Helper()
	toServer, fromServer, err := client.Ciphers()
	if err != nil {
		t.Fatal(err)
	}
	toClient, fromClient, err := server.Ciphers()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(toServer.direction.key[:], hv.ToServer) || !bytes.Equal(toClient.direction.key[:], hv.ToClient) ||
		!bytes.Equal(toServer.direction.salt[:], hv.Salt) {
		t.Fatal("other keys than the vector's")
	}
	sent := 0
	for _, m := range hv.Messages {
		sealer, opener := toClient, fromServer
		if m.Direction == "client_to_server" {
			sealer, opener = toServer, fromClient
			for number := 0; sent > 1 && string(m.Plaintext) != fmt.Sprint("msg ", sent); number++ {
				if number > 1000 {
					t.Fatalf("record %q is out of reach", m.Plaintext)
				}
				roundTrip(t, sealer, opener, fmt.Appendf(nil, "msg %d", sent))
				sent++
			}
			sent++
		}
		record := roundTrip(t, sealer, opener, m.Plaintext)
		if !bytes.Equal(record, append(m.Header[:len(m.Header):len(m.Header)], m.Body...)) {
			t.Fatalf("record of %q is %x, want %x and %x", m.Plaintext, record, m.Header, m.Body)
		}
		d := sealer.direction
		if !bytes.Equal(d.key[:], m.Key) || !bytes.Equal(d.salt[:], m.Salt) || d.nonce != m.Nonce {
			t.Fatalf("after %q: key %x, salt %x, nonce %d; want %x, %x, %d", m.Plaintext, d.key, d.salt, d.nonce,
				m.Key, m.Salt, m.Nonce)
		}
	}
}

func roundTrip(t *testing.T, sealer *Sealer, opener *Opener, plaintext []byte) []byte {
	t.Helper()
	record := sealer.Seal(nil, plaintext)
	n, err := opener.OpenHeader(record[:HeaderSize])
	if err != nil {
		t.Fatal(err)
	}
	if HeaderSize+n != len(record) {
		t.Fatalf("the header tells of %d bytes, the body has %d", n, len(record)-HeaderSize)
	}
	got, err := opener.OpenBody(nil, record[HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, plaintext) {
		t.Fatalf("%q arrived as %q", plaintext, got)
	}
	return record
}

func TestVectorsMask(t *testing.T) {
	v := loadVectors(t)
	if !bytes.Equal(maskGenerator.SerializeCompressed(), v.Spake2.N) {
		t.Error("another N than the vector's")
	}
	var password [32]byte
	copy(password[:], v.Spake2.Password)
	ephemeral, err := btcec.ParsePubKey(v.Spake2.Ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	masked, err := mask(ephemeral, password)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(masked.SerializeCompressed(), v.Spake2.Masked) {
		t.Errorf("masked %x, want %x", masked.SerializeCompressed(), v.Spake2.Masked)
	}
	if back, err := unmask(masked, password); err != nil || !back.IsEqual(ephemeral) {
		t.Errorf("unmasked %v (%v)", back, err)
	}
	if _, err := unmask(maskOf(t, password), password); err == nil {
		t.Error("a mask of nothing passes")
	}
}

// maskOf returns the password's point itself.
func maskOf(t *testing.T, password [32]byte) *btcec.PublicKey {
	t.Helper()
	one := new(btcec.ModNScalar).SetInt(1)
	masked, err := mask(btcec.PrivKeyFromScalar(one).PubKey(), password) // G + P
	if err != nil {
		t.Fatal(err)
	}
	var sum, minus, result btcec.JacobianPoint
	masked.AsJacobian(&sum)
	btcec.ScalarBaseMultNonConst(new(btcec.ModNScalar).SetInt(1).Negate(), &minus)
	btcec.AddNonConst(&sum, &minus, &result)
	result.ToAffine()
	return btcec.NewPublicKey(&result.X, &result.Y)
}

func TestVectorsECDH(t *testing.T) {
	v := loadVectors(t)
	server, err := btcec.ParsePubKey(v.Static.Server)
	if err != nil {
		t.Fatal(err)
	}
	if got := ECDH(v.Static.Client.private(), server); !bytes.Equal(got[:], v.Static.ECDH) {
		t.Errorf("ECDH gives %x, want %x", got, v.Static.ECDH)
	}
}
