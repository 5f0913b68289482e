package noise

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

var testPassword = [32]byte{1, 2, 3}

func newKey(t testing.TB) *btcec.PrivateKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair returns both sides of a handshake with fresh keys.
func pair(t testing.TB, kk bool, auth []byte) (client, server *Handshake) {
	t.Helper()
	clientKeys := Keys{Static: newKey(t), Password: testPassword}
	serverKeys := Keys{Static: newKey(t), Password: testPassword, AuthData: auth}
	if kk {
		clientKeys.Remote, serverKeys.Remote = serverKeys.Static.PubKey(), clientKeys.Static.PubKey()
	}
	client, err := NewInitiator(clientKeys)
	if err != nil {
		t.Fatal(err)
	}
	server, err = NewResponder(serverKeys)
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// advance runs the first acts of a handshake.
func advance(t testing.TB, client, server *Handshake, acts int) {
	t.Helper()
	for act := range acts {
		writer, reader := client, server
		if act%2 == 1 {
			writer, reader = server, client
		}
		raw, err := writer.WriteAct()
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.ReadAct(raw); err != nil {
			t.Fatal(err)
		}
	}
}

func actsOf(kk bool) int {
	if kk {
		return len(patternKK.acts)
	}
	return len(patternXX.acts)
}

func TestHandshakeAuthData(t *testing.T) {
	for _, kk := range []bool{false, true} {
		for _, size := range []int{0, 1, 500, MaxAuthData} {
			auth := bytes.Repeat([]byte{7}, size)
			client, server := pair(t, kk, auth)
			advance(t, client, server, actsOf(kk))
			if !bytes.Equal(client.AuthData(), auth) {
				t.Errorf("KK %v: %d bytes of auth data arrived as %d", kk, size, len(client.AuthData()))
			}
		}
	}
	if _, err := NewResponder(Keys{Static: newKey(t), AuthData: make([]byte, MaxAuthData+1)}); err == nil {
		t.Error("auth data over the limit is taken")
	}
	if _, err := NewInitiator(Keys{}); err == nil {
		t.Error("a handshake without a key begins")
	}
}

// TestHandshakeRefusesWhatIsOutOfOrder asks both sides for every step that is
// not theirs, at every point, and for the right one afterwards.
func TestHandshakeRefusesWhatIsOutOfOrder(t *testing.T) {
	for _, kk := range []bool{false, true} {
		for at := 0; at <= actsOf(kk); at++ {
			for _, initiator := range []bool{true, false} {
				client, server := pair(t, kk, nil)
				advance(t, client, server, at)
				h, other := server, client
				if initiator {
					h, other = client, server
				}
				done, turn := at == actsOf(kk), h.MyTurn()
				if h.Done() != done || (done && turn) {
					t.Fatalf("KK %v after %d acts: done %v, turn %v", kk, at, h.Done(), turn)
				}
				if _, _, err := h.Ciphers(); (err == nil) != done {
					t.Errorf("KK %v after %d acts: ciphers %v", kk, at, err)
				}
				if _, _, err := h.Ciphers(); !errors.Is(err, ErrOutOfOrder) {
					t.Errorf("KK %v after %d acts: ciphers twice: %v", kk, at, err)
				}
				refuse(t, h, other, turn)
			}
		}
	}
}

// refuse does what h may not do now, and then what it might have done.
func refuse(t *testing.T, h, other *Handshake, turn bool) {
	t.Helper()
	var wrong error
	if turn {
		wrong = h.ReadAct(make([]byte, 50))
	} else {
		_, wrong = h.WriteAct()
	}
	if !errors.Is(wrong, ErrOutOfOrder) {
		t.Errorf("the wrong step gives %v", wrong)
	}
	if _, err := h.WriteAct(); !errors.Is(err, ErrDead) {
		t.Errorf("writing when dead gives %v", err)
	}
	if other.MyTurn() {
		raw, err := other.WriteAct()
		if err != nil {
			t.Fatal(err)
		}
		if err := h.ReadAct(raw); !errors.Is(err, ErrDead) {
			t.Errorf("reading when dead gives %v", err)
		}
	}
	if h.Done() || h.MyTurn() {
		t.Error("a dead handshake is done or goes on")
	}
	if _, _, err := h.Ciphers(); err == nil {
		t.Error("a dead handshake gives ciphers")
	}
}

// TestHandshakeNoticesEveryByte alters, cuts and lengthens every act.
func TestHandshakeNoticesEveryByte(t *testing.T) {
	for _, kk := range []bool{false, true} {
		for at := range actsOf(kk) {
			client, server := pair(t, kk, []byte("Macaroon: 00"))
			advance(t, client, server, at)
			writer, reader := client, server
			if at%2 == 1 {
				writer, reader = server, client
			}
			act, err := writer.WriteAct()
			if err != nil {
				t.Fatal(err)
			}
			fails := func(what string, altered []byte) {
				t.Helper()
				copied := *reader
				if reader.ephemeral != nil {
					ephemeral := *reader.ephemeral
					copied.ephemeral = &ephemeral
				}
				if err := copied.ReadAct(altered); err == nil {
					t.Errorf("KK %v: act %d with %s passes", kk, at+1, what)
				}
				if copied.Remote() != nil && !kk && copied.Remote() != reader.Remote() {
					t.Errorf("KK %v: act %d with %s gives a key", kk, at+1, what)
				}
			}
			for i := range act {
				altered := bytes.Clone(act)
				altered[i] ^= 0x80
				fails("a bit turned", altered)
				fails("its end cut", act[:i])
			}
			fails("a byte more", append(bytes.Clone(act), 0))
			if err := reader.ReadAct(act); err != nil {
				t.Errorf("KK %v: act %d unaltered: %v", kk, at+1, err)
			}
		}
	}
}

func TestHandshakeFailsForStrangers(t *testing.T) {
	t.Run("fail/another phrase", func(t *testing.T) {
		client, err := NewInitiator(Keys{Static: newKey(t), Password: [32]byte{9}})
		if err != nil {
			t.Fatal(err)
		}
		_, server := pair(t, false, nil)
		act, err := client.WriteAct()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.ReadAct(act); !errors.Is(err, ErrAuthentication) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("fail/another client key", func(t *testing.T) {
		_, server := pair(t, true, nil)
		client, err := NewInitiator(Keys{Static: newKey(t), Remote: server.keys.Static.PubKey()})
		if err != nil {
			t.Fatal(err)
		}
		act, err := client.WriteAct()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.ReadAct(act); !errors.Is(err, ErrAuthentication) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("fail/another server key", func(t *testing.T) {
		client, _ := pair(t, true, nil)
		server, err := NewResponder(Keys{Static: newKey(t), Remote: client.keys.Static.PubKey()})
		if err != nil {
			t.Fatal(err)
		}
		act, err := client.WriteAct()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.ReadAct(act); !errors.Is(err, ErrAuthentication) {
			t.Errorf("got %v", err)
		}
	})
}

// TestVersions follows section 4.4: a client of today takes version 2 alone.
func TestVersions(t *testing.T) {
	for _, test := range []struct {
		name     string
		min, max byte // of the server
		ok       bool
	}{
		{"ok/newest", 0, 2, true},
		{"fail/1", 0, 1, false},
		{"fail/0", 0, 0, false},
		{"fail/server wants more", 1, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, server := pair(t, false, nil)
			Versions(test.min, test.max)(server)
			act, err := client.WriteAct()
			if err != nil {
				t.Fatal(err)
			}
			if err = server.ReadAct(act); err == nil {
				act, err = server.WriteAct()
				if err == nil {
					err = client.ReadAct(act)
				}
			}
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("fail/auth data too long for version 0", func(t *testing.T) {
		client, server := pair(t, false, make([]byte, 499))
		Versions(0, 0)(server)
		advance(t, client, server, 1)
		if _, err := server.WriteAct(); err == nil {
			t.Error("499 bytes fit a block of 498")
		}
	})
}

// TestAuthDataOfAnotherLength has a node that tells a length other than that of
// what follows.
func TestAuthDataOfAnotherLength(t *testing.T) {
	for name, lengths := range map[string]struct {
		told uint32
		real int
	}{
		"fail/shorter": {9, 10}, "fail/longer": {11, 10}, "fail/huge": {1<<32 - 1, 10}, "ok": {10, 10},
		"fail/over the limit": {MaxAuthData + 1, MaxAuthData + 1},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, true, nil)
			advance(t, client, server, 1)
			act := []byte{server.version}
			var err error
			for _, token := range server.pattern.acts[1] {
				if act, err = server.writeToken(act, token); err != nil {
					t.Fatal(err)
				}
			}
			act = server.state.seal(act, binary.BigEndian.AppendUint32(nil, lengths.told))
			act = server.state.seal(act, make([]byte, lengths.real))
			err = client.ReadAct(act)
			if name == "ok" != (err == nil) || (err != nil && !errors.Is(err, ErrMalformed)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestKeysAreWiped(t *testing.T) {
	client, server := pair(t, false, nil)
	advance(t, client, server, 3)
	if _, _, err := client.Ciphers(); err != nil {
		t.Fatal(err)
	}
	if err := server.ReadAct(nil); err == nil {
		t.Fatal("a fourth act is read")
	}
	for _, h := range []*Handshake{client, server} {
		if h.state.key != [32]byte{} || h.state.chain != [32]byte{} || h.keys.Password != [32]byte{} ||
			!h.ephemeral.Key.IsZero() {
			t.Error("a secret is left")
		}
	}
}

func channel(t testing.TB) (*Sealer, *Opener) {
	t.Helper()
	client, server := pair(t, true, nil)
	advance(t, client, server, 2)
	sealer, _, err := client.Ciphers()
	if err != nil {
		t.Fatal(err)
	}
	_, opener, err := server.Ciphers()
	if err != nil {
		t.Fatal(err)
	}
	return sealer, opener
}

func TestRecordSizes(t *testing.T) {
	sealer, opener := channel(t)
	for _, size := range []int{0, 1, 4096, MaxPlaintext} {
		if record := roundTrip(t, sealer, opener, make([]byte, size)); len(record) != size+Overhead {
			t.Errorf("a record of %d bytes has %d", size, len(record))
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a plaintext over the limit is sealed")
		}
	}()
	sealer.Seal(nil, make([]byte, MaxPlaintext+1))
}

func TestRecordsOutOfOrder(t *testing.T) {
	open := func(o *Opener, record []byte) error {
		if _, err := o.OpenHeader(record[:HeaderSize]); err != nil {
			return err
		}
		_, err := o.OpenBody(nil, record[HeaderSize:])
		return err
	}
	for name, deed := range map[string]func(o *Opener, first, second []byte) error{
		"fail/header after header": func(o *Opener, first, _ []byte) error {
			if _, err := o.OpenHeader(first[:HeaderSize]); err != nil {
				return nil
			}
			_, err := o.OpenHeader(first[HeaderSize : 2*HeaderSize])
			if !errors.Is(err, ErrOutOfOrder) {
				return nil
			}
			return err
		},
		"fail/second record first": func(o *Opener, _, second []byte) error { return open(o, second) },
		"fail/a record twice": func(o *Opener, first, _ []byte) error {
			if err := open(o, first); err != nil {
				return nil
			}
			return open(o, first)
		},
		"fail/body before header": func(o *Opener, first, _ []byte) error {
			_, err := o.OpenBody(nil, first[HeaderSize:])
			return err
		},
		"fail/two headers": func(o *Opener, first, second []byte) error {
			_, err := o.OpenHeader(first[:HeaderSize])
			if err != nil {
				return nil
			}
			_, err = o.OpenHeader(second[:HeaderSize])
			return err
		},
		"fail/short header": func(o *Opener, first, _ []byte) error {
			_, err := o.OpenHeader(first[:HeaderSize-1])
			return err
		},
		"fail/long body": func(o *Opener, first, _ []byte) error {
			if _, err := o.OpenHeader(first[:HeaderSize]); err != nil {
				return nil
			}
			_, err := o.OpenBody(nil, append(first[HeaderSize:len(first):len(first)], 0))
			return err
		},
		"fail/altered body": func(o *Opener, first, _ []byte) error {
			first[HeaderSize] ^= 1
			return open(o, first)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sealer, opener := channel(t)
			// The first body could be taken for a header.
			first, second := sealer.Seal(nil, []byte("1.")), sealer.Seal(nil, []byte("second"))
			if deed(opener, first, second) == nil {
				t.Error("passes")
			}
			if _, err := opener.OpenHeader(first[:HeaderSize]); !errors.Is(err, ErrDead) {
				t.Errorf("afterwards: %v", err)
			}
			if _, err := opener.OpenBody(nil, first[HeaderSize:]); !errors.Is(err, ErrDead) {
				t.Errorf("afterwards: %v", err)
			}
			if opener.direction.key != [32]byte{} {
				t.Error("its key is left")
			}
		})
	}
}
