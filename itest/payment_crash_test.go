package itest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// paidCredential buys one request by hand.
func (w *world) paidCredential(t *testing.T, url string) mpp.Credential {
	t.Helper()
	resp := ask(t, url, "")
	found, err := mpp.ParseChallenges(resp.Header)
	if err != nil || len(found) != 1 {
		t.Fatalf("status %d, challenges %v, %v", resp.StatusCode, found, err)
	}
	charge, err := found[0].Charge()
	if err != nil {
		t.Fatal(err)
	}
	preimage, err := lntypes.MakePreimageFromStr(payInvoice(t, w.buyerNode(), charge.Invoice))
	if err != nil {
		t.Fatal(err)
	}
	return mpp.Credential{Challenge: found[0], Preimage: preimage}
}

// TestPaymentOutlivesACrash: a gate that is killed (-9) while its backend has
// the request gives the payment back, once; what was answered before stays
// used up.
func TestPaymentOutlivesACrash(t *testing.T) {
	w := theWorld(t)
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
		_, _ = io.WriteString(w, "goods") // the gate may be gone
	}))
	t.Cleanup(b.Close)
	g := w.gateWith(t, shop.GateOptions{Payment: true, Services: []shop.Service{{
		Name: "a", PathRegexp: "^/", Address: strings.TrimPrefix(b.URL, "http://"), Price: 100, Free: []string{"^" + shop.HealthPath + "$"},
	}}})
	header := func(c mpp.Credential) string {
		value, err := c.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	answered, cut := header(w.paidCredential(t, g.URL+"/x")), header(w.paidCredential(t, g.URL+"/x"))
	resp := ask(t, g.URL+"/x", answered)
	if _, ok, err := mpp.ParseReceipt(resp.Header); resp.StatusCode != http.StatusOK || !ok || err != nil {
		t.Fatalf("status %d, receipt %v, %v", resp.StatusCode, ok, err)
	}
	// An answer is on record soon after it began; when the gate has stopped in
	// order, certainly.
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(l402.HeaderAuthorization, cut)
	lost := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		lost <- err
	}()
	<-entered
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-lost; err == nil {
		t.Error("an answer from a gate that was killed")
	}
	close(leave)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		credential string
		want       []int
	}{
		"answered before":        {answered, []int{http.StatusPaymentRequired}},
		"cut short, and then no": {cut, []int{http.StatusOK, http.StatusPaymentRequired}},
	} {
		for _, want := range c.want {
			if resp := ask(t, g.URL+"/x", c.credential); resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", name, resp.StatusCode, want)
			}
		}
	}
}
