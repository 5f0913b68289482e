package gate

import (
	"fmt"
	"net/http"
	"testing"
)

// TestTokensNeedNoDatabase: with the database gone, what was bought passes,
// also when it is presented for the first time, and nothing is sold that could
// not be put on record.
func TestTokensNeedNoDatabase(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	used, fresh := buy(t, node, get(t, g, "/news/1")), buy(t, node, get(t, g, "/news/1"))
	if resp := get(t, g, "/news/1", used...); resp.StatusCode != http.StatusOK {
		t.Fatalf("a token: %d", resp.StatusCode)
	}
	if err := g.db.Close(); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g, "/news/1", used...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token that was used before: %d", resp.StatusCode)
	}
	if resp := get(t, g, "/news/1", fresh...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token that was not: %d", resp.StatusCode)
	}
	if resp := get(t, g, "/news/1"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("no token: %d", resp.StatusCode)
	}
}
