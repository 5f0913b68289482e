package l402http

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// Defaults of SellerConfig.
const (
	DefaultMaxOpen       = 1000
	DefaultInvoiceExpiry = time.Hour
	DefaultRemember      = 100_000
)

// Invoicer makes invoices on the seller's node.
type Invoicer interface {
	// AddInvoice makes a BOLT11 invoice that the preimage settles and
	// returns it. After an error the invoice may exist or not.
	AddInvoice(ctx context.Context, inv NewInvoice) (bolt11 string, err error)

	// CancelInvoice makes sure that the invoice with that payment hash can
	// no longer be paid. nil also when there is none, or when it has been
	// cancelled or settled before.
	CancelInvoice(ctx context.Context, hash lntypes.Hash) error
}

// Readier is what an Invoicer may also be: one that knows, without asking,
// that the node is away, so that nothing is begun that would fail.
type Readier interface {
	// Ready returns nil when AddInvoice is likely to succeed.
	Ready() error
}

// NewInvoice is an invoice to be made.
type NewInvoice struct {
	// Memo is the description the payer sees.
	Memo string
	// Amount is the price in msat.
	Amount lnwire.MilliSatoshi
	// Expiry is how long it may be paid, in whole seconds.
	Expiry time.Duration
	// Preimage settles it, chosen by the seller.
	Preimage lntypes.Preimage
}

// Journal keeps the open challenges beyond the life of the process. Calls for
// different challenges come from several goroutines.
type Journal interface {
	// Minted records a challenge before its invoice is asked for. It must be
	// durable on return; after an error no invoice is made.
	Minted(ctx context.Context, c OpenChallenge) error

	// Dropped records that the invoice was cancelled or never made.
	Dropped(ctx context.Context, hash lntypes.Hash) error
}

// OpenChallenge is a challenge that has not been paid.
type OpenChallenge struct {
	Hash    lntypes.Hash
	Token   l402.Token
	Service string
	Price   lnwire.MilliSatoshi // msat
	// Invoice is the BOLT11 invoice, "" as long as it is being made.
	Invoice string
	// Client says who may be given it again, nil for nobody. It is a hash.
	Client *[32]byte
	// Prefix is the network of who asked for it: a /24, or a /48 of IPv6.
	Prefix  netip.Prefix
	Created time.Time
	// Expires is when the invoice can no longer be paid.
	Expires time.Time
}

// SellerConfig says how a Seller sells. Keys and Invoicer are needed.
type SellerConfig struct {
	// Keys mints and verifies the tokens.
	Keys *l402.Keyring

	// Invoicer is the node that is paid.
	Invoicer Invoicer

	// Revoked reports whether a token has been revoked; asked for every
	// request, so it must be quick. nil: none is.
	Revoked func(l402.TokenID) bool

	// Journal survives the process. nil: a restart forgets which invoices
	// are open, though not which tokens are good.
	Journal Journal

	// MaxOpen bounds the unpaid invoices on the node. Default 1000.
	MaxOpen int

	// InvoiceExpiry is how long a challenge may be paid. Default one hour;
	// at most the TokenLife of what is sold.
	InvoiceExpiry time.Duration

	// SameAddress gives an unpaid challenge again to whoever comes from the
	// same address, when it names itself by nothing else. Two buyers behind
	// one address then see the same token, and who learns the preimage on
	// the way of the other's payment can use it. Default false.
	SameAddress bool

	// Remember is how many verified credentials are remembered. Default
	// 100,000, at about 0.6 kB each once used.
	Remember int

	// Log gets what the node or the journal did wrong. Default: nowhere.
	Log *slog.Logger
}

// Seller sells any number of services for one node: it mints challenges within
// its bounds, gives an unpaid one again to the same client and to nobody else,
// and verifies credentials without asking anybody. Safe for concurrent use; it
// starts no goroutine that outlives a request.
type Seller struct {
	verifier *l402.Verifier
	revoked  func(l402.TokenID) bool
	book     *book
	byAddr   bool
	log      *slog.Logger
}

// NewSeller makes a Seller.
func NewSeller(cfg SellerConfig) (*Seller, error) {
	if cfg.Keys == nil || cfg.Invoicer == nil {
		return nil, errors.New("make seller: needs Keys and Invoicer")
	}
	if cfg.MaxOpen < 0 || cfg.InvoiceExpiry < 0 || cfg.Remember < 0 {
		return nil, errors.New("make seller: a limit is negative")
	}
	or := func(n, def int) int {
		if n == 0 {
			return def
		}
		return n
	}
	if cfg.InvoiceExpiry == 0 {
		cfg.InvoiceExpiry = DefaultInvoiceExpiry
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Seller{
		verifier: l402.NewVerifier(cfg.Keys, or(cfg.Remember, DefaultRemember)),
		revoked:  cfg.Revoked,
		byAddr:   cfg.SameAddress,
		log:      cfg.Log,
		book: &book{
			keys: cfg.Keys, invoicer: cfg.Invoicer, journal: cfg.Journal, rand: rand.Reader,
			maxOpen: or(cfg.MaxOpen, DefaultMaxOpen), expiry: cfg.InvoiceExpiry, log: cfg.Log,
			byHash: map[lntypes.Hash]*entry{}, byClient: map[[32]byte]*entry{}, byPrefix: map[netip.Prefix]int{},
		},
	}, nil
}

// Sale is what a Handler sells.
type Sale struct {
	// Service is the name that the token carries; see l402.ServicesCaveat.
	Service string
	// Price is what one token costs, in msat; not zero.
	Price lnwire.MilliSatoshi
	// TokenLife is how long a token is good, from the challenge on. 0: for
	// ever.
	TokenLife time.Duration
	// Memo is what the payer's wallet shows. Default: the service's name.
	Memo string
}

// Handler returns a handler that lets only requests pass to next that have
// been paid for, and answers the others with a challenge.
func (s *Seller) Handler(sale Sale, next http.Handler) (*Handler, error) {
	if _, err := l402.ServicesCaveat(l402.Service{Name: sale.Service}); err != nil {
		return nil, fmt.Errorf("sell %q: %w", sale.Service, err)
	}
	if sale.Price == 0 || sale.TokenLife < 0 {
		return nil, fmt.Errorf("sell %q: want a price and no negative lifetime", sale.Service)
	}
	if sale.Memo == "" {
		sale.Memo = sale.Service
	}
	return &Handler{seller: s, sale: sale, next: next}, nil
}

// Restore puts challenges that a journal kept back into the book. Ones without
// an Invoice count against the bound but are not given out again, until they
// are restored once more with it.
func (s *Seller) Restore(open []OpenChallenge) { s.book.restore(open) }

// Settled says that an invoice has been paid, or is gone: its challenge is not
// given out again. Unknown hashes are fine.
func (s *Seller) Settled(hash lntypes.Hash) { s.book.forget(hash) }

// OpenInvoices counts the unpaid invoices, those being made included.
func (s *Seller) OpenInvoices() int { return s.book.count() }
