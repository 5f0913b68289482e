package l402http

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
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
	DefaultRemember      = 1 << 17
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
	// 131,072, at about 0.6 kB each once used.
	Remember int

	// Redemptions remembers what the Payment scheme has sold; needed for it.
	Redemptions Redemptions

	// Realm is the realm of Payment challenges. Default: the host that the
	// request names. A credential is good in its realm only.
	Realm string

	// Network is the node's, for Payment challenges; see mpp.Charge. Default
	// mainnet.
	Network string

	// Body writes another body than the JSON of [Answer.JSON]: it returns it,
	// and puts its Content-Type and whatever else goes with it into h; or nil
	// for the JSON. Not asked for gRPC calls.
	Body func(h http.Header, r *http.Request, a Answer) []byte

	// Log gets what the node or the journal did wrong. Default: nowhere.
	Log *slog.Logger
}

// Seller sells any number of services for one node: it mints challenges within
// its bounds, gives an unpaid one again to the same client and to nobody else,
// and verifies credentials without asking anybody. Safe for concurrent use; it
// starts no goroutine that outlives a request.
type Seller struct {
	revoked func(l402.TokenID) bool
	book    *book
	body    func(http.Header, *http.Request, Answer) []byte
	log     *slog.Logger

	redemptions Redemptions
	network     string
}

// rules are what of a Seller may change while it sells.
type rules struct {
	verifier *l402.Verifier
	keys     *l402.Keyring
	maxOpen  int
	expiry   time.Duration
	byAddr   bool
	realm    string
}

// takeDefaults fills in what the configuration leaves out, and checks it.
func (cfg *SellerConfig) takeDefaults() error {
	if cfg.Keys == nil || cfg.Invoicer == nil {
		return errors.New("make seller: needs Keys and Invoicer")
	}
	if cfg.MaxOpen < 0 || cfg.InvoiceExpiry < 0 || cfg.Remember < 0 {
		return errors.New("make seller: a limit is negative")
	}
	cfg.MaxOpen = cmp.Or(cfg.MaxOpen, DefaultMaxOpen)
	cfg.InvoiceExpiry = cmp.Or(cfg.InvoiceExpiry, DefaultInvoiceExpiry)
	cfg.Remember = cmp.Or(cfg.Remember, DefaultRemember)
	return nil
}

// rules returns what of the configuration may change.
func (cfg *SellerConfig) rules(v *l402.Verifier) *rules {
	return &rules{verifier: v, keys: cfg.Keys, maxOpen: cfg.MaxOpen, expiry: cfg.InvoiceExpiry, byAddr: cfg.SameAddress,
		realm: cfg.Realm}
}

// NewSeller makes a Seller.
func NewSeller(cfg SellerConfig) (*Seller, error) {
	if err := cfg.takeDefaults(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Seller{
		revoked: cfg.Revoked,
		body:    cfg.Body,
		log:     cfg.Log,

		redemptions: cfg.Redemptions,
		network:     cfg.Network,
		book: &book{
			invoicer: cfg.Invoicer, journal: cfg.Journal, rand: rand.Reader, log: cfg.Log, revoked: cfg.Revoked,
			byHash: map[lntypes.Hash]*entry{}, byClient: map[[32]byte]*entry{}, byPrefix: map[netip.Prefix]int{},
			ripeAt: map[netip.Prefix]time.Time{},
		},
	}
	s.book.rules.Store(cfg.rules(l402.NewVerifier(cfg.Keys, cfg.Remember)))
	return s, nil
}

// Update changes how the Seller sells from now on: Keys, MaxOpen,
// InvoiceExpiry, SameAddress and Realm. The rest of the configuration stays. What has
// been minted is not touched; see Withdraw.
func (s *Seller) Update(cfg SellerConfig) error {
	if err := cfg.takeDefaults(); err != nil {
		return err
	}
	s.book.rules.Store(cfg.rules(s.book.rules.Load().verifier.WithKeys(cfg.Keys)))
	return nil
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
