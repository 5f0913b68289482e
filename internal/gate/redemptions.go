package gate

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// flushTimeout is how long the last records may take when the gate stops.
const flushTimeout = 5 * time.Second

// redemptions keeps in the database which payments have been used up. A
// payment is used up before its request is passed on, and marked as answered
// soon after the answer began. What is not marked when the gate breaks off is
// restored at its next start: its buyer may have got nothing, and gets at most
// one request more. Nobody outside can bring a crash about at will, so that is
// no way to buy once and use twice; a client that merely goes away restores
// nothing.
type redemptions struct {
	db   *gatedb.DB
	log  *slog.Logger
	wake chan struct{}

	mu       sync.Mutex
	answered []lntypes.Hash // not recorded yet
	cut      bool           // what is under way is cut short
}

// openRedemptions restores what a crash cut short. To be called before
// anything is served.
func openRedemptions(ctx context.Context, db *gatedb.DB, log *slog.Logger) (*redemptions, error) {
	n, err := db.RestoreUnanswered(ctx)
	if n > 0 {
		log.Warn("payments restored whose requests were cut short", "payments", n)
	}
	return &redemptions{db: db, log: log, wake: make(chan struct{}, 1)}, err
}

func (r *redemptions) Redeem(ctx context.Context, hash lntypes.Hash, service string, until time.Time) error {
	found, err := r.db.Redeem(ctx, hash, service, time.Now(), until)
	switch {
	case err != nil:
		return err
	case found == gatedb.AlreadyRedeemed:
		return mpp.ErrUsed
	case found == gatedb.RedemptionRevoked:
		return l402.ReasonRevoked
	case found == gatedb.RedemptionUnknown:
		return mpp.ErrUnknownChallenge
	}
	return nil
}

func (r *redemptions) Restore(ctx context.Context, hash lntypes.Hash) error {
	return r.db.RestorePayment(ctx, hash)
}

func (r *redemptions) Answered(hash lntypes.Hash) {
	r.mu.Lock()
	if !r.cut {
		r.answered = append(r.answered, hash)
	}
	r.mu.Unlock()
	r.rouse()
}

// cutShort says that the gate ends and what has not been answered will not be:
// the next start restores it. Without it a request would look as if its client
// had gone away. r is nil where nothing is sold.
func (r *redemptions) cutShort() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
}

// rouse has record look for what there is to write down.
func (r *redemptions) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// record writes down what was answered until ctx ends, and then once more.
func (r *redemptions) record(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			if !r.flush(ctx) && ctx.Err() == nil {
				pause(ctx, maxBackoff)
				r.rouse()
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			r.flush(last)
			return
		}
	}
}

// flush writes down what was answered so far, and keeps it when it cannot.
func (r *redemptions) flush(ctx context.Context) bool {
	r.mu.Lock()
	hashes := r.answered
	r.answered = nil
	r.mu.Unlock()
	if len(hashes) == 0 {
		return true
	}
	err := r.db.AnsweredPayments(ctx, hashes)
	if err == nil {
		return true
	}
	r.log.Error("record answered payments", "payments", len(hashes), "err", err)
	r.mu.Lock()
	r.answered = append(hashes, r.answered...)
	r.mu.Unlock()
	return false
}
