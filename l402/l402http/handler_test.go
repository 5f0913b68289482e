package l402http_test

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

type body struct {
	Error struct{ Code, Message string }
	Price uint64 `json:"price_msat"`
}

func read(t *testing.T, resp *http.Response) body {
	t.Helper()
	var b body
	if err := json.NewDecoder(resp.Body).Decode(&b); err != nil {
		t.Fatalf("body of %d: %v", resp.StatusCode, err)
	}
	return b
}

func TestChallenge(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	resp := ask(s.sells(t, "weather", 0), alice)
	if resp.StatusCode != http.StatusPaymentRequired || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, Cache-Control %q", resp.StatusCode, resp.Header.Get("Cache-Control"))
	}
	lines := resp.Header.Values("Www-Authenticate")
	challenges, err := l402.ParseChallenges(resp.Header)
	if err != nil || len(challenges) != 2 || len(lines) != 2 {
		t.Fatalf("%q: %v", lines, err)
	}
	both := ` macaroon="` + challenges[0].Tokens[0].Base64() + `", invoice="lnbcrt1"`
	if lines[0] != "LSAT"+both || lines[1] != "L402"+both+`, version="0", token="`+challenges[0].Tokens[0].Base64()+`"` {
		t.Errorf("lines %q", lines)
	}
	b := read(t, resp)
	if b.Error.Code != "payment_required" || b.Price != 100_000 || !strings.Contains(b.Error.Message, "100 sat") {
		t.Errorf("body %+v", b)
	}
	if len(s.backend.seen) != 0 {
		t.Error("the backend saw an unpaid request")
	}
}

func TestPaid(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	h := s.sells(t, "weather", 0)
	paid := s.node.pay(t, ask(h, alice))
	for name, headers := range map[string][]string{
		"L402":                {"Authorization", paid.Authorization(l402.SchemeL402)},
		"LSAT":                {"Authorization", paid.Authorization(l402.SchemeLSAT)},
		"second of two lines": {"Authorization", "LSAT AAAA:" + strings.Repeat("0", 64), "Authorization", paid.Authorization(l402.SchemeL402)},
	} {
		for range 2 {
			resp := ask(h, alice, headers...)
			if got, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(got) != "goods" {
				t.Errorf("%s: %d %s", name, resp.StatusCode, got)
			}
		}
	}
	if s.seller.OpenInvoices() != 0 {
		t.Errorf("%d open after paying", s.seller.OpenInvoices())
	}
}

func TestRefused(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	h := s.sells(t, "weather", 0)
	paid := s.node.pay(t, ask(h, alice))
	wrong := paid
	wrong.Preimage[0] ^= 1
	raw, err := paid.Tokens[0].MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	tampered, err := l402.ParseToken(base64Of(raw))
	if err != nil {
		t.Fatal(err)
	}
	strangers := newShop(t, l402http.SellerConfig{})
	foreign := strangers.node.pay(t, ask(strangers.sells(t, "weather", 0), alice))
	other := s.node.pay(t, ask(s.sells(t, "news", 0), alice))
	for name, c := range map[string]struct{ header, code string }{
		"fail/wrong preimage":  {wrong.Authorization(l402.SchemeL402), "token_wrong_preimage"},
		"fail/tampered":        {l402.Credential{Tokens: []l402.Token{tampered}, Preimage: paid.Preimage}.Authorization(l402.SchemeL402), "token_bad_chain"},
		"fail/foreign key":     {foreign.Authorization(l402.SchemeL402), "token_unknown_key"},
		"fail/other service":   {other.Authorization(l402.SchemeL402), "token_wrong_service"},
		"fail/malformed":       {"L402 nonsense", "token_malformed"},
		"fail/basic":           {"Basic dTpw", "payment_required"},
		"fail/nothing of ours": {"", "payment_required"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := ask(h, alice, "Authorization", c.header)
			if resp.StatusCode != http.StatusPaymentRequired {
				t.Fatalf("status %d", resp.StatusCode)
			}
			if b := read(t, resp); b.Error.Code != c.code {
				t.Errorf("code %q (%s), want %q", b.Error.Code, b.Error.Message, c.code)
			}
			if fresh := s.node.pay(t, resp); ask(h, alice, authorization(fresh)...).StatusCode != http.StatusOK {
				t.Error("the fresh challenge buys nothing")
			}
		})
	}
	for _, header := range s.backend.seen {
		if header.Get("Authorization") != "" {
			t.Errorf("the backend saw %q", header)
		}
	}
}

func TestExpiredAndRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := map[l402.TokenID]bool{}
		s := newShop(t, l402http.SellerConfig{Revoked: func(id l402.TokenID) bool { return revoked[id] }})
		h := s.sells(t, "weather", time.Hour)
		first := s.node.pay(t, ask(h, alice))
		time.Sleep(time.Hour - 2*time.Second)
		if got := ask(h, alice, authorization(first)...).StatusCode; got != http.StatusOK {
			t.Errorf("before its end: %d", got)
		}
		time.Sleep(4 * time.Second)
		if b := read(t, ask(h, alice, authorization(first)...)); b.Error.Code != "token_expired" {
			t.Errorf("after its end: %q", b.Error.Code)
		}

		second := s.node.pay(t, ask(h, alice))
		id, err := second.Tokens[0].Identifier()
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(h, alice, authorization(second)...).StatusCode; got != http.StatusOK {
			t.Errorf("before revocation: %d", got)
		}
		revoked[id.TokenID] = true
		if b := read(t, ask(h, alice, authorization(second)...)); b.Error.Code != "token_revoked" {
			t.Errorf("after revocation: %q", b.Error.Code)
		}
	})
}

func TestBackendSeesNothingOfTheBuyers(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	h := s.sells(t, "weather", 0)
	paid := s.node.pay(t, ask(h, alice))
	withPreimage, err := paid.Tokens[0].Attenuate(l402.Caveat{Key: "preimage", Value: paid.Preimage.String()})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := withPreimage.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	resp := ask(h, alice,
		"Authorization", "Basic dTpw",
		"Authorization", paid.Authorization(l402.SchemeLSAT),
		"Macaroon", hex.EncodeToString(raw),
		"Grpc-Metadata-Macaroon", hex.EncodeToString(raw),
		"L402-Client", nonce(1),
		"Cookie", "a=1; l402_client="+nonce(2)+"; l402_client_not=3",
		"Cookie", "l402_client="+nonce(2),
		"X-Own", "kept")
	if resp.StatusCode != http.StatusOK || len(s.backend.seen) != 1 {
		t.Fatalf("status %d, %d requests", resp.StatusCode, len(s.backend.seen))
	}
	want := http.Header{"Authorization": {"Basic dTpw"}, "Cookie": {"a=1; l402_client_not=3"}, "X-Own": {"kept"}}
	got := s.backend.seen[0]
	if len(got) != len(want) {
		t.Errorf("the backend saw %q", got)
	}
	for name := range want {
		if strings.Join(got[name], "|") != strings.Join(want[name], "|") {
			t.Errorf("%s: the backend saw %q, want %q", name, got[name], want[name])
		}
	}
}

func TestGRPC(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	h := s.sells(t, "weather", 0)
	resp := ask(h, alice, "Content-Type", "application/grpc+proto")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Grpc-Status") != "13" ||
		resp.Header.Get("Grpc-Message") != "payment required" || len(resp.Header.Values("Www-Authenticate")) != 2 {
		t.Errorf("%d %q", resp.StatusCode, resp.Header)
	}
	if len(s.backend.seen) != 0 {
		t.Error("the backend saw an unpaid call")
	}
}

func TestBadSales(t *testing.T) {
	if _, err := l402http.NewSeller(l402http.SellerConfig{}); err == nil {
		t.Error("a seller of nothing")
	}
	s := newShop(t, l402http.SellerConfig{})
	for name, sale := range map[string]l402http.Sale{
		"no name":  {Price: 1},
		"bad name": {Service: "a:b", Price: 1},
		"no price": {Service: "a"},
		"past":     {Service: "a", Price: 1, TokenLife: -1},
	} {
		if _, err := s.seller.Handler(sale, s.backend); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
