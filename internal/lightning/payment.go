package lightning

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/lndwire"
)

// maxParts is how many shards a payment may take, as lncli has it.
const maxParts = 16

// PaymentState is a payment's state in lnd.
type PaymentState string

// The states of a payment. Only Succeeded and Failed are final.
const (
	PaymentInFlight  PaymentState = "IN_FLIGHT"
	PaymentSucceeded PaymentState = "SUCCEEDED"
	PaymentFailed    PaymentState = "FAILED"
)

// Payment is a payment of this node.
type Payment struct {
	State    PaymentState
	Preimage lntypes.Preimage    // when succeeded
	Total    lnwire.MilliSatoshi // msat that left us: amount and fees, over succeeded HTLCs
	Fee      lnwire.MilliSatoshi // msat of Total that were fees
	Reason   string              // when failed: lnd's reason, such as "NO_ROUTE"
}

// SendPayment says what to pay.
type SendPayment struct {
	Invoice string              // BOLT 11, with an amount
	MaxFee  lnwire.MilliSatoshi // msat; 0 allows no fee
	Timeout time.Duration       // how long lnd looks for routes, whole seconds, at least 1
}

// SendPayment pays and returns lnd's final state (permission offchain:write).
// An error with the code payment_failed, or one that the node gave to the
// request itself (already_paid, payment_in_flight, a refusal), says that this
// call moved nothing. After any other error the payment may still be under
// way: ask TrackPayment, never pay another invoice for the same thing.
func (c *Client) SendPayment(ctx context.Context, p SendPayment) (Payment, error) {
	if p.MaxFee > math.MaxInt64 {
		return Payment{}, fault.New("bad_amount", "", "fee limit %d msat is too large", uint64(p.MaxFee))
	}
	seconds := min(max(p.Timeout/time.Second, 1), math.MaxInt32)
	return c.payment(ctx, "/routerrpc.Router/SendPaymentV2", &lndwire.SendPaymentRequest{
		PaymentRequest: p.Invoice, FeeLimitMsat: int64(p.MaxFee),
		TimeoutSeconds: int32(seconds), MaxParts: maxParts, NoInflightUpdates: true,
	})
}

// TrackPayment waits for the final state of the payment with that hash
// (permission offchain:read). A failed one is a Payment in state Failed, not
// an error; code not_found when lnd has none.
func (c *Client) TrackPayment(ctx context.Context, hash lntypes.Hash) (Payment, error) {
	p, err := c.payment(ctx, "/routerrpc.Router/TrackPaymentV2",
		&lndwire.TrackPaymentRequest{PaymentHash: hash[:], NoInflightUpdates: true})
	if fault.Code(err) == CodePaymentFailed {
		return p, nil
	}
	return p, err
}

func (c *Client) payment(ctx context.Context, method string, req proto.Message) (Payment, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.stream(ctx, method, req)
	if err != nil {
		return Payment{}, err
	}
	for {
		var r lndwire.Payment
		if err := s.RecvMsg(&r); errors.Is(err, io.EOF) {
			return Payment{}, fault.New(CodeNode, "", "node %s ended the payment stream without a final state", c.host)
		} else if err != nil {
			return Payment{}, c.explain(method, err)
		}
		switch r.Status {
		case lndwire.PaymentStatus_SUCCEEDED:
			return succeeded(&r)
		case lndwire.PaymentStatus_FAILED:
			reason := r.FailureReason.String()
			return Payment{State: PaymentFailed, Reason: reason},
				fault.New(CodePaymentFailed, failureHint(r.FailureReason), "payment failed: %s", reason)
		}
	}
}

func succeeded(r *lndwire.Payment) (Payment, error) {
	preimage, err := lntypes.MakePreimageFromStr(r.PaymentPreimage)
	if err != nil {
		return Payment{}, fault.New(CodeNode, "", "succeeded payment without a preimage")
	}
	p := Payment{State: PaymentSucceeded, Preimage: preimage}
	for _, h := range r.Htlcs {
		if h.Status == lndwire.HTLCStatus_HTLC_SUCCEEDED {
			p.Total += lnwire.MilliSatoshi(h.GetRoute().GetTotalAmtMsat())
			p.Fee += lnwire.MilliSatoshi(h.GetRoute().GetTotalFeesMsat())
		}
	}
	return p, nil
}

func failureHint(reason lndwire.PaymentFailureReason) string {
	switch reason {
	case lndwire.PaymentFailureReason_INSUFFICIENT_BALANCE:
		return "open or fund a channel: lncli channelbalance shows what can be spent"
	case lndwire.PaymentFailureReason_NO_ROUTE:
		return "open a channel towards the payee, or raise --max-fee"
	case lndwire.PaymentFailureReason_TIMEOUT:
		return "try again, or raise --payment-timeout"
	case lndwire.PaymentFailureReason_INCORRECT_PAYMENT_DETAILS:
		return "ask the seller for a new invoice"
	}
	return ""
}
