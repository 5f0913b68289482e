package l402http_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// sellerNode is a node in memory. Its invoices are no BOLT11 but name
// themselves, so that paying one is a look-up.
type sellerNode struct {
	mu       sync.Mutex
	invoices map[string]lntypes.Preimage
	open     map[lntypes.Hash]bool
	peak     int
	added    int
	canceled int

	addErr, cancelErr, readyErr error
	hold, cancelHold            chan struct{} // AddInvoice, CancelInvoice wait for it to close
}

func newSellerNode() *sellerNode {
	return &sellerNode{invoices: map[string]lntypes.Preimage{}, open: map[lntypes.Hash]bool{}}
}

func (n *sellerNode) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.readyErr
}

func (n *sellerNode) AddInvoice(ctx context.Context, inv l402http.NewInvoice) (string, error) {
	if n.hold != nil {
		select {
		case <-n.hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addErr != nil {
		return "", n.addErr
	}
	n.added++
	bolt11 := "lnbcrt" + strconv.Itoa(n.added)
	n.invoices[bolt11] = inv.Preimage
	n.open[inv.Preimage.Hash()] = true
	n.peak = max(n.peak, len(n.open))
	return bolt11, nil
}

func (n *sellerNode) CancelInvoice(_ context.Context, hash lntypes.Hash) error {
	if n.cancelHold != nil {
		<-n.cancelHold
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancelErr != nil {
		return n.cancelErr
	}
	if n.open[hash] {
		n.canceled++
	}
	delete(n.open, hash)
	return nil
}

// pay returns the credential that the challenge of an answer buys.
func (n *sellerNode) pay(t *testing.T, resp *http.Response) l402.Credential {
	t.Helper()
	challenges, err := l402.ParseChallenges(resp.Header)
	if err != nil || len(challenges) == 0 {
		t.Fatalf("challenges %v, %v", challenges, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	preimage, ok := n.invoices[challenges[0].Invoice]
	if !ok || !n.open[preimage.Hash()] {
		t.Fatalf("invoice %q cannot be paid", challenges[0].Invoice)
	}
	delete(n.open, preimage.Hash())
	return l402.Credential{Tokens: challenges[0].Tokens, Preimage: preimage}
}

// sellerJournal records what it is told.
type sellerJournal struct {
	mu      sync.Mutex
	minted  map[lntypes.Hash]l402http.OpenChallenge
	dropped map[lntypes.Hash]bool
	err     error
}

func newSellerJournal() *sellerJournal {
	return &sellerJournal{minted: map[lntypes.Hash]l402http.OpenChallenge{}, dropped: map[lntypes.Hash]bool{}}
}

func (j *sellerJournal) Minted(_ context.Context, c l402http.OpenChallenge) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	j.minted[c.Hash] = c
	return nil
}

func (j *sellerJournal) Dropped(_ context.Context, hash lntypes.Hash) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dropped[hash] = true
	return nil
}

func sellerKeys(t testing.TB) *l402.Keyring {
	t.Helper()
	master, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := l402.NewKeyring(master)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// shop is a seller with one handler per service before one backend.
type shop struct {
	node    *sellerNode
	seller  *l402http.Seller
	backend *backend
}

// backend remembers what reached it.
type backend struct {
	mu   sync.Mutex
	seen []http.Header
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, r.Header.Clone())
	_, _ = w.Write([]byte("goods"))
}

func newShop(t testing.TB, cfg l402http.SellerConfig) *shop {
	t.Helper()
	s := &shop{node: newSellerNode(), backend: &backend{}}
	if cfg.Keys == nil {
		cfg.Keys = sellerKeys(t)
	}
	if cfg.Invoicer == nil {
		cfg.Invoicer = s.node
	}
	var err error
	if s.seller, err = l402http.NewSeller(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// sells returns a handler for one service at 100 sat.
func (s *shop) sells(t testing.TB, service string, life time.Duration) http.Handler {
	t.Helper()
	h, err := s.seller.Handler(l402http.Sale{Service: service, Price: 100_000, TokenLife: life}, s.backend)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends one request from an address with the headers.
func ask(h http.Handler, addr string, headers ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "http://seller.test/x", nil)
	r.RemoteAddr = addr
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

const alice = "192.0.2.7:4000"

func authorization(c l402.Credential) []string {
	return []string{l402.HeaderAuthorization, c.Authorization(l402.SchemeL402)}
}

func nonce(b byte) string { return l402.ClientNonce{b}.String() }

var errNode = errors.New("node is away")

func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
