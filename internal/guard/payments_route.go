package guard

import (
	"context"
	"encoding/hex"
	"math"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/policy"
)

// shard is a SendToRoute request as lnd will understand it. Its intent's amount
// is what this route delivers, its fee what the route costs, its time locks are
// block heights.
type shard struct {
	intent
	multi bool // with an MPP record: one of several
	clean *routerrpc.SendToRouteRequest
}

// readRoute reads a SendToRouteRequest as lnd v0.21 does
// (routerrpc.UnmarshallRoute). Every hop must be named by its key, and blinded
// hops are refused: otherwise it would be lnd that finds out where they lead.
func (j judge) readRoute(req *routerrpc.SendToRouteRequest) (shard, error) {
	route := req.GetRoute()
	hops := route.GetHops()
	hash, err := lntypes.MakeHash(req.GetPaymentHash())
	switch {
	case unknownFields(req.ProtoReflect()):
		return shard{}, badRequest("the request has fields that this guard does not know")
	case err != nil:
		return shard{}, badRequest("payment_hash: %v", err)
	case len(hops) == 0:
		return shard{}, badRequest("unable to send, no routes provided")
	case route.GetTotalAmtMsat() <= 0 || route.GetTotalAmtMsat() > int64(policy.MaxAmount):
		return shard{}, badRequest("total_amt_msat %d is no amount to send", route.GetTotalAmtMsat())
	case len(req.GetFirstHopCustomRecords()) > 0:
		return shard{}, errCustomChannel
	case len(route.GetCustomChannelData()) > 0:
		return shard{}, badRequest("custom channels are not available to an account")
	}
	s := shard{clean: &routerrpc.SendToRouteRequest{
		PaymentHash: hash[:], SkipTempErr: req.GetSkipTempErr(),
		Route: &lnrpc.Route{TotalTimeLock: route.GetTotalTimeLock(), TotalAmtMsat: route.GetTotalAmtMsat()},
	}}
	s.hash, s.timeLock, s.parts = hash, route.GetTotalTimeLock(), 1
	left := route.GetTotalAmtMsat()
	for i, hop := range hops {
		clean, key, err := j.readHop(hop, left, i == len(hops)-1)
		if err != nil {
			return shard{}, err
		}
		left, s.payee, s.finalCLTV = hop.GetAmtToForwardMsat(), key, hop.GetExpiry()
		s.multi = clean.MppRecord != nil
		s.clean.Route.Hops = append(s.clean.Route.Hops, clean)
	}
	s.amount = lnwire.MilliSatoshi(left)
	s.maxFee = lnwire.MilliSatoshi(route.GetTotalAmtMsat() - left)
	return s, checkKeysend(hops[len(hops)-1].GetCustomRecords(), hash)
}

// readHop reads a hop that is sent arriving msat.
func (j judge) readHop(hop *lnrpc.Hop, arriving int64, last bool) (*lnrpc.Hop, policy.PubKey, error) {
	key, err := policy.ParsePubKey(hop.GetPubKey())
	mpp := hop.GetMppRecord()
	switch {
	case hop.GetAmpRecord() != nil:
		return nil, key, errAMP
	case err != nil:
		return nil, key, badRequest("pub_key %q of a hop: %v", hop.GetPubKey(), err)
	case j.isOwn(key[:]):
		return nil, key, errSameNode
	case hop.GetAmtToForwardMsat() <= 0 || hop.GetAmtToForwardMsat() > arriving:
		return nil, key, badRequest("amt_to_forward_msat %d of a hop that is sent %d msat", hop.GetAmtToForwardMsat(), arriving)
	case len(hop.GetBlindingPoint()) > 0 || len(hop.GetEncryptedData()) > 0 || hop.GetTotalAmtMsat() != 0:
		return nil, key, badRequest("blinded hops are not available to an account")
	case mpp != nil && !last:
		return nil, key, badRequest("mpp_record in a hop that is not the last")
	case mpp != nil && (len(mpp.GetPaymentAddr()) != 32 ||
		mpp.GetTotalAmtMsat() < hop.GetAmtToForwardMsat() || mpp.GetTotalAmtMsat() > int64(policy.MaxAmount)):
		return nil, key, badRequest("mpp_record with an address of %d bytes and a total of %d msat",
			len(mpp.GetPaymentAddr()), mpp.GetTotalAmtMsat())
	}
	return &lnrpc.Hop{
		ChanId: hop.GetChanId(), Expiry: hop.GetExpiry(), AmtToForwardMsat: hop.GetAmtToForwardMsat(),
		FeeMsat: arriving - hop.GetAmtToForwardMsat(), PubKey: hex.EncodeToString(key[:]),
		MppRecord: mpp, CustomRecords: hop.GetCustomRecords(), Metadata: hop.GetMetadata(),
	}, key, nil
}

// sendToRoute answers SendToRouteV2.
func sendToRoute(ctx context.Context, c *accountCall, req *routerrpc.SendToRouteRequest) (*lnrpc.HTLCAttempt, error) {
	s, err := c.judge().readRoute(req)
	if err != nil {
		return nil, err
	}
	if err := c.locks(ctx, &s); err != nil {
		return nil, err
	}
	if err := c.firstChannel(ctx, s); err != nil {
		return nil, err
	}
	p, err := c.takeShard(ctx, s)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		p.callOff()
		return nil, context.Cause(ctx)
	}
	type answer struct {
		htlc *lnrpc.HTLCAttempt
		err  error
	}
	done := make(chan answer, 1)
	if !c.lnd.spawn(func() {
		htlc, err := p.send(s.clean)
		done <- answer{htlc, err}
	}) {
		p.callOff()
		return nil, errNotAttached
	}
	select {
	case a := <-done:
		return a.htlc, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// send hands a shard to lnd and returns lnd's answer, once what it changed is in
// the ledger.
func (p *payer) send(req *routerrpc.SendToRouteRequest) (*lnrpc.HTLCAttempt, error) {
	ctx, answered := front.WithAnswer(p.lnd.ctx)
	htlc, err := p.lnd.router.SendToRouteV2(ctx, req)
	p.callEnded(nil, ending{err: err, answered: answered()})
	switch {
	case err == nil:
		hideChannel(htlc)
		return htlc, nil
	case !answered():
		return nil, errUnresolved
	}
	return nil, lndRefusal(err)
}

// locks turns the shard's heights into blocks from now, and judges them where
// the account has limits: a shard that joins a payment is not judged otherwise.
func (c *accountCall) locks(ctx context.Context, s *shard) error {
	limits := c.account.Limits
	if limits.MaxFinalCLTV == 0 && limits.MaxTimeLock == 0 {
		s.finalCLTV, s.timeLock = 0, 0
		return nil
	}
	info, err := c.lnd.lightning.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return lndError(err)
	}
	height := info.GetBlockHeight()
	s.finalCLTV -= min(s.finalCLTV, height)
	s.timeLock -= min(s.timeLock, height)
	switch {
	case limits.MaxFinalCLTV != 0 && s.finalCLTV > limits.MaxFinalCLTV:
		return denied(policy.LimitCLTV, "this route's last time lock of %d blocks is above the limit of %d", s.finalCLTV, limits.MaxFinalCLTV)
	case limits.MaxTimeLock != 0 && s.timeLock > limits.MaxTimeLock:
		return denied(policy.LimitTimeLock, "this route's time lock of %d blocks is above the limit of %d", s.timeLock, limits.MaxTimeLock)
	}
	return nil
}

// firstChannel fills in the first hop's channel where it was left to the node,
// as it is in the routes that an account gets.
func (c *accountCall) firstChannel(ctx context.Context, s shard) error {
	first := s.clean.Route.Hops[0]
	if first.ChanId != 0 {
		return nil
	}
	key, err := policy.ParsePubKey(first.PubKey)
	if err != nil {
		return err
	}
	list, err := c.lnd.lightning.ListChannels(ctx, &lnrpc.ListChannelsRequest{ActiveOnly: true, Peer: key[:]})
	if err != nil {
		return lndError(err)
	}
	var most int64 = math.MinInt64
	for _, channel := range list.GetChannels() {
		if spendable := channel.GetLocalBalance() - int64(channel.GetLocalConstraints().GetChanReserveSat()); spendable > most {
			most, first.ChanId = spendable, channel.GetChanId()
		}
	}
	if first.ChanId == 0 {
		return badRequest("no channel leads to %s, the route's first hop", first.PubKey)
	}
	return nil
}

// takeShard reserves for a shard: the first of a payment, or another of one
// that is open and this account's own.
func (c *accountCall) takeShard(ctx context.Context, s shard) (*payer, error) {
	if p := c.guard.payments.payer(s.hash); p != nil && s.multi {
		if joined, err := p.join(ctx, c, s); joined || err != nil {
			return p, err
		}
	}
	if err := c.notOurs(ctx, s.hash); err != nil {
		return nil, err
	}
	question := c.lnd.question()
	defer question.end()
	p, err := c.take(ctx, s.intent, true, question)
	if err == nil {
		return p, nil
	}
	// Of shards that arrive at once, one was first.
	if p := c.guard.payments.payer(s.hash); p != nil && s.multi && c.owns(p) {
		if joined, err := p.join(ctx, c, s); joined || err != nil {
			return p, err
		}
	}
	return nil, err
}

func (c *accountCall) owns(p *payer) bool { return p.payment.Account == c.account.ID }

// join raises the payment's reservation by the shard and counts its call.
// joined is false when the payment is over.
func (p *payer) join(ctx context.Context, c *accountCall, s shard) (joined bool, err error) {
	if !c.owns(p) {
		return false, errInFlight
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return false, nil
	case s.payee != p.payment.Payee:
		return false, badRequest("a shard to another payee than its payment")
	case !p.guard.payments.tries.allow(c.account.ID, paymentRate, p.guard.opts.Now()):
		return false, errManyPayments
	case p.calls >= int(p.parts) && !p.guard.payments.grow(p):
		return false, errManyParts
	}
	raised, err := p.guard.opts.Ledger.Raise(context.WithoutCancel(ctx), c.by, p.payment.ID, s.amount, s.maxFee)
	if err != nil {
		p.guard.payments.tries.giveBack(c.account.ID, paymentRate)
		return false, err
	}
	p.payment.Amount, p.payment.MaxFee, p.payment.Reserved = raised.Amount, raised.MaxFee, raised.Reserved
	p.calls++
	p.joined = true
	return true, nil
}

func denied(reason policy.Reason, format string, args ...any) error {
	return refuse(codes.ResourceExhausted, string(reason), "", format, args...)
}
