package l402

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretsCannotBePrinted looks for the bytes of a key and a preimage in
// everything that prints, logs or marshals.
func TestSecretsCannotBePrinted(t *testing.T) {
	ring := newKeyring(t)
	key, credential := ring.current, buy(t, ring)
	type inside struct {
		Key  MasterKey
		Cred Credential
		ring *Keyring
		key  MasterKey
	}
	in := inside{Key: key, Cred: credential, ring: ring, key: key}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for _, value := range []any{key, &key, credential, &credential, in, &in, ring, *ring, []MasterKey{key}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "key", key, "credential", credential, "inside", in)
	}
	text, err := json.Marshal(map[string]any{"key": key, "credential": credential, "inside": in, "id": key.ID()})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	out.WriteString(key.String() + key.GoString() + credential.String() + credential.GoString())
	if n := strings.Count(out.String(), secretText); n < 50 {
		t.Errorf("%q occurs %d times, want at least 50", secretText, n)
	}
	for _, secret := range [][]byte{key.secret().key[:], key.secret().prk, credential.Preimage[:]} {
		for _, form := range []string{
			fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), string(secret),
			strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%#v", secret[:4])[len("[]byte{"):],
		} {
			if strings.Contains(out.String(), strings.TrimSuffix(form, "}")) {
				t.Errorf("a secret was printed as %.8q…", form)
			}
		}
	}
}

func TestMasterKeys(t *testing.T) {
	a, err := NewMasterKey(bytes.NewReader(bytes.Repeat([]byte{1}, MasterKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewMasterKey(bytes.NewReader(bytes.Repeat([]byte{2}, MasterKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	again := mustKey(t, a.Reveal())
	if !a.Equal(again) || a.Equal(b) || a.Equal(MasterKey{}) || !(MasterKey{}).Equal(MasterKey{}) {
		t.Error("Equal is wrong")
	}
	if a.ID() != again.ID() || a.ID() == b.ID() || !(MasterKey{}).IsZero() || (MasterKey{}).Reveal() != "" {
		t.Error("ID, IsZero or Reveal is wrong")
	}
	for name, text := range map[string]string{
		"empty": "", "short": a.Reveal()[1:], "long": a.Reveal() + "0", "no hex": strings.Repeat("g", 64),
	} {
		if _, err := ParseMasterKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("fail/%s: %v", name, err)
		}
	}
	if _, err := NewMasterKey(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("a key without randomness: %v", err)
	}
	for name, keys := range map[string][]MasterKey{"zero": {{}}, "zero among others": {a, {}}, "twice": {a, b, again}} {
		if _, err := NewKeyring(keys[0], keys[1:]...); err == nil {
			t.Errorf("fail/%s: made a keyring", name)
		}
	}
}
