package fetchtest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// realm is a Till's.
const realm = "till"

// Till is a seller that charges 100 sat for each request by the Payment scheme.
// Set the fields before the first request.
type Till struct {
	Ledger Ledger
	// Lie alters a challenge before it is written; LieCharge its request.
	Lie       func(*mpp.Challenge)
	LieCharge func(*mpp.Charge)
	// Invoice is what is asked for, but for its preimage.
	Invoice Invoice
	// Besides, if set, adds challenges of its own.
	Besides func(h http.Header)
	// Deliver answers a request that is paid for.
	Deliver func(w http.ResponseWriter, r *http.Request)

	keys *l402.Keyring

	mu   sync.Mutex
	used map[lntypes.Hash]bool
}

// NewTill makes a till that is honest.
func NewTill(l Ledger) *Till {
	key, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys, err := l402.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	return &Till{Ledger: l, Invoice: Invoice{Amount: 100_000}, keys: keys, used: map[lntypes.Hash]bool{},
		Deliver: func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "goods of %s\n", r.URL.Path) }}
}

// ServeHTTP implements [http.Handler].
func (s *Till) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sold, ok := s.accept(r); ok {
		_ = mpp.Receipt{Hash: sold.Hash, ChallengeID: sold.ID, Time: time.Now()}.Write(w.Header())
		s.Deliver(w, r)
		return
	}
	if err := s.ask(w.Header()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusPaymentRequired)
}

func (s *Till) accept(r *http.Request) (mpp.Sold, bool) {
	credentials, _ := mpp.ParseCredentials(r.Header)
	if len(credentials) == 0 {
		return mpp.Sold{}, false
	}
	sold, err := mpp.Verify(s.keys, realm, credentials[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.used[sold.Hash] {
		return mpp.Sold{}, false
	}
	s.used[sold.Hash] = true
	return sold, true
}

func (s *Till) ask(h http.Header) error {
	invoice := s.Invoice
	invoice.Preimage = NewPreimage()
	text, hash, err := invoice.Encode()
	if err != nil {
		return err
	}
	if err := s.Ledger.Publish(invoice.Preimage); err != nil {
		return err
	}
	c, err := mpp.NewChallenge(s.keys, mpp.Terms{Realm: realm, Service: "s", Price: 100_000, Invoice: text, Hash: hash,
		Network: "regtest", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	if s.LieCharge != nil {
		charge, err := c.Charge()
		if err != nil {
			return err
		}
		s.LieCharge(&charge)
		if c.Request, err = charge.Encode(); err != nil {
			return err
		}
	}
	if s.Lie != nil {
		s.Lie(&c)
	}
	if s.Besides != nil {
		s.Besides(h)
	}
	return c.Write(h)
}

// Restore lets a used credential be used again.
func (s *Till) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.used)
}

// Used counts the payments that were delivered for.
func (s *Till) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.used)
}
