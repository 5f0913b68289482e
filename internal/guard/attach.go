package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
)

const (
	// learnTimeout bounds each question when attaching.
	learnTimeout = time.Minute

	// An lnd that does not answer a probe within probeTimeout counts as dead.
	probeInterval = 15 * time.Second
	probeTimeout  = 30 * time.Second
)

// attachment is the guard's hold on one run of lnd.
type attachment struct {
	Access

	// since is when this life of lnd was attached to first.
	since time.Time

	// ctx ends with the attachment; calls to lnd for accounts descend from it.
	ctx    context.Context
	cancel context.CancelCauseFunc

	lightning lnrpc.LightningClient
	router    routerrpc.RouterClient
	invoices  invoicesrpc.InvoicesClient

	// identity is the node's public key, hex.
	identity string

	// params are those of the node's network.
	params *chaincfg.Params

	// permissions are what each of lnd's methods requires, by full method.
	permissions map[string][]permission

	// newest is the highest payment index that lnd has shown, learned what it
	// was when the attachment began.
	newest  atomic.Uint64
	learned uint64

	// reconciled is closed once what was left open has been looked at.
	reconciled chan struct{}

	// left is told that something may have been left at lnd that retire ends.
	left chan struct{}

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// permission is one of lnd's: "offchain", "write".
type permission struct{ entity, action string }

func newAttachment(ctx context.Context, lnd Access) *attachment {
	a := &attachment{
		Access:     lnd,
		lightning:  lnrpc.NewLightningClient(lnd.Conn),
		router:     routerrpc.NewRouterClient(lnd.Conn),
		invoices:   invoicesrpc.NewInvoicesClient(lnd.Conn),
		reconciled: make(chan struct{}),
		left:       make(chan struct{}, 1),
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	return a
}

// spawn runs f in a goroutine that the attachment waits for at its end. False,
// with f not run, once it has ended. f must return soon after a.ctx is done.
func (a *attachment) spawn(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.running.Go(f)
	return true
}

// keep runs f for as long as the attachment lasts: if f returns before, the
// attachment ends with its error.
func (a *attachment) keep(what string, f func(context.Context) error) {
	a.spawn(func() {
		err := f(a.ctx)
		if err == nil {
			err = errors.New("ended")
		}
		a.cancel(fmt.Errorf("%s: %w", what, err))
	})
}

// end ends the attachment with the error, unless it has one, and waits for all
// that runs in it.
func (a *attachment) end(err error) {
	a.cancel(err)
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.running.Wait()
}

// isReconciled says whether accounts are served.
func (a *attachment) isReconciled() bool {
	select {
	case <-a.reconciled:
		return true
	default:
		return false
	}
}

// sawIndex raises newest to lnd's payment index.
func (a *attachment) sawIndex(index uint64) {
	for {
		old := a.newest.Load()
		if index <= old || a.newest.CompareAndSwap(old, index) {
			return
		}
	}
}

// learn asks lnd what the guard must know before the first call.
func (a *attachment) learn() error {
	ctx, cancel := context.WithTimeout(a.ctx, learnTimeout)
	defer cancel()
	info, err := a.lightning.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return fmt.Errorf("ask for the node's identity: %w", err)
	}
	a.identity = info.GetIdentityPubkey()
	if a.params, err = networkParams(info.GetChains()); err != nil {
		return err
	}
	perms, err := a.lightning.ListPermissions(ctx, &lnrpc.ListPermissionsRequest{})
	if err != nil {
		return fmt.Errorf("ask for the methods' permissions: %w", err)
	}
	a.permissions = make(map[string][]permission, len(perms.GetMethodPermissions()))
	for method, list := range perms.GetMethodPermissions() {
		a.permissions[method] = nil
		for _, p := range list.GetPermissions() {
			a.permissions[method] = append(a.permissions[method], permission{p.GetEntity(), p.GetAction()})
		}
	}
	newest, err := a.lightning.ListPayments(ctx, &lnrpc.ListPaymentsRequest{
		Reversed: true, MaxPayments: 1, IncludeIncomplete: true, OmitHops: true,
	})
	if err != nil {
		return fmt.Errorf("ask for the newest payment: %w", err)
	}
	for _, p := range newest.GetPayments() {
		a.sawIndex(p.GetPaymentIndex())
	}
	a.learned = a.newest.Load()
	return nil
}

// networks are lnd's names of the networks.
var networks = map[string]*chaincfg.Params{
	"mainnet":  &chaincfg.MainNetParams,
	"testnet":  &chaincfg.TestNet3Params,
	"testnet4": &chaincfg.TestNet4Params,
	"signet":   &chaincfg.SigNetParams,
	"simnet":   &chaincfg.SimNetParams,
	"regtest":  &chaincfg.RegressionNetParams,
}

func networkParams(chains []*lnrpc.Chain) (*chaincfg.Params, error) {
	if len(chains) != 1 {
		return nil, fmt.Errorf("lnd names %d chains, want one", len(chains))
	}
	params, ok := networks[chains[0].GetNetwork()]
	if !ok {
		return nil, fmt.Errorf("unknown network %q", chains[0].GetNetwork())
	}
	return params, nil
}

// probe asks lnd for a sign of life over and over: one that hangs keeps its
// connections.
func (a *attachment) probe(ctx context.Context) error {
	state := lnrpc.NewStateClient(a.Conn)
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, probeTimeout)
		_, err := state.GetState(ask, &lnrpc.GetStateRequest{})
		cancel()
		if err != nil {
			return err
		}
	}
}
