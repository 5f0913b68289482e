package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402/l402http"
)

// invoiceMacaroon is lnd's own macaroon for those who only take money.
const invoiceMacaroon = "invoice.macaroon"

// Node is what the gate needs of the Lightning node that is paid. Errors have
// the codes of internal/lightning.
type Node interface {
	AddInvoice(ctx context.Context, n lightning.NewInvoice) (lightning.Invoice, error)
	LookupInvoice(ctx context.Context, hash lntypes.Hash) (lightning.Invoice, error)
	CancelInvoice(ctx context.Context, hash lntypes.Hash) error
	SubscribeInvoices(ctx context.Context, addIndex, settleIndex uint64, each func(lightning.Invoice) error) error
	Close() error
}

// dialNode reads the node's certificate and macaroon, or the keys of its
// session.
func (c *Config) dialNode() (Node, error) {
	a := c.Authenticator
	if a.Passphrase != "" {
		return c.dialSession()
	}
	client, err := lightning.Dial(lightning.Config{
		Host: a.LndHost, TLSCertPath: a.TLSPath, MacaroonPath: filepath.Join(a.MacDir, invoiceMacaroon)})
	if err != nil {
		return nil, err // not a nil *Client in a Node
	}
	return client, nil
}

// link is the connection to the node: who to call, and why not, if not. It is
// the seller's l402http.Invoicer.
type link struct {
	dial    func() (Node, error)
	network network
	settled func(context.Context, lightning.Invoice) error
	log     *slog.Logger

	// broken gets the error of a call that the node did not answer, so that
	// the stream, which may hang as well, is opened again. Buffered by one.
	broken chan error

	mu     sync.Mutex
	node   Node
	down   error // nil: the node answers
	strays error // the node is on another network; for good
}

// Ready returns why no invoice can be made now, nil when it can.
func (l *link) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strays != nil {
		return l.strays
	}
	return l.down
}

// current returns the node, dialled if need be.
func (l *link) current() (Node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.node != nil {
		return l.node, nil
	}
	node, err := l.dial()
	if err != nil {
		return nil, err
	}
	l.node = node
	return node, nil
}

// report says whether the node answers. After an error that new files may
// cure, certificate and macaroon are read again.
func (l *link) report(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && (l.down == nil || l.down.Error() != err.Error()) {
		l.log.Warn("the node cannot be used: no new tokens are sold, those sold are honoured",
			"err", err, "code", fault.Code(err), "hint", fault.Hint(err))
	}
	if err == nil && l.down != nil {
		l.log.Info("the node answers again")
	}
	l.down = err
	switch fault.Code(err) {
	case lightning.CodeBadCertificate, lightning.CodeBadMacaroon:
		if l.node != nil {
			_ = l.node.Close() // a new one is dialled
			l.node = nil
		}
	}
}

// probe asks the node for an invoice that there is not, which says all: it is
// there, it is the one with our certificate, and it accepts our macaroon.
func (l *link) probe(ctx context.Context) error {
	node, err := l.current()
	if err != nil {
		return err
	}
	var hash lntypes.Hash
	if _, err := rand.Read(hash[:]); err != nil {
		return err
	}
	_, err = node.LookupInvoice(ctx, hash)
	if fault.Code(err) == lightning.CodeNotFound {
		return nil
	}
	return err
}

// AddInvoice makes an invoice and checks that it is for our network.
func (l *link) AddInvoice(ctx context.Context, n l402http.NewInvoice) (string, error) {
	node, err := l.current()
	if err != nil {
		return "", err
	}
	made, err := node.AddInvoice(ctx, lightning.NewInvoice{
		Memo: n.Memo, Value: n.Amount, Expiry: n.Expiry, Preimage: n.Preimage})
	if err != nil {
		l.suspect(err)
		return "", err
	}
	if !l.network.owns(made.PaymentRequest) {
		return "", l.stray(made.PaymentRequest)
	}
	return made.PaymentRequest, nil
}

// suspect stops new sales after a call that the node did not answer, until it
// answers a probe.
func (l *link) suspect(err error) {
	switch fault.Code(err) {
	case lightning.CodeTimeout, lightning.CodeUnreachable, lightning.CodeRelayUnreachable,
		lightning.CodeSessionNotFound, lightning.CodeSessionInUse:
		l.report(err)
		select {
		case l.broken <- err:
		default:
		}
	}
}

// stray remembers that the node is on another network than configured.
func (l *link) stray(bolt11 string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strays = fault.New("wrong_network", "set authenticator.network in gate.yaml to the node's network",
		"the node's invoices begin with %.6q, which is not for %s", bolt11, l.network)
	l.log.Error("no tokens are sold until this is put right", "err", l.strays, "hint", fault.Hint(l.strays))
	return l.strays
}

// CancelInvoice implements l402http.Invoicer: an invoice that turns out to be
// settled is recorded as such.
func (l *link) CancelInvoice(ctx context.Context, hash lntypes.Hash) error {
	node, err := l.current()
	if err != nil {
		return err
	}
	refusal := node.CancelInvoice(ctx, hash)
	if refusal == nil || fault.Code(refusal) == lightning.CodeNotFound {
		return nil
	}
	inv, err := node.LookupInvoice(ctx, hash)
	switch {
	case fault.Code(err) == lightning.CodeNotFound, err == nil && inv.State == lightning.InvoiceCanceled:
		return nil
	case err == nil && inv.State == lightning.InvoiceSettled:
		return l.settled(ctx, inv)
	}
	return fmt.Errorf("cancel invoice %v: %w", hash, refusal)
}

// close ends the connection.
func (l *link) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.node == nil {
		return nil
	}
	err := l.node.Close()
	l.node = nil
	return err
}
