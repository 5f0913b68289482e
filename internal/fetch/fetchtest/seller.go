package fetchtest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/l402"
)

// Seller charges for everything but /free. The first segment of the path is
// the service. Set the fields before the first request.
type Seller struct {
	Ledger Ledger
	// Price of a request, in msat.
	Price lnwire.MilliSatoshi
	// NoCaveats leaves services out of tokens: any of them opens everything
	// under the path that it was bought for.
	NoCaveats bool
	// ValidFor, if set, bounds tokens.
	ValidFor time.Duration
	// Challenge, if set, writes the challenge instead.
	Challenge func(s *Seller, w http.ResponseWriter, r *http.Request)
	// Refuse, if set, refuses credentials that are otherwise good.
	Refuse func(r *http.Request) bool

	// Payee signs the invoices.
	Payee *btcec.PrivateKey

	keys *l402.Keyring

	mu       sync.Mutex
	minted   int
	requests []Seen
	paths    map[lntypes.Hash]string
}

// Seen is a request as the seller saw it.
type Seen struct {
	Path, Client, Authorization, Body string
	Header                            http.Header
	Remote                            string
}

// NewSeller makes a seller that charges 100 sat.
func NewSeller(l Ledger) *Seller {
	master, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys, err := l402.NewKeyring(master)
	if err != nil {
		panic(err)
	}
	payee, err := btcec.NewPrivateKey()
	if err != nil {
		panic(err)
	}
	return &Seller{Ledger: l, Price: 100_000, Payee: payee, keys: keys, paths: map[lntypes.Hash]string{}}
}

// Minted counts the challenges that were made.
func (s *Seller) Minted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.minted
}

// Requests returns what was asked so far.
func (s *Seller) Requests() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Seen(nil), s.requests...)
}

// ServeHTTP implements [http.Handler].
func (s *Seller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, Seen{r.URL.Path, r.Header.Get(l402.HeaderClient),
		r.Header.Get("Authorization"), string(body), r.Header.Clone(), r.RemoteAddr})
	s.mu.Unlock()
	if r.URL.Path == "/free" || s.allows(r) {
		fmt.Fprintf(w, "goods of %s\n", r.URL.Path)
		if len(body) > 0 {
			fmt.Fprintf(w, "you sent %s\n", body)
		}
		return
	}
	if s.Challenge != nil {
		s.Challenge(s, w, r)
		return
	}
	token, invoice, err := s.Mint(r, Invoice{Amount: s.Price, Preimage: NewPreimage()})
	if err == nil {
		err = l402.WriteChallenge(w.Header(), token, invoice)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusPaymentRequired)
	fmt.Fprintln(w, "pay first")
}

// Mint signs the invoice, publishes its preimage, and makes its token.
func (s *Seller) Mint(r *http.Request, i Invoice) (l402.Token, string, error) {
	if i.Key == nil {
		i.Key = s.Payee
	}
	text, hash, err := i.Encode()
	if err != nil {
		return l402.Token{}, "", err
	}
	if err := s.Ledger.Publish(i.Preimage); err != nil {
		return l402.Token{}, "", err
	}
	s.mu.Lock()
	s.minted++
	s.paths[hash] = r.URL.Path
	s.mu.Unlock()
	token, err := s.Token(hash, service(r.URL.Path))
	return token, text, err
}

// Token makes a token for a payment hash.
func (s *Seller) Token(hash lntypes.Hash, service string) (l402.Token, error) {
	if s.NoCaveats {
		return bareToken(hash)
	}
	caveats, err := s.caveats(service)
	if err != nil {
		return l402.Token{}, err
	}
	return s.keys.Mint(rand.Reader, hash, caveats...)
}

func (s *Seller) caveats(service string) ([]l402.Caveat, error) {
	named, err := l402.ServicesCaveat(l402.Service{Name: service})
	if err != nil || s.ValidFor == 0 {
		return []l402.Caveat{named}, err
	}
	until, err := l402.ValidUntilCaveat(service, time.Now().Add(s.ValidFor))
	return []l402.Caveat{named, until}, err
}

// bareToken is a token that says nothing but its hash.
func bareToken(hash lntypes.Hash) (l402.Token, error) {
	id, err := l402.Identifier{PaymentHash: hash}.MarshalBinary()
	if err != nil {
		return l402.Token{}, err
	}
	m, err := macaroon.New(hash[:], id, "", macaroon.V2)
	if err != nil {
		return l402.Token{}, err
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		return l402.Token{}, err
	}
	return l402.ParseToken(base64.StdEncoding.EncodeToString(raw))
}

func (s *Seller) allows(r *http.Request) bool {
	credentials, err := l402.ParseCredentials(r.Header)
	if err != nil || len(credentials) == 0 || s.Refuse != nil && s.Refuse(r) {
		return false
	}
	if s.NoCaveats {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.paths[credentials[0].Preimage.Hash()] == r.URL.Path
	}
	verified, err := s.keys.VerifyChain(credentials[0])
	return err == nil && verified.Allows(l402.Request{Service: service(r.URL.Path), Now: time.Now()}, nil) == nil
}

func service(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == "" {
		return "root"
	}
	return first
}
