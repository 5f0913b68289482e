package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/zpay32"
	"google.golang.org/protobuf/proto"
)

// request is what an operator's call asks for.
type request struct {
	// detail goes to the journal: amounts, hashes, destinations. Never a
	// preimage or a macaroon.
	detail map[string]any

	// hashes are the payment hashes it is about, allHashes that it is about all.
	hashes    []lntypes.Hash
	allHashes bool

	// exempt means that it is let through while everything is frozen.
	exempt bool

	// revokes is the root key whose macaroons it ends, if any.
	revokes *uint64
}

// decoder reads a request as lnd will.
type decoder func(params *chaincfg.Params, msg []byte) (request, error)

// maxListed bounds how many of a list go to the journal, maxText the characters
// of a text.
const (
	maxListed = 50
	maxText   = 200
)

// undecoded is the decoder of methods whose name says enough.
func undecoded(*chaincfg.Params, []byte) (request, error) { return request{}, nil }

// as makes a decoder of what reads the message type.
func as[T any, P message[T]](read func(P) request) decoder {
	return func(_ *chaincfg.Params, msg []byte) (request, error) {
		m := P(new(T))
		if err := proto.Unmarshal(msg, m); err != nil {
			return request{}, err
		}
		return read(m), nil
	}
}

// tell makes a decoder of what picks the details.
func tell[T any, P message[T]](pick func(P) map[string]any) decoder {
	return as(func(m P) request { return request{detail: pick(m)} })
}

func asksSendPayment(params *chaincfg.Params, msg []byte) (request, error) {
	m := new(routerrpc.SendPaymentRequest)
	if err := proto.Unmarshal(msg, m); err != nil {
		return request{}, err
	}
	r := request{detail: map[string]any{
		"amount_msat": m.GetAmtMsat(), "amount_sat": m.GetAmt(),
		"fee_limit_msat": m.GetFeeLimitMsat(), "fee_limit_sat": m.GetFeeLimitSat(),
		"destination": short(hex.EncodeToString(m.GetDest())),
	}}
	r.hash(m.GetPaymentHash())
	if m.GetPaymentRequest() != "" {
		r.invoice(m.GetPaymentRequest(), params)
	}
	return r, nil
}

// invoice adds what the payment request says. One that cannot be read, lnd
// refuses itself.
func (r *request) invoice(text string, params *chaincfg.Params) {
	invoice, err := zpay32.Decode(text, params)
	if err != nil {
		r.detail["payment_request"] = "malformed"
		return
	}
	if invoice.MilliSat != nil {
		r.detail["invoice_msat"] = uint64(*invoice.MilliSat)
	}
	if invoice.Destination != nil {
		r.detail["destination"] = hex.EncodeToString(invoice.Destination.SerializeCompressed())
	}
	if invoice.PaymentHash != nil {
		r.hash(invoice.PaymentHash[:])
	}
}

// hash adds a payment hash, if it is one.
func (r *request) hash(b []byte) {
	hash, err := lntypes.MakeHash(b)
	if err != nil {
		return
	}
	r.hashes = append(r.hashes, hash)
	r.detail["hash"] = hash.String()
}

var asksSendToRoute = as(func(m *routerrpc.SendToRouteRequest) request {
	r := request{detail: map[string]any{
		"amount_msat": m.GetRoute().GetTotalAmtMsat(), "fees_msat": m.GetRoute().GetTotalFeesMsat(),
	}}
	if hops := m.GetRoute().GetHops(); len(hops) > 0 {
		r.detail["destination"] = short(hops[len(hops)-1].GetPubKey())
	}
	r.hash(m.GetPaymentHash())
	return r
})

var asksSendCoins = tell(func(m *lnrpc.SendCoinsRequest) map[string]any {
	return map[string]any{"address": short(m.GetAddr()), "amount_sat": m.GetAmount(), "all": m.GetSendAll()}
})

var asksSendMany = tell(func(m *lnrpc.SendManyRequest) map[string]any {
	to := m.GetAddrToAmount()
	listed := make(map[string]int64)
	var sum int64
	for _, addr := range slices.Sorted(maps.Keys(to)) {
		sum += to[addr]
		if len(listed) < maxListed {
			listed[short(addr)] = to[addr]
		}
	}
	return map[string]any{"outputs": len(to), "amount_sat": sum, "to_sat": listed}
})

var asksSendOutputs = tell(func(m *walletrpc.SendOutputsRequest) map[string]any {
	var sum int64
	var to []string
	for _, out := range m.GetOutputs() {
		sum += out.GetValue()
		if len(to) < maxListed {
			to = append(to, fmt.Sprintf("%s:%d", short(hex.EncodeToString(out.GetPkScript())), out.GetValue()))
		}
	}
	return map[string]any{"outputs": len(m.GetOutputs()), "amount_sat": sum, "to_script_sat": to}
})

var asksOpenChannel = tell(func(m *lnrpc.OpenChannelRequest) map[string]any {
	node := hex.EncodeToString(m.GetNodePubkey())
	if node == "" {
		//lint:ignore SA1019 lnd still takes it
		node = m.GetNodePubkeyString()
	}
	return map[string]any{
		"node": short(node), "amount_sat": m.GetLocalFundingAmount(), "all": m.GetFundMax(),
		"push_sat": m.GetPushSat(), "close_address": short(m.GetCloseAddress()),
	}
})

var asksBatchOpenChannel = tell(func(m *lnrpc.BatchOpenChannelRequest) map[string]any {
	var sum, push int64
	var nodes []string
	for _, c := range m.GetChannels() {
		sum += c.GetLocalFundingAmount()
		push += c.GetPushSat()
		if len(nodes) < maxListed {
			nodes = append(nodes, short(hex.EncodeToString(c.GetNodePubkey())))
		}
	}
	return map[string]any{"channels": len(m.GetChannels()), "nodes": nodes, "amount_sat": sum, "push_sat": push}
})

var asksCloseChannel = as(func(m *lnrpc.CloseChannelRequest) request {
	return request{exempt: m.GetForce(), detail: map[string]any{
		"channel": channelPoint(m.GetChannelPoint()), "force": m.GetForce(), "address": short(m.GetDeliveryAddress()),
	}}
})

var asksAbandonChannel = tell(func(m *lnrpc.AbandonChannelRequest) map[string]any {
	return map[string]any{"channel": channelPoint(m.GetChannelPoint())}
})

var asksAddInvoice = tell(func(m *lnrpc.Invoice) map[string]any {
	return map[string]any{"amount_msat": m.GetValueMsat(), "amount_sat": m.GetValue(), "amp": m.GetIsAmp()}
})

var asksAddHoldInvoice = tell(func(m *invoicesrpc.AddHoldInvoiceRequest) map[string]any {
	return map[string]any{
		"hash": short(hex.EncodeToString(m.GetHash())), "amount_msat": m.GetValueMsat(), "amount_sat": m.GetValue(),
	}
})

var asksCancelInvoice = tell(func(m *invoicesrpc.CancelInvoiceMsg) map[string]any {
	return map[string]any{"hash": short(hex.EncodeToString(m.GetPaymentHash()))}
})

var asksSettleInvoice = tell(func(m *invoicesrpc.SettleInvoiceMsg) map[string]any {
	hash := sha256.Sum256(m.GetPreimage())
	return map[string]any{"hash": hex.EncodeToString(hash[:])}
})

var asksDeletePayment = as(func(m *lnrpc.DeletePaymentRequest) request {
	r := request{detail: map[string]any{"failed_htlcs_only": m.GetFailedHtlcsOnly()}}
	r.hash(m.GetPaymentHash())
	return r
})

var asksDeleteAllPayments = as(func(m *lnrpc.DeleteAllPaymentsRequest) request {
	return request{allHashes: true, detail: map[string]any{
		"failed_payments_only": m.GetFailedPaymentsOnly(), "failed_htlcs_only": m.GetFailedHtlcsOnly(),
	}}
})

var asksBakeMacaroon = tell(func(m *lnrpc.BakeMacaroonRequest) map[string]any {
	var powers []string
	for _, p := range m.GetPermissions()[:min(maxListed, len(m.GetPermissions()))] {
		powers = append(powers, short(p.GetEntity()+":"+p.GetAction()))
	}
	return map[string]any{"root_key_id": fmt.Sprint(m.GetRootKeyId()), "permissions": powers}
})

func asksDeleteMacaroonID(_ *chaincfg.Params, msg []byte) (request, error) {
	var m lnrpc.DeleteMacaroonIDRequest
	if err := proto.Unmarshal(msg, &m); err != nil {
		return request{}, err
	}
	id := m.GetRootKeyId()
	return request{detail: map[string]any{"root_key_id": fmt.Sprint(id)}, revokes: &id}, nil
}

var asksUpdatePolicy = tell(func(m *lnrpc.PolicyUpdateRequest) map[string]any {
	return map[string]any{
		"all": m.GetGlobal(), "channel": channelPoint(m.GetChanPoint()),
		"base_fee_msat": m.GetBaseFeeMsat(), "fee_rate_ppm": m.GetFeeRatePpm(),
	}
})

var asksConnectPeer = tell(func(m *lnrpc.ConnectPeerRequest) map[string]any {
	return map[string]any{"node": short(m.GetAddr().GetPubkey()), "host": short(m.GetAddr().GetHost())}
})

// channelPoint writes "txid:index".
func channelPoint(p *lnrpc.ChannelPoint) string {
	if p == nil {
		return ""
	}
	txid := p.GetFundingTxidStr()
	if b := slices.Clone(p.GetFundingTxidBytes()); len(b) > 0 {
		slices.Reverse(b)
		txid = hex.EncodeToString(b)
	}
	return fmt.Sprintf("%s:%d", short(txid), p.GetOutputIndex())
}

// short bounds a stranger's text.
func short(text string) string { return text[:min(maxText, len(text))] }
