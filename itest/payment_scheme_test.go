package itest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/l402/mpp"
)

// TestPaymentScheme: a gate that offers both schemes, a buyer that prefers the
// one whose credential is good for one request.
func TestPaymentScheme(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gateWith(t, shop.GateOptions{Payment: true, Services: back.services()}), w.buyer(t)
	expect := w.payments(t)
	once := []string{"--prefer-scheme", "payment"}

	gets(t, buyer, answer("GET", "/a", ""), append(once, "-q", gate.URL+"/a")...)
	expect(1)
	r := lnget(t, buyer, done, append(once, "-v", gate.URL+"/a")...)
	if r.Stdout != answer("GET", "/a", "") || !strings.Contains(r.Stderr, "* receipt ") {
		t.Errorf("no receipt: %s", r)
	}
	expect(2)

	// Nothing is used up by an answer that is the seller's fault.
	back.broken.Store(true)
	lnget(t, buyer, failed, append(once, gate.URL+"/a")...)
	expect(3)
	back.broken.Store(false)
	gets(t, buyer, answer("GET", "/a", ""), append(once, "-q", gate.URL+"/a")...)
	expect(3)

	// The other scheme's token serves again.
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	gets(t, buyer, answer("GET", "/b", ""), "-q", gate.URL+"/b")
	expect(4)

	var tokens []struct {
		Scheme    string
		State     string
		SingleUse bool `json:"single_use"`
	}
	listed := lnget(t, buyer, done, "tokens", "list", "--json")
	if err := json.Unmarshal([]byte(listed.Stdout), &tokens); err != nil || len(tokens) != 4 {
		t.Fatalf("%d tokens, %v: %s", len(tokens), err, listed)
	}
	spent := 0
	for _, token := range tokens {
		if token.SingleUse && token.State == "spent" && token.Scheme == mpp.Scheme {
			spent++
		}
	}
	if spent != 3 {
		t.Errorf("%d spent credentials, want 3: %s", spent, listed)
	}
	if n := back.secrets.Load(); n != 0 {
		t.Errorf("%d requests carried the buyer's credential to the backend", n)
	}
}

// TestPaymentCredentialOpensOneDoor: once, and of the service it was sold for.
func TestPaymentCredentialOpensOneDoor(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate := w.gateWith(t, shop.GateOptions{Payment: true, Services: back.services()})
	value := w.payByHand(t, gate.URL+"/a")
	for _, try := range []struct {
		path string
		want int
	}{{"/dear", http.StatusPaymentRequired}, {"/a", http.StatusOK}, {"/a", http.StatusPaymentRequired}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gate.URL+try.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != try.want || (resp.Header.Get(mpp.HeaderReceipt) != "") != (try.want == http.StatusOK) {
			t.Errorf("%s: %s, receipt %q", try.path, resp.Status, resp.Header.Get(mpp.HeaderReceipt))
		}
	}
}

// payByHand pays what a URL asks for by the Payment scheme and returns the
// Authorization.
func (w *world) payByHand(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	challenges, err := mpp.ParseChallenges(resp.Header)
	if err != nil || len(challenges) != 1 {
		t.Fatalf("%d challenges, %v", len(challenges), err)
	}
	charge, err := challenges[0].Charge()
	if err != nil {
		t.Fatal(err)
	}
	preimage, err := lntypes.MakePreimageFromStr(payInvoice(t, w.buyerNode(), charge.Invoice))
	if err != nil {
		t.Fatal(err)
	}
	value, err := mpp.Credential{Challenge: challenges[0], Preimage: preimage}.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return value
}
