package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402/l402http"
)

// wallet pays with an lnd that is dialled when there is something to pay.
type wallet struct {
	connect func() (*lightning.Client, error)
	// unnamed names a node that does not say who it is.
	unnamed func() (string, error)
	node    func() (string, error)
	// brief lets the connection go once a payment is over: others of this
	// machine wait for it. waiting, if set, hears that this one waits.
	brief   bool
	waiting func()

	mu     sync.Mutex
	client *lightning.Client // nil: none
	users  int               // of client
	over   bool              // client is to go when nobody uses it
	closed bool
	gone   sync.WaitGroup
}

// nodeTimeout bounds the question which node this is.
const nodeTimeout = 10 * time.Second

func newWallet(c LNDConfig) *wallet {
	w := &wallet{connect: func() (*lightning.Client, error) { return Dial(c) }, unnamed: c.certificateName}
	w.node = sync.OnceValues(w.askNode)
	return w
}

// dial returns the connection to the node, for use until done.
func (w *wallet) dial() (c *lightning.Client, done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, net.ErrClosed
	}
	if w.client == nil {
		if w.client, err = w.connect(); err != nil {
			return nil, nil, err
		}
	}
	w.users++
	return w.client, w.done, nil
}

func (w *wallet) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users--; w.users == 0 && w.over && w.client != nil {
		leaving := w.client
		w.client, w.over = nil, false
		w.gone.Go(func() { _ = leaving.Close() })
	}
}

// settled says that a payment is over, unless its error leaves that open.
func (w *wallet) settled(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = w.brief && (err == nil || errors.Is(err, l402http.ErrNothingSent))
}

func (w *wallet) close() {
	w.mu.Lock()
	leaving := w.client
	w.client, w.closed = nil, true
	w.mu.Unlock()
	if leaving != nil {
		_ = leaving.Close()
	}
	w.gone.Wait()
}

// Dial prepares a connection to the configured node; it sends nothing.
func Dial(c LNDConfig) (*lightning.Client, error) {
	client, err := lightning.Dial(lightning.Config{Host: c.Host, TLSCertPath: c.TLSCert, MacaroonPath: c.Macaroon})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Code(err), "lnget config init", "%w", err)
	}
	return client, err
}

// Warm implements [l402http.Warmer]: TLS with the node takes longer than
// reading a challenge.
func (w *wallet) Warm() {
	go func() {
		if c, done, err := w.dial(); err == nil {
			defer done()
			c.Connect()
		}
	}()
}

// Node implements [l402http.Namer]: the node's public key, or, with a macaroon
// that does not allow GetInfo, its certificate or its key of the session. The
// node is asked once, and one that is paired with has been. A session is waited
// for: what comes after this is a payment, whose time is short.
func (w *wallet) Node(ctx context.Context) (string, error) {
	c, done, err := w.dial()
	if err != nil {
		return "", err
	}
	defer done()
	if err := c.Enter(ctx); err != nil {
		return "", err
	}
	asked := make(chan struct{})
	go func() {
		_, _ = w.node()
		close(asked)
	}()
	select {
	case <-asked:
		return w.node()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (w *wallet) askNode() (string, error) {
	c, done, err := w.dial()
	if err != nil {
		return "", err
	}
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	info, err := c.GetInfo(ctx)
	if fault.Code(err) == lightning.CodePermissionDenied {
		return w.unnamed()
	}
	return info.Pubkey, err
}

// certificateName names the node by the SHA-256 of its certificate's file.
func (c LNDConfig) certificateName() (string, error) {
	if c.TLSCert == "" {
		return "", nil
	}
	pem, err := os.ReadFile(c.TLSCert)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(pem)
	return "tls:" + hex.EncodeToString(sum[:]), nil
}

// Pay implements [l402http.Wallet].
func (w *wallet) Pay(ctx context.Context, p l402http.Payment) (_ l402http.Receipt, err error) {
	c, done, err := w.dial()
	if err != nil {
		return l402http.Receipt{}, kind(l402http.ErrNothingSent, err)
	}
	defer done()
	defer func() { w.settled(err) }()
	paid, err := c.SendPayment(ctx, lightning.SendPayment{Invoice: p.Invoice, MaxFee: p.MaxFee, Timeout: p.Timeout})
	if err != nil {
		return l402http.Receipt{}, w.classify(ctx, p.Hash, err)
	}
	return l402http.Receipt{Preimage: paid.Preimage, Fee: paid.Fee}, nil
}

// Track implements [l402http.Wallet].
func (w *wallet) Track(ctx context.Context, hash lntypes.Hash) (l402http.Receipt, error) {
	c, done, err := w.dial()
	if err != nil {
		return l402http.Receipt{}, err
	}
	defer done()
	p, err := c.TrackPayment(ctx, hash)
	switch {
	case fault.Code(err) == lightning.CodeNotFound:
		return l402http.Receipt{}, kind(l402http.ErrPaymentUnknown, err)
	case err != nil:
		return l402http.Receipt{}, err
	case p.State == lightning.PaymentFailed:
		return l402http.Receipt{}, kind(l402http.ErrNothingSent,
			fault.New(lightning.CodePaymentFailed, "", "payment failed: %s", p.Reason))
	}
	return l402http.Receipt{Preimage: p.Preimage, Fee: p.Fee}, nil
}

// classify says what an error of SendPayment proves.
func (w *wallet) classify(ctx context.Context, hash lntypes.Hash, err error) error {
	switch code := fault.Code(err); {
	case lightning.NotSent(err), code == lightning.CodePaymentFailed:
		return kind(l402http.ErrNothingSent, err)
	case code == lightning.CodeAlreadyPaid, code == lightning.CodeInFlight:
		// On an account it may be another's payment, of which this one sees
		// nothing and from which it has nothing.
		if _, trackErr := w.Track(ctx, hash); errors.Is(trackErr, l402http.ErrPaymentUnknown) {
			return kind(l402http.ErrNothingSent, err)
		}
		return kind(l402http.ErrPaymentKnown, err)
	case !answered(err):
		return err
	case code == lightning.CodePermissionDenied, code == lightning.CodeBadMacaroon,
		code == lightning.CodeLocked, code == lightning.CodeStarting:
		return kind(l402http.ErrNothingSent, err)
	}
	// The node ended the call with an error of its own. If it does not know
	// the hash either, the call came to nothing.
	if _, trackErr := w.Track(ctx, hash); errors.Is(trackErr, l402http.ErrPaymentUnknown) {
		return kind(l402http.ErrNothingSent, err)
	}
	return err
}

// answered reports whether the node ended the call itself, rather than a
// broken connection, a time-out or a front that lost its node.
func answered(err error) bool {
	st, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch st.Code() {
	case codes.Unknown, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.ResourceExhausted, codes.FailedPrecondition, codes.Unimplemented:
		return true
	}
	return false
}

// kindError is a node's error, worded as the node did, that is also one of the
// wallet's certainties.
type kindError struct{ kind, err error }

func kind(k, err error) error { return &kindError{k, err} }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }
