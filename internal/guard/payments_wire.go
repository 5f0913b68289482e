//lint:file-ignore SA1019 clients still read deprecated fields

package guard

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
)

// isFinal says whether lnd will do nothing more about a payment: it has
// succeeded or failed, and no HTLC is in flight (lnd, payments/db,
// decidePaymentStatus).
func isFinal(p *lnrpc.Payment) bool {
	if s := p.GetStatus(); s != lnrpc.Payment_SUCCEEDED && s != lnrpc.Payment_FAILED {
		return false
	}
	return !slices.ContainsFunc(p.GetHtlcs(), func(h *lnrpc.HTLCAttempt) bool {
		return h.GetStatus() == lnrpc.HTLCAttempt_IN_FLIGHT
	})
}

// outcomeOf reads what a final payment has cost: the sum over the HTLCs that
// succeeded.
func outcomeOf(p *lnrpc.Payment) (account.Outcome, account.State, error) {
	raw, err := proto.Marshal(p)
	if err != nil {
		return account.Outcome{}, "", err
	}
	o := account.Outcome{LndIndex: p.GetPaymentIndex(), Final: raw}
	for _, h := range p.GetHtlcs() {
		if h.GetStatus() == lnrpc.HTLCAttempt_SUCCEEDED {
			o.Paid += lnwire.MilliSatoshi(h.GetRoute().GetTotalAmtMsat())
			o.Fee += lnwire.MilliSatoshi(h.GetRoute().GetTotalFeesMsat())
		}
	}
	if o.Paid == 0 && p.GetStatus() == lnrpc.Payment_SUCCEEDED { // its HTLCs are gone
		o.Fee = lnwire.MilliSatoshi(p.GetFeeMsat())
		o.Paid = lnwire.MilliSatoshi(p.GetValueMsat()) + o.Fee
	}
	if o.Paid == 0 {
		o.Reason = strings.ToLower(strings.TrimPrefix(p.GetFailureReason().String(), "FAILURE_REASON_"))
		return o, account.StateFailed, nil
	}
	if preimage, err := lntypes.MakePreimageFromStr(p.GetPaymentPreimage()); err == nil {
		o.Preimage = preimage
	}
	return o, account.StateSucceeded, nil
}

// showPayment makes of lnd's payment what the account sees: its own number, and
// nothing of the node's channels.
func showPayment(p *lnrpc.Payment, index uint64) *lnrpc.Payment {
	shown := proto.Clone(p).(*lnrpc.Payment)
	shown.PaymentIndex = index
	for _, h := range shown.GetHtlcs() {
		hideChannel(h)
	}
	return shown
}

// hideChannel takes the node's own channel out of an HTLC.
func hideChannel(h *lnrpc.HTLCAttempt) {
	if hops := h.GetRoute().GetHops(); len(hops) > 0 {
		hops[0].ChanId, hops[0].ChanCapacity = 0, 0
	}
	if f := h.GetFailure(); f.GetFailureSourceIndex() == 0 && f != nil {
		f.ChannelUpdate = nil
	}
}

// recordedPayment is what the account sees of a payment by what the ledger has.
func recordedPayment(p account.Payment) (*lnrpc.Payment, error) {
	if len(p.Final) > 0 {
		final := new(lnrpc.Payment)
		if err := proto.Unmarshal(p.Final, final); err != nil {
			return nil, err
		}
		return showPayment(final, p.Index), nil
	}
	shown := &lnrpc.Payment{
		PaymentHash:     p.Hash.String(),
		PaymentPreimage: hex.EncodeToString(make([]byte, lntypes.PreimageSize)),
		PaymentRequest:  p.PaymentRequest,
		PaymentIndex:    p.Index,
		ValueMsat:       int64(p.Amount),
		ValueSat:        int64(p.Amount / 1000),
		Value:           int64(p.Amount / 1000),
		CreationDate:    p.Created.Unix(),
		CreationTimeNs:  p.Created.UnixNano(),
		Status:          lnrpc.Payment_IN_FLIGHT,
	}
	switch p.State {
	case account.StateFailed:
		shown.Status, shown.FailureReason = lnrpc.Payment_FAILED, lnrpc.PaymentFailureReason_FAILURE_REASON_ERROR
	case account.StateSucceeded:
		shown.Status = lnrpc.Payment_SUCCEEDED
		shown.FeeMsat, shown.FeeSat = int64(p.Fee), int64(p.Fee/1000)
		shown.Fee = int64(p.Fee / 1000)
	}
	return shown, nil
}

// inFlight says whether an update is one that no_inflight_updates leaves out.
func inFlight(p *lnrpc.Payment) bool {
	return p.GetStatus() == lnrpc.Payment_IN_FLIGHT || p.GetStatus() == lnrpc.Payment_INITIATED
}

// creationBounds are the times that creation_date_start and creation_date_end
// (Unix seconds, both inclusive, 0: none) stand for.
func creationBounds(start, end uint64) (from, until time.Time) {
	const farOff = 1 << 40
	if start != 0 {
		from = time.Unix(int64(min(start, farOff)), 0)
	}
	if end != 0 {
		until = time.Unix(int64(min(end, farOff))+1, 0).Add(-time.Millisecond)
	}
	return from, until
}
