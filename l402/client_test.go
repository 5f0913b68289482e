package l402

import (
	"crypto/rand"
	"strings"
	"testing"
)

func TestClientNonces(t *testing.T) {
	n, err := NewClientNonce(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseClientNonce(n.String()); err != nil || got != n {
		t.Errorf("read %v (%v), want %v", got, err, n)
	}
	for name, s := range map[string]string{
		"empty": "", "short": n.String()[1:], "long": n.String() + "A", "padded": n.String() + "==",
		"alphabet": "+" + n.String()[1:], "line feed": n.String()[:21] + "\n", "spare bits": n.String()[:21] + "B",
	} {
		if _, err := ParseClientNonce(s); ReasonOf(err) != ReasonMalformed {
			t.Errorf("fail/%s: %v", name, err)
		}
	}
	if _, err := NewClientNonce(strings.NewReader("short")); err == nil {
		t.Error("made without randomness")
	}
}
