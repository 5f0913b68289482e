package fetch

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

func newNode(t *testing.T) (*fetchtest.Node, *wallet, l402http.Payment, fetchtest.Ledger) {
	t.Helper()
	ledger := fetchtest.Ledger(t.TempDir())
	node, err := fetchtest.StartNode(t.TempDir(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	w := newWallet(LNDConfig{Host: node.Addr, TLSCert: filepath.Join(node.Dir, "tls.cert"),
		Macaroon: filepath.Join(node.Dir, "data/chain/bitcoin/regtest/admin.macaroon")})
	t.Cleanup(w.close)
	i := fetchtest.Invoice{Amount: 1000, Preimage: fetchtest.NewPreimage()}
	text, hash, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Publish(i.Preimage); err != nil {
		t.Fatal(err)
	}
	return node, w, l402http.Payment{Invoice: text, Hash: hash, Timeout: time.Minute}, ledger
}

func TestWalletPaysOnce(t *testing.T) {
	_, w, p, _ := newNode(t)
	if _, err := w.Track(t.Context(), p.Hash); !errors.Is(err, l402http.ErrPaymentUnknown) {
		t.Errorf("track before: %v", err)
	}
	r, err := w.Pay(t.Context(), p)
	if err != nil || r.Preimage.Hash() != p.Hash || r.Fee != 1000 {
		t.Errorf("pay: %+v %v", r, err)
	}
	if _, err := w.Pay(t.Context(), p); !errors.Is(err, l402http.ErrPaymentKnown) {
		t.Errorf("pay again: %v", err)
	}
	if again, err := w.Track(t.Context(), p.Hash); err != nil || again != r {
		t.Errorf("track: %+v %v", again, err)
	}
}

func TestWalletNamesItsNode(t *testing.T) {
	_, w, _, _ := newNode(t)
	if name, err := w.Node(t.Context()); err != nil || name != "02ab" {
		t.Errorf("by public key: %q, %v", name, err)
	}
	seen := map[string]bool{}
	for range 2 {
		node, w, _, _ := newNode(t)
		node.Nameless = true
		name, err := w.Node(t.Context())
		if err != nil || !strings.HasPrefix(name, "tls:") || len(name) != 4+64 {
			t.Errorf("by certificate: %q, %v", name, err)
		}
		seen[name] = true
	}
	if len(seen) != 2 {
		t.Errorf("two nodes, names %v", seen)
	}
}

// TestWhatAnErrorProves: only what the node itself answered, while it does not
// know the hash, proves that nothing was sent.
func TestWhatAnErrorProves(t *testing.T) {
	cases := map[string]struct {
		refuse error
		known  bool // the node has the payment all the same
		proves error
	}{
		"ok/lnd's own refusal":             {status.Error(codes.Unknown, "invoice expired"), false, l402http.ErrNothingSent},
		"ok/a limit of the account":        {status.Error(codes.ResourceExhausted, "leyden: budget_exceeded: 100 sat over"), false, l402http.ErrNothingSent},
		"ok/macaroon too weak":             {status.Error(codes.PermissionDenied, "permission denied"), false, l402http.ErrNothingSent},
		"ok/locked":                        {status.Error(codes.Unknown, "wallet locked, unlock it to enable full RPC access"), false, l402http.ErrNothingSent},
		"ok/in flight":                     {status.Error(codes.AlreadyExists, "payment is in transition"), true, l402http.ErrPaymentKnown},
		"ok/an account's own payment":      {status.Error(codes.AlreadyExists, "leyden: already_paid: paid"), true, l402http.ErrPaymentKnown},
		"ok/another account paid it":       {status.Error(codes.AlreadyExists, "leyden: already_paid: paid"), false, l402http.ErrNothingSent},
		"ok/another account pays it":       {status.Error(codes.AlreadyExists, "leyden: payment_in_flight: wait"), false, l402http.ErrNothingSent},
		"fail/refused, but it is there":    {status.Error(codes.Unknown, "router is shutting down"), true, nil},
		"fail/connection lost":             {status.Error(codes.Unavailable, "transport is closing"), false, nil},
		"fail/front lost its lnd":          {status.Error(codes.Unavailable, "leyden: node_down: lnd is not running"), false, nil},
		"fail/front lost it, starts again": {status.Error(codes.Unavailable, "leyden: node_starting: wait"), false, nil},
		"fail/deadline":                    {status.Error(codes.DeadlineExceeded, "too late"), false, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			node, w, p, ledger := newNode(t)
			node.Refuse = c.refuse
			if c.known {
				if _, err := ledger.Pay(p.Hash); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.Pay(t.Context(), p)
			if err == nil {
				t.Fatal("paid")
			}
			for _, kind := range []error{l402http.ErrNothingSent, l402http.ErrPaymentKnown} {
				if got, want := errors.Is(err, kind), c.proves == kind; got != want {
					t.Errorf("%v: proves %q: %t, want %t", err, kind, got, want)
				}
			}
		})
	}
}

func TestNodeThatIsNotThere(t *testing.T) {
	node, w, p, _ := newNode(t)
	node.Stop()
	_, err := w.Pay(t.Context(), p)
	if !errors.Is(err, l402http.ErrNothingSent) || fault.Code(err) != "node_unreachable" {
		t.Errorf("got %v", err)
	}
	missing := newWallet(LNDConfig{Host: node.Addr, TLSCert: "/none/tls.cert"})
	if _, err := missing.Pay(t.Context(), p); !errors.Is(err, l402http.ErrNothingSent) || fault.Code(err) != "bad_certificate" {
		t.Errorf("got %v", err)
	}
}

func TestPaymentInterrupted(t *testing.T) {
	_, w, p, _ := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Track(ctx, p.Hash); err == nil || errors.Is(err, l402http.ErrPaymentUnknown) {
		t.Errorf("an interrupted look-up says %v", err)
	}
}

// TestWalletClosedBeforeItWarms: a program that ends at once may close its
// wallet before the connection is begun.
func TestWalletClosedBeforeItWarms(t *testing.T) {
	_, w, p, _ := newNode(t)
	w.close()
	if c, _, err := w.dial(); c != nil || err == nil {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := w.Pay(t.Context(), p); !errors.Is(err, l402http.ErrNothingSent) {
		t.Errorf("pay: %v", err)
	}
}

// TestInterruptWhileTheNodeIsSilent: Ctrl-C does not wait for it.
func TestInterruptWhileTheNodeIsSilent(t *testing.T) {
	answer := make(chan struct{})
	defer close(answer)
	w := newWallet(LNDConfig{})
	w.node = func() (string, error) { <-answer; return "", nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Node(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
