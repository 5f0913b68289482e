package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/record"
	"github.com/lightningnetwork/lnd/zpay32"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/policy"
)

var (
	errAMP = refuse(codes.PermissionDenied, "amp_unsupported", "",
		"AMP payments are not available to an account: their hashes are not known beforehand")
	errSameNode = refuse(codes.PermissionDenied, "same_node", "",
		"the payee is the node that this account is kept on: it cannot pay itself")
)

// errCustomChannel is for what steers channels that carry more than bitcoin: what
// is sent in them beside it is nowhere reserved.
var errCustomChannel = badRequest("first_hop_custom_records: custom channels are not available to an account")

// intent is a payment as lnd will understand the request for it.
type intent struct {
	hash           lntypes.Hash
	amount, maxFee lnwire.MilliSatoshi
	payee          policy.PubKey

	// finalCLTV is the last hop's time lock delta, timeLock the whole route's;
	// blocks, 0 where it is left to lnd.
	finalCLTV, timeLock uint32

	parts uint32 // HTLCs in flight at once

	paymentRequest, memo string

	toUs bool // an invoice of this node
}

// judge is what requests are read against.
type judge struct {
	params   *chaincfg.Params
	identity string // our own node's public key, hex
	now      time.Time
}

// readSend reads a SendPaymentRequest as lnd v0.21 does
// (routerrpc.extractIntentFromSendRequest). clean is the request with nothing in
// it but what was read; its fee limit and time lock are the caller's to set.
func (j judge) readSend(req *routerrpc.SendPaymentRequest) (in intent, clean *routerrpc.SendPaymentRequest, err error) {
	if err := j.checkSend(req); err != nil {
		return intent{}, nil, err
	}
	amount, err := readAmount("amt", req.GetAmt(), req.GetAmtMsat())
	if err != nil {
		return intent{}, nil, err
	}
	if amount > policy.MaxAmount {
		return intent{}, nil, badRequest("amount of %d msat: there is not that much bitcoin", uint64(amount))
	}
	fee, err := readAmount("fee_limit", req.GetFeeLimitSat(), req.GetFeeLimitMsat())
	if err != nil {
		return intent{}, nil, err
	}
	clean = &routerrpc.SendPaymentRequest{
		TimeoutSeconds:    req.GetTimeoutSeconds(),
		RouteHints:        req.GetRouteHints(),
		DestCustomRecords: req.GetDestCustomRecords(),
		LastHopPubkey:     req.GetLastHopPubkey(),
		MaxParts:          askedParts(req.GetMaxParts()),
		MaxShardSizeMsat:  req.GetMaxShardSizeMsat(),
		TimePref:          req.GetTimePref(),
	}
	if req.GetPaymentRequest() != "" {
		in, err = j.readInvoice(req, amount)
		clean.PaymentRequest = req.GetPaymentRequest()
		clean.AmtMsat = int64(amount)
	} else {
		in, err = readDirect(req, amount)
		clean.Dest, clean.PaymentHash, clean.PaymentAddr = req.GetDest(), req.GetPaymentHash(), req.GetPaymentAddr()
		clean.DestFeatures, clean.FinalCltvDelta = req.GetDestFeatures(), req.GetFinalCltvDelta()
		clean.AmtMsat = int64(amount)
	}
	if err != nil {
		return intent{}, nil, err
	}
	in.toUs = req.GetPaymentRequest() != "" && j.isOwn(in.payee[:])
	if j.isOwn(in.payee[:]) && !in.toUs || j.isOwn(req.GetLastHopPubkey()) {
		return intent{}, nil, errSameNode
	}
	if err := checkKeysend(req.GetDestCustomRecords(), in.hash); err != nil {
		return intent{}, nil, err
	}
	in.maxFee = min(fee, policy.MaxAmount-in.amount)
	in.timeLock, in.parts = uint32(req.GetCltvLimit()), clean.MaxParts
	return in, clean, nil
}

func (j judge) isOwn(key []byte) bool { return strings.EqualFold(hex.EncodeToString(key), j.identity) }

// checkSend refuses what no account may ask for, and what lnd would read
// otherwise than it is written.
func (j judge) checkSend(req *routerrpc.SendPaymentRequest) error {
	switch {
	case unknownFields(req.ProtoReflect()):
		return badRequest("the request has fields that this guard does not know")
	case req.GetAmp() || hasAMP(req.GetDestFeatures()):
		return errAMP
	case len(req.GetOutgoingChanIds()) > 0:
		return badRequest("outgoing_chan_ids: the node's channels are not an account's to choose")
	case len(req.GetFirstHopCustomRecords()) > 0:
		return errCustomChannel
	case req.GetCltvLimit() < 0:
		return badRequest("negative cltv_limit %d", req.GetCltvLimit())
	case req.GetFinalCltvDelta() < 0 || req.GetFinalCltvDelta() > math.MaxUint16:
		return badRequest("final_cltv_delta %d is not within 0 and %d", req.GetFinalCltvDelta(), math.MaxUint16)
	case req.GetTimeoutSeconds() < 0:
		return badRequest("negative timeout_seconds %d", req.GetTimeoutSeconds())
	case !(req.GetTimePref() >= -1 && req.GetTimePref() <= 1):
		return badRequest("time_pref %v is not within -1 and 1", req.GetTimePref())
	case req.GetMaxShardSizeMsat() > uint64(policy.MaxAmount):
		return badRequest("max_shard_size_msat %d: there is not that much bitcoin", req.GetMaxShardSizeMsat())
	case len(req.GetPaymentAddr()) != 0 && len(req.GetPaymentAddr()) != 32:
		return badRequest("payment_addr must be 32 bytes, is %d", len(req.GetPaymentAddr()))
	}
	return nil
}

// readInvoice reads the payment of a BOLT 11 invoice; amount is what was given
// apart.
func (j judge) readInvoice(req *routerrpc.SendPaymentRequest, amount lnwire.MilliSatoshi) (intent, error) {
	if len(req.GetDest()) > 0 || len(req.GetPaymentHash()) > 0 || req.GetFinalCltvDelta() != 0 {
		return intent{}, badRequest("dest, payment_hash and final_cltv_delta cannot appear together with payment_request")
	}
	invoice, err := zpay32.Decode(req.GetPaymentRequest(), j.params)
	if err != nil {
		return intent{}, badRequest("malformed payment_request: %v", err)
	}
	if invoice.Features.HasFeature(lnwire.AMPOptional) {
		return intent{}, errAMP
	}
	if end := invoice.Timestamp.Add(invoice.Expiry()); j.now.After(end) {
		return intent{}, badRequest("invoice expired. Valid until %v", end)
	}
	if invoice.PaymentAddr.IsNone() && len(invoice.BlindedPaymentPaths) == 0 {
		return intent{}, badRequest("payment request must contain either a payment address or blinded paths")
	}
	switch {
	case invoice.MilliSat == nil && amount == 0:
		return intent{}, badRequest("amount must be specified when paying a zero amount invoice")
	case invoice.MilliSat != nil && amount != 0:
		return intent{}, badRequest("amount must not be specified when paying a non-zero amount invoice")
	case invoice.MilliSat != nil:
		amount = *invoice.MilliSat
	}
	if amount == 0 || amount > policy.MaxAmount {
		return intent{}, badRequest("invoice over an amount of %d msat", uint64(amount))
	}
	if invoice.MinFinalCLTVExpiry() > math.MaxUint16 {
		return intent{}, badRequest("invoice asks for a final time lock of %d blocks", invoice.MinFinalCLTVExpiry())
	}
	in := intent{
		hash: *invoice.PaymentHash, amount: amount, finalCLTV: uint32(invoice.MinFinalCLTVExpiry()),
		paymentRequest: req.GetPaymentRequest(),
	}
	if invoice.Description != nil {
		in.memo = *invoice.Description
	}
	copy(in.payee[:], invoice.Destination.SerializeCompressed())
	for _, path := range slices.Backward(invoice.BlindedPaymentPaths) {
		in.finalCLTV = max(in.finalCLTV, uint32(path.CltvExpiryDelta))
		if len(path.Hops) == 1 { // it ends at its introduction node, which lnd then pays
			copy(in.payee[:], path.Hops[0].BlindedNodePub.SerializeCompressed())
		}
	}
	return in, nil
}

// readDirect reads a payment that is described by destination, amount and hash,
// such as a keysend.
func readDirect(req *routerrpc.SendPaymentRequest, amount lnwire.MilliSatoshi) (intent, error) {
	var in intent
	if len(req.GetDest()) != len(in.payee) {
		return intent{}, badRequest("dest must be %d bytes, is %d", len(in.payee), len(req.GetDest()))
	}
	copy(in.payee[:], req.GetDest())
	if amount == 0 {
		return intent{}, badRequest("amount must be specified")
	}
	hash, err := lntypes.MakeHash(req.GetPaymentHash())
	if err != nil {
		return intent{}, badRequest("payment_hash: %v", err)
	}
	in.hash, in.amount, in.finalCLTV = hash, amount, uint32(req.GetFinalCltvDelta())
	return in, nil
}

// checkKeysend makes sure that a preimage sent along is that of the hash.
func checkKeysend(records map[uint64][]byte, hash lntypes.Hash) error {
	preimage, ok := records[record.KeySendType]
	if ok && (len(preimage) != lntypes.PreimageSize || sha256.Sum256(preimage) != hash) {
		return badRequest("the keysend record is not the preimage of payment_hash")
	}
	return nil
}

// readAmount reads a pair of fields of which at most one may be given. What
// exceeds all bitcoin is returned as something above policy.MaxAmount.
func readAmount(name string, sat, msat int64) (lnwire.MilliSatoshi, error) {
	switch {
	case sat != 0 && msat != 0:
		return 0, badRequest("%s: sat and msat arguments are mutually exclusive", name)
	case sat < 0 || msat < 0:
		return 0, badRequest("%s: amount cannot be negative", name)
	case sat > int64(policy.MaxAmount/1000):
		return policy.MaxAmount + 1, nil
	}
	return lnwire.MilliSatoshi(sat*1000 + msat), nil
}

func hasAMP(features []lnrpc.FeatureBit) bool {
	return slices.Contains(features, lnrpc.FeatureBit_AMP_REQ) || slices.Contains(features, lnrpc.FeatureBit_AMP_OPT)
}
