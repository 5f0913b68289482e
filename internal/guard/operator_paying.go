package guard

import (
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
)

// hashes is a set of payment hashes, each counted.
type hashes struct {
	mu    sync.Mutex
	all   int
	count map[lntypes.Hash]int
}

func newHashes() *hashes { return &hashes{count: make(map[lntypes.Hash]int)} }

func (h *hashes) add(list []lntypes.Hash, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if all {
		h.all++
	}
	for _, hash := range list {
		h.count[hash]++
	}
}

func (h *hashes) remove(list []lntypes.Hash, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if all {
		h.all--
	}
	for _, hash := range list {
		if h.count[hash]--; h.count[hash] <= 0 {
			delete(h.count, hash)
		}
	}
}

func (h *hashes) has(hash lntypes.Hash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all > 0 || h.count[hash] > 0
}

// operatorPaying says whether an operator is paying the hash, or deleting what
// lnd knows of it, through this front. It must be asked after the account's
// reservation of the hash is durable and before lnd hears of it: an operator's
// call claims its hash before it looks for reservations, so that one of the two
// always sees the other. It does not know of payments that an operator began
// before this attachment or at lnd's own port: a shard, which lnd would let join
// those, needs lnd's own word as well.
func (g *Guard) operatorPaying(hash lntypes.Hash) bool { return g.paying.has(hash) }

// unknownTries and unknownWait bound how long a payment that lnd was asked for may
// stay unknown to it: the request may still be on its way.
const (
	unknownTries = 10
	unknownWait  = 500 * time.Millisecond
)

// awaitFinal returns when lnd no longer acts on the payment, or the attachment
// ends.
func (a *attachment) awaitFinal(hash lntypes.Hash) {
	for range unknownTries {
		if a.trackOnce(hash) {
			return
		}
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(unknownWait):
		}
	}
}

// trackOnce follows the payment and says whether it saw its end.
func (a *attachment) trackOnce(hash lntypes.Hash) bool {
	updates, err := a.router.TrackPaymentV2(a.ctx, &routerrpc.TrackPaymentRequest{
		PaymentHash: hash[:], NoInflightUpdates: true,
	})
	for err == nil {
		var p *lnrpc.Payment
		p, err = updates.Recv()
		switch p.GetStatus() {
		case lnrpc.Payment_SUCCEEDED, lnrpc.Payment_FAILED:
			return true
		}
	}
	return false
}
