package fetch

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/l402/l402http"
)

// Client gets URLs under one configuration. Make one with New.
type Client struct {
	cfg       Config
	store     *FileStore
	http      *http.Client
	transport *l402http.Transport
	base      *http.Transport

	mu     sync.Mutex
	spent  lnwire.MilliSatoshi             // prices of what this Client bought, or may have, in msat
	run    *Result                         // of the fetch under way
	warnTo func(string)                    // hears its warnings
	offers map[lntypes.Hash]l402http.Offer // approved, by what they would be paid with
	bought []l402http.Offer                // by the fetch under way
}

// New makes a client. It reads a small file or two and connects to nothing.
func New(cfg Config) (*Client, error) {
	key, err := clientKey(filepath.Join(cfg.Tokens.Dir, ".client.key"))
	if err != nil {
		return nil, err
	}
	proxy, err := proxies(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	var w Wallet
	if cfg.L402.AutoPay || cfg.LN.Mode == "lnc" { // whose session knows the network
		if w, err = walletFor(&cfg.LN); err != nil {
			return nil, err
		}
	}
	c := &Client{cfg: cfg, store: NewFileStore(cfg.Tokens.Dir), base: newBase(cfg.HTTP, proxy)}
	plain := patient{c.base, cfg.HTTP.Timeout}
	c.transport = &l402http.Transport{
		Base: plain, Store: c.store, ClientKey: key, Network: cfg.LN.LND.Network,
		MaxCost:        lnwire.MilliSatoshi(cfg.L402.MaxCostSats * 1000),
		MaxFee:         lnwire.MilliSatoshi(cfg.L402.MaxFeeSats * 1000),
		PaymentTimeout: cfg.L402.PaymentTimeout, Approve: c.approve, Trace: c.trace,
	}
	if cfg.L402.AutoPay {
		c.transport.Wallet = w
	}
	if cfg.L402.PreferScheme == PreferPayment {
		c.transport.Prefer = l402http.SchemeOfPayment
	}
	c.store.waiting = func(o l402http.Origin) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.warn("another lnget buys from %s: waiting for it to end", o)
	}
	if w, ok := w.(*wallet); ok {
		w.waiting = func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.warn("another lnget uses the session: waiting for it to end")
		}
	}
	c.offers = map[lntypes.Hash]l402http.Offer{}
	c.http = &http.Client{Transport: careful{c.transport, plain}, CheckRedirect: c.checkRedirect}
	return c, nil
}

// Wallet pays for the client, and says what became of a payment.
type Wallet = l402http.Wallet

// walletFor makes the wallet of a configuration, and notes the network that the
// node of a session is on.
func walletFor(c *LNConfig) (Wallet, error) {
	switch c.Mode {
	case "none":
		return nil, nil
	case "lnd":
		return newWallet(c.LND), nil
	case "lnc":
		return newSessionWallet(c), nil
	}
	return nil, NotBuiltIn("ln.mode: " + c.Mode)
}

// NotBuiltIn is the error of a wallet that lnget does not have yet.
func NotBuiltIn(what string) error {
	return fault.New("not_built_in", "run a node with `leyden node create` and `leyden node start`, then `lnget config init`",
		"%s comes in a later version", what)
}

// clientKey reads the secret that the nonces of all origins derive from, or
// makes one. Where it cannot be kept, each run has its own: sellers then do
// not know the client again, and nothing else is lost.
func clientKey(path string) ([]byte, error) {
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		rand.Read(key)
		if files.MkdirPrivate(filepath.Dir(path)) == nil {
			_ = files.Write(path, []byte(hex.EncodeToString(key)+"\n"), 0o600)
		}
		return key, nil
	} else if err != nil {
		return nil, unreadable(err)
	}
	var key [32]byte
	text := bytes.TrimSpace(data)
	if _, err := hex.Decode(key[:], text[:min(len(text), 64)]); err != nil || len(text) != 64 {
		return nil, fault.New(CodeCorruptStore, "rm "+path, "%q does not hold 64 hex digits", path)
	}
	return key[:], nil
}

// newBase is the plain HTTP below: one connection kept per host, bodies as they
// are sent.
func newBase(c HTTPConfig, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: proxyAnswered,
		DialContext:            newDialer(c.Timeout).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.AllowInsecure},
		TLSHandshakeTimeout:    c.Timeout,
		ResponseHeaderTimeout:  c.Timeout,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true,
		// Four challenges of the longest invoices there are.
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// Close ends idle connections.
func (c *Client) Close() {
	c.base.CloseIdleConnections()
	if w, ok := c.transport.Wallet.(*wallet); ok {
		w.close()
	}
}

// Store returns the client's tokens and payments.
func (c *Client) Store() *FileStore { return c.store }

// Recover asks the node what became of every pending payment. It pays nothing.
func (c *Client) Recover(ctx context.Context) ([]l402http.Purchase, error) {
	all, err := c.store.All()
	if err != nil {
		return nil, err
	}
	wallet, err := walletFor(&c.cfg.LN)
	if err != nil {
		return nil, err
	}
	if w, ok := wallet.(interface{ close() }); ok {
		defer w.close()
	}
	if wallet == nil {
		return nil, NotBuiltIn("asking a node with ln.mode: none")
	}
	asking := &l402http.Transport{Store: c.store, Wallet: wallet,
		Network: c.cfg.LN.LND.Network, PaymentTimeout: c.cfg.L402.PaymentTimeout}
	var (
		recovered []l402http.Purchase
		errs      []error
		asked     = map[l402http.Origin]bool{}
	)
	for _, p := range all {
		if p.State != l402http.StatePending || asked[p.Origin] {
			continue
		}
		asked[p.Origin] = true
		some, err := asking.Recover(ctx, p.Origin)
		recovered = append(recovered, some...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return recovered, Explain(errors.Join(errs...))
}
