package gate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402"
)

// fakeNode is a node in memory.
type fakeNode struct {
	prefix string

	mu        sync.Mutex
	invoices  map[lntypes.Hash]*lightning.Invoice
	preimages map[string]lntypes.Preimage
	down      error
	addErr    error
	listeners map[int]chan lightning.Invoice
	cut       chan struct{} // closed to break the streams
	dials     int
}

func newFakeNode() *fakeNode {
	return &fakeNode{prefix: "lnbcrt", invoices: map[lntypes.Hash]*lightning.Invoice{},
		preimages: map[string]lntypes.Preimage{}, listeners: map[int]chan lightning.Invoice{}, cut: make(chan struct{})}
}

func (n *fakeNode) dial() (Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	return n, nil
}

// setDown makes every call fail, or work again with nil.
func (n *fakeNode) setDown(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
	if err != nil {
		close(n.cut)
		n.cut = make(chan struct{})
	}
}

func (n *fakeNode) AddInvoice(_ context.Context, in lightning.NewInvoice) (lightning.Invoice, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := cmp.Or(n.down, n.addErr); err != nil {
		return lightning.Invoice{}, err
	}
	hash := in.Preimage.Hash()
	inv := lightning.Invoice{Hash: hash, PaymentRequest: fmt.Sprintf("%s%dn1%x", n.prefix, in.Value/100, hash[:8]),
		Memo: in.Memo, Value: in.Value, State: lightning.InvoiceOpen, Expiry: in.Expiry}
	n.invoices[hash] = &inv
	n.preimages[inv.PaymentRequest] = in.Preimage
	return inv, nil
}

func (n *fakeNode) LookupInvoice(_ context.Context, hash lntypes.Hash) (lightning.Invoice, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return lightning.Invoice{}, n.down
	}
	if inv := n.invoices[hash]; inv != nil {
		return *inv, nil
	}
	return lightning.Invoice{}, fault.New(lightning.CodeNotFound, "", "no invoice")
}

func (n *fakeNode) CancelInvoice(_ context.Context, hash lntypes.Hash) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	inv := n.invoices[hash]
	switch {
	case n.down != nil:
		return n.down
	case inv == nil:
		return fault.New(lightning.CodeNotFound, "", "no invoice")
	case inv.State == lightning.InvoiceSettled:
		return fault.New(lightning.CodeNode, "", "invoice already settled")
	}
	inv.State = lightning.InvoiceCanceled
	return nil
}

func (n *fakeNode) SubscribeInvoices(ctx context.Context, _, _ uint64, each func(lightning.Invoice) error) error {
	n.mu.Lock()
	if n.down != nil {
		defer n.mu.Unlock()
		return n.down
	}
	id, events, cut := len(n.listeners), make(chan lightning.Invoice, 1000), n.cut
	n.listeners[id] = events
	n.mu.Unlock()
	for {
		select {
		case inv := <-events:
			if err := each(inv); err != nil {
				return err
			}
		case <-cut:
			return errDown
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *fakeNode) Close() error { return nil }

// settle pays an invoice; quietly: nobody is told.
func (n *fakeNode) settle(t *testing.T, bolt11 string, quietly bool) lntypes.Preimage {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	preimage, ok := n.preimages[bolt11]
	if !ok {
		t.Fatalf("unknown invoice %q", bolt11)
	}
	inv := n.invoices[preimage.Hash()]
	if inv.State != lightning.InvoiceOpen {
		t.Fatalf("invoice is %s", inv.State)
	}
	inv.State, inv.AmountPaid, inv.Settled = lightning.InvoiceSettled, inv.Value, time.Now()
	for _, events := range n.listeners {
		if !quietly {
			events <- *inv
		}
	}
	return preimage
}

var errDown = fault.New(lightning.CodeUnreachable, "leyden node start", "connection refused")

// backend is a service that remembers what reached it.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newBackend(t testing.TB) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, r.Clone(context.Background()))
		b.mu.Unlock()
		_, _ = io.WriteString(w, "goods of "+r.URL.EscapedPath())
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*http.Request(nil), b.seen...)
}

func (b *backend) addr() string { return strings.TrimPrefix(b.URL, "http://") }

// openGate starts a gate with the services, in the folder.
func openGate(t testing.TB, dir string, node *fakeNode, services string) *Gate {
	t.Helper()
	g, err := tryGate(t, dir, node, services)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func tryGate(t testing.TB, dir string, node *fakeNode, services string) (*Gate, error) {
	t.Helper()
	text := "listenaddr: 127.0.0.1:0\n" + services
	if !strings.Contains(services, "authenticator:") {
		text += "authenticator: {network: regtest, tlspath: t, macdir: m}\n"
	}
	if !strings.Contains(services, "insecure:") {
		text += "insecure: true\n"
	}
	cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte(text), dir)
	if err != nil {
		t.Fatal(err)
	}
	return start(t.Context(), cfg, slog.New(slog.DiscardHandler), node.dial)
}

// get sends one request to the gate.
func get(t testing.TB, g *Gate, path string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func challenge(t testing.TB, resp *http.Response) l402.Challenge {
	t.Helper()
	c, err := l402.ParseChallenges(resp.Header)
	if err != nil || len(c) == 0 {
		t.Fatalf("status %d, %s: no challenge, %v", resp.StatusCode, text(t, resp), err)
	}
	return c[0]
}

// buy pays a challenge and returns the Authorization header.
func buy(t *testing.T, node *fakeNode, resp *http.Response) []string {
	t.Helper()
	c := challenge(t, resp)
	paid := l402.Credential{Tokens: c.Tokens, Preimage: node.settle(t, c.Invoice, false)}
	return []string{"Authorization", paid.Authorization(l402.SchemeL402)}
}
