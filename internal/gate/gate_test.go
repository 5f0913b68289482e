package gate

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/l402"
)

const twoServices = `services:
  - {name: dear, pathregexp: '^/dear/.*$', address: %[1]q, price: 500}
  - name: news
    pathregexp: '^/news/.*$'
    address: %[1]q
    price: 100
    authwhitelistpaths: ['^/health$', '^/news/free$']
    headers: {X-Api-Key: seller}
  - {name: open, pathregexp: '^/open/.*$', address: %[1]q, auth: off}
`

func totals(t *testing.T, g *Gate) (open, settled int64) {
	t.Helper()
	s, err := g.db.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Open, s.Settled
}

func TestBuyAndUse(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	for _, free := range []string{"/health", "/news/free", "/open/x"} {
		if resp := get(t, g, free); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", free, resp.StatusCode)
		}
	}
	before := len(b.requests())
	resp := get(t, g, "/news/today")
	if resp.StatusCode != http.StatusPaymentRequired || len(b.requests()) != before {
		t.Fatalf("status %d, the backend saw %d requests", resp.StatusCode, len(b.requests())-before)
	}
	if c := challenge(t, resp); !strings.HasPrefix(c.Invoice, "lnbcrt1000n1") {
		t.Errorf("invoice %s", c.Invoice)
	}
	token := buy(t, node, resp)
	until.True(t, "the payment is on record", func() bool { _, n := totals(t, g); return n == 1 })
	for range 3 {
		resp := get(t, g, "/news/today?q=1", append(token, "L402-Client", l402.ClientNonce{1}.String(), "Cookie", "a=b")...)
		if resp.StatusCode != http.StatusOK || text(t, resp) != "goods of /news/today" {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	seen := b.requests()
	last := seen[len(seen)-1]
	if last.Header.Get("Authorization") != "" || last.Header.Get("L402-Client") != "" {
		t.Errorf("the backend saw %q", last.Header)
	}
	if last.Header.Get("Cookie") != "a=b" || last.Header.Get("X-Api-Key") != "seller" ||
		last.Header.Get("X-Forwarded-For") != "127.0.0.1" || last.URL.RawQuery != "q=1" || last.Host != b.addr() {
		t.Errorf("the backend saw %q at %s?%s", last.Header, last.Host, last.URL.RawQuery)
	}
	if resp := get(t, g, "/dear/x", token...); resp.StatusCode != http.StatusPaymentRequired ||
		!strings.Contains(text(t, resp), "token_wrong_service") {
		t.Errorf("a token of another service: %d", resp.StatusCode)
	}
	if resp := get(t, g, "/open/x", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("free with a token: %d", resp.StatusCode)
	}
	for _, r := range b.requests() {
		if strings.Contains(r.Header.Get("Authorization"), "L402") {
			t.Errorf("%s: the backend saw a credential", r.URL)
		}
	}
	if resp := get(t, g, "/nothing"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no service: %d", resp.StatusCode)
	}
}

func TestRestart(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, dir, node, services)
	token := buy(t, node, get(t, g, "/news/1"))
	unpaid := challenge(t, get(t, g, "/news/1", "L402-Client", l402.ClientNonce{1}.String()))
	missed := challenge(t, get(t, g, "/news/1"))
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	node.settle(t, missed.Invoice, true)

	g = openGate(t, dir, node, services)
	if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token of before: %d", resp.StatusCode)
	}
	until.True(t, "what was paid meanwhile is on record", func() bool {
		open, settled := totals(t, g)
		return open == 1 && settled == 2
	})
	until.True(t, "the client is given its challenge again", func() bool {
		return challenge(t, get(t, g, "/news/1", "L402-Client", l402.ClientNonce{1}.String())).Invoice == unpaid.Invoice
	})
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}

	if _, err := rotateKeys(filepath.Join(dir, keyFile), false); err != nil {
		t.Fatal(err)
	}
	g = openGate(t, dir, node, services)
	if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("after a rotation: %d", resp.StatusCode)
	}
	newer := buy(t, node, get(t, g, "/news/1"))
	if resp := get(t, g, "/news/1", newer...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token of the new key: %d", resp.StatusCode)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := tryGate(t, dir, node, services); fault.Code(err) != "key_missing" {
		t.Errorf("without the keys: %v", err)
	}
}

func TestNodeGoesAndComes(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	node.down = errDown
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	resp := get(t, g, "/news/1")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
		!strings.Contains(text(t, resp), "seller_unavailable") {
		t.Fatalf("node away from the start: %d", resp.StatusCode)
	}
	if open, _ := totals(t, g); open != 0 {
		t.Errorf("%d records of what was never asked for", open)
	}
	node.setDown(nil)
	until.True(t, "the gate sells", func() bool { return get(t, g, "/news/1").StatusCode == http.StatusPaymentRequired })
	token := buy(t, node, get(t, g, "/news/1"))
	node.setDown(errDown)
	until.True(t, "the gate knows", func() bool {
		return get(t, g, "/news/1").StatusCode == http.StatusServiceUnavailable
	})
	if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a valid token while the node is away: %d", resp.StatusCode)
	}
	node.setDown(nil)
	until.True(t, "the gate sells again", func() bool { return get(t, g, "/news/1").StatusCode == http.StatusPaymentRequired })
	node.mu.Lock()
	node.addErr = fault.New(lightning.CodeTimeout, "", "no answer")
	node.mu.Unlock()
	if resp := get(t, g, "/news/1"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a node that hangs: %d", resp.StatusCode)
	}
	node.mu.Lock()
	node.addErr = nil
	node.mu.Unlock()
	until.True(t, "the stream is opened again", func() bool { return get(t, g, "/news/1").StatusCode == http.StatusPaymentRequired })

	before := node.dials
	node.setDown(fault.New(lightning.CodeBadCertificate, "", "another certificate"))
	until.True(t, "certificate and macaroon are read again", func() bool {
		node.mu.Lock()
		defer node.mu.Unlock()
		return node.dials > before
	})
	node.setDown(nil)
	until.True(t, "the gate sells again", func() bool { return get(t, g, "/news/1").StatusCode == http.StatusPaymentRequired })
}

func TestNodeRefusesAtStart(t *testing.T) {
	for _, code := range []string{lightning.CodeBadMacaroon, lightning.CodeBadCertificate, lightning.CodePermissionDenied} {
		node, b := newFakeNode(), newBackend(t)
		node.down = fault.New(code, "do this", "refused")
		_, err := tryGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
		if fault.Code(err) != code || fault.Hint(err) != "do this" {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestWrongNetwork(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	node.prefix = "lnbc"
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	for range 2 {
		if resp := get(t, g, "/news/1"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if fault.Code(g.link.Ready()) != "wrong_network" || len(node.invoices) != 1 {
		t.Errorf("%v; %d invoices", g.link.Ready(), len(node.invoices))
	}
	for _, inv := range node.invoices {
		if inv.State != lightning.InvoiceCanceled {
			t.Errorf("the stray invoice is %s", inv.State)
		}
	}
}

func TestRevoked(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, dir, node, services)
	resp := get(t, g, "/news/1")
	id, err := challenge(t, resp).Tokens[0].Identifier()
	if err != nil {
		t.Fatal(err)
	}
	token := buy(t, node, resp)
	if err := g.db.Revoke(t.Context(), id.TokenID, g.watcher.started, "test"); err != nil {
		t.Fatal(err)
	}
	if err := g.watcher.loadRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g, "/news/1", token...); !strings.Contains(text(t, resp), "token_revoked") {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestCancelOfASettledInvoiceRecordsIt(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	c := challenge(t, get(t, g, "/news/1"))
	preimage := node.settle(t, c.Invoice, true)
	if err := g.link.CancelInvoice(t.Context(), preimage.Hash()); err != nil {
		t.Fatal(err)
	}
	if open, settled := totals(t, g); open != 0 || settled != 1 {
		t.Errorf("%d open, %d settled", open, settled)
	}
}

func TestFreeWithoutAuthenticator(t *testing.T) {
	b := newBackend(t)
	cfg, err := Parse("gate.yaml", fmt.Appendf(nil, "listenaddr: 127.0.0.1:0\ninsecure: true\nauthenticator: {disable: true}\n"+
		"services: [{name: a, address: %q}]", b.addr()), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g, err := Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g, "/x"); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	for range 2 {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestTLSAndTheWrongScheme(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	g := openGate(t, dir, node, "insecure: false\nservername: shop.test\n"+fmt.Sprintf(twoServices, b.addr()))
	addr := g.Addr().String()
	pem, err := os.ReadFile(filepath.Join(dir, "tls.cert"))
	if err != nil {
		t.Fatal(err)
	}
	client := trusting(t, pem)
	resp, err := client.Get("https://" + addr + "/health")
	if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if answer := firstLines(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(answer, "use https://"+addr) {
		t.Errorf("HTTP to the TLS port: %q", answer)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	again := openGate(t, dir, node, "insecure: false\nservername: shop.test\n"+fmt.Sprintf(twoServices, b.addr()))
	if resp, err := client.Get("https://" + again.Addr().String() + "/health"); err != nil {
		t.Errorf("the certificate changed: %v", err)
	} else {
		_ = resp.Body.Close()
	}

	plain := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	_, err = client.Get("https://" + plain.Addr().String() + "/health")
	if err == nil || !strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		t.Errorf("TLS to the plain port: %v", err)
	}
	raw, err := net.Dial("tcp", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_, _ = raw.Write(append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc}, make([]byte, 508)...))
	resp, err = http.ReadResponse(bufio.NewReader(raw), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(text(t, resp), "use http://") {
		t.Errorf("TLS hello to the plain port: %v, %v", resp, err)
	}
}

func trusting(t *testing.T, pem []byte) *http.Client {
	t.Helper()
	pool := newPool(t, pem)
	transport := &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "shop.test"}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func firstLines(t *testing.T, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(send)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, _ := bufio.NewReader(c).Read(buf)
	return string(buf[:n])
}

// TestStream reads the first part of an answer while the backend still writes.
func TestStream(t *testing.T) {
	more := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "second\n")
	}))
	defer slow.Close()
	g := openGate(t, t.TempDir(), newFakeNode(),
		fmt.Sprintf("services: [{name: a, auth: off, address: %q}]\n", strings.TrimPrefix(slow.URL, "http://")))
	resp, err := http.Get("http://" + g.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "first" {
		t.Errorf("got %q, %v", lines.Text(), lines.Err())
	}
	close(more)
	if !lines.Scan() || lines.Text() != "second" {
		t.Errorf("got %q, %v", lines.Text(), lines.Err())
	}
}

func TestBackendAway(t *testing.T) {
	b := newBackend(t)
	b.Close()
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(twoServices, b.addr()))
	if resp := get(t, g, "/open/x"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text(t, resp), "backend_unreachable") {
		t.Errorf("status %d", resp.StatusCode)
	}
}
