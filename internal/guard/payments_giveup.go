package guard

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
)

// giveUpAfter is how old a payment's last attempt must be before it may be given
// up, where lnd may be the same run that made it.
const giveUpAfter = 24 * time.Hour

const givenUpReason = "given up by the operator"

// GiveUpPayment releases the open payment of a hash that lnd will never end: a
// killed lnd can leave one in flight with no HTLC in any channel (lnd issue
// 5152). It is refused while an HTLC of it may be anywhere. If lnd reports it as
// paid after all, within a month, the account is debited. Codes: not_found,
// payment_in_flight, node_unreachable, node_error, the ledger's.
func (g *Guard) GiveUpPayment(ctx context.Context, by audit.Actor, hash lntypes.Hash) (account.Payment, error) {
	lnd, err := g.attached()
	if err != nil {
		return account.Payment{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	defer g.payments.taking.lock(hash)()
	if p := g.payments.payer(hash); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.calls > 0 {
			return account.Payment{}, stillInFlight("a request for it is with lnd")
		}
		if !p.closed {
			defer p.closeIfOver(ctx)
		}
	}
	payment, err := g.opts.Ledger.OpenByHash(ctx, hash)
	if fault.Code(err) == account.CodeNotFound {
		return account.Payment{}, fault.New(account.CodeNotFound, "leyden accounts payments ID|LABEL",
			"no payment of hash %s is in flight", hash)
	}
	if err != nil {
		return account.Payment{}, err
	}
	if payment.Transfer {
		return account.Payment{}, stillInFlight("it is a payment between accounts, which the guard ends by itself")
	}
	state, outcome, err := g.givenUp(ctx, lnd, payment)
	if err != nil {
		return account.Payment{}, err
	}
	released, err := g.opts.Ledger.GiveUp(ctx, by, payment.ID, state, outcome)
	if err != nil {
		return account.Payment{}, err
	}
	if shown, err := recordedPayment(released); err == nil && state == account.StateFailed {
		g.payments.tell(released, shown)
	} else {
		g.payments.fail(released, errUnknownPayment)
	}
	return released, nil
}

// closeIfOver lets go of a payment that is no longer open. The caller holds p.mu.
func (p *payer) closeIfOver(ctx context.Context) {
	now, err := p.guard.opts.Ledger.OpenByHash(ctx, p.payment.Hash)
	if fault.Code(err) == account.CodeNotFound || err == nil && now.ID != p.payment.ID {
		p.close()
	}
}

// givenUp returns what a payment becomes that lnd will never end, or why lnd may
// still end it.
func (g *Guard) givenUp(ctx context.Context, lnd *attachment, payment account.Payment) (account.State, account.Outcome, error) {
	none := account.Outcome{}
	known, err := lnd.payment(payment.Hash)
	if err != nil {
		return "", none, lndFault("ask for the payment", err)
	}
	if p := g.newPayer(lnd, payment); !p.ours(known) {
		known = nil
	}
	if known != nil && isFinal(known) {
		return "", none, stillInFlight("lnd has ended it just now; the account is settled in a moment")
	}
	if err := g.settledDown(lnd, payment, known); err != nil {
		return "", none, err
	}
	if err := lnd.holdsNothing(ctx, payment.Hash, known); err != nil {
		return "", none, err
	}
	if known == nil {
		return account.StateVoid, account.Outcome{Reason: givenUpReason}, nil
	}
	final := proto.Clone(known).(*lnrpc.Payment)
	final.Status, final.FailureReason = lnrpc.Payment_FAILED, lnrpc.PaymentFailureReason_FAILURE_REASON_ERROR
	for _, h := range attempts(final) {
		h.Status = lnrpc.HTLCAttempt_FAILED
	}
	raw, err := proto.Marshal(final)
	return account.StateFailed, account.Outcome{LndIndex: known.GetPaymentIndex(), Reason: givenUpReason, Final: raw}, err
}

// settledDown says whether lnd makes no more attempts: those of an earlier run
// are only waited for. An lnd that may be the same run as then is trusted after
// a day, if it waits for an attempt.
func (g *Guard) settledDown(lnd *attachment, payment account.Payment, known *lnrpc.Payment) error {
	var newest time.Time
	sameRun, waits := payment.Run == lnd.Run || lnd.MayOutlive, attempts(known)
	if sameRun {
		newest = payment.Created
	}
	for _, h := range waits {
		if at := time.Unix(0, h.GetAttemptTimeNs()); at.After(newest) {
			newest = at
		}
	}
	switch now := g.opts.Now(); {
	case !sameRun && newest.Before(lnd.since):
		return nil
	case newest.After(now.Add(-giveUpAfter)):
		return stillInFlight("its last attempt, of %s, may be of the present run of lnd: restart lnd, or wait for %s",
			newest.UTC().Format(time.RFC3339), newest.Add(giveUpAfter).UTC().Format(time.RFC3339))
	case known != nil && len(waits) == 0:
		return stillInFlight("lnd may still be trying: restart lnd first")
	}
	return nil
}

// attempts are the payment's HTLCs whose end lnd does not know.
func attempts(p *lnrpc.Payment) (list []*lnrpc.HTLCAttempt) {
	for _, h := range p.GetHtlcs() {
		if h.GetStatus() == lnrpc.HTLCAttempt_IN_FLIGHT {
			list = append(list, h)
		}
	}
	return list
}

// holdsNothing says whether no channel has an HTLC of the hash. Of a channel that
// is being closed lnd does not tell the hashes: then every attempt must have
// gone out by one that is open.
func (a *attachment) holdsNothing(ctx context.Context, hash lntypes.Hash, known *lnrpc.Payment) error {
	open, err := a.lightning.ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return lndFault("list the channels", err)
	}
	byOpen := make(map[uint64]bool)
	for _, channel := range open.GetChannels() {
		for _, id := range append(channel.GetAliasScids(), channel.GetChanId(), channel.GetZeroConfConfirmedScid()) {
			byOpen[id] = true
		}
		for _, htlc := range channel.GetPendingHtlcs() {
			if bytes.Equal(htlc.GetHashLock(), hash[:]) {
				return stillInFlight("channel %d holds an HTLC of it, until block %d at most",
					channel.GetChanId(), htlc.GetExpirationHeight())
			}
		}
	}
	pending, err := a.lightning.PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return lndFault("list the channels that are being closed", err)
	}
	closing := len(pending.GetWaitingCloseChannels()) + len(pending.GetPendingForceClosingChannels())
	elsewhere := func(h *lnrpc.HTLCAttempt) bool {
		hops := h.GetRoute().GetHops()
		return len(hops) == 0 || !byOpen[hops[0].GetChanId()]
	}
	waits := attempts(known)
	if closing > 0 && (len(waits) == 0 || slices.ContainsFunc(waits, elsewhere)) {
		return stillInFlight("an HTLC of it may be in one of %d channels that are being closed: wait until they are", closing)
	}
	return nil
}

// lookAtGivenUp debits payments that were given up and that lnd paid after all.
func (g *Guard) lookAtGivenUp(ctx context.Context, lnd *attachment) error {
	list, err := g.opts.Ledger.GivenUp(ctx)
	if err != nil {
		return err
	}
	for _, payment := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		state, err := lnd.payment(payment.Hash)
		if err != nil {
			g.log.Warn("a payment that was given up cannot be looked at", "hash", payment.Hash, "err", err)
			continue
		}
		if state == nil || !isFinal(state) || !sameCreation(payment, state) {
			continue
		}
		outcome, end, err := outcomeOf(state)
		if err != nil || end != account.StateSucceeded {
			continue
		}
		if _, err := g.opts.Ledger.Settle(ctx, payment.ID, outcome); err != nil {
			return err
		}
		g.log.Error("a payment that was given up was paid after all: its account is debited",
			"account", payment.Account, "hash", payment.Hash, "paid_msat", uint64(outcome.Paid))
	}
	return nil
}

// sameCreation says whether lnd's payment is the one that was given up, and none
// that was made with its hash afterwards: lnd keeps the time to the microsecond.
func sameCreation(given account.Payment, now *lnrpc.Payment) bool {
	then := new(lnrpc.Payment)
	if proto.Unmarshal(given.Final, then) != nil {
		return false
	}
	apart := time.Duration(then.GetCreationTimeNs() - now.GetCreationTimeNs()).Abs()
	return apart < time.Millisecond
}

func stillInFlight(format string, args ...any) error {
	return fault.New(account.CodeInFlight, "leyden accounts payments ID|LABEL", "the payment cannot be given up: "+format, args...)
}
