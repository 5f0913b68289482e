package guard

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/record"
	"github.com/lightningnetwork/lnd/zpay32"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/front"
)

var (
	testNow  = time.Unix(1_700_000_000, 0)
	payeeKey = testKey(2)
	nodeKey  = testKey(3)
)

func testKey(n byte) *btcec.PrivateKey {
	key, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{n}, 32))
	return key
}

func pubOf(key *btcec.PrivateKey) []byte { return key.PubKey().SerializeCompressed() }

var testJudge = judge{params: &chaincfg.RegressionNetParams, identity: hex.EncodeToString(pubOf(nodeKey)), now: testNow}

// invoiceOf makes a signed invoice for hash 1.
func invoiceOf(t testing.TB, key *btcec.PrivateKey, options ...func(*zpay32.Invoice)) string {
	t.Helper()
	options = append([]func(*zpay32.Invoice){
		zpay32.Description("tea"), zpay32.PaymentAddr([32]byte{9}), zpay32.CLTVExpiry(40),
	}, options...)
	inv, err := zpay32.NewInvoice(&chaincfg.RegressionNetParams, lntypes.Hash{1}, testNow, options...)
	require.NoError(t, err)
	text, err := inv.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return ecdsa.SignCompact(key, chainhash.HashB(msg), true), nil
	}})
	require.NoError(t, err)
	return text
}

// reasonOf is the reason of a refusal.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	r, ok := err.(*front.Refusal)
	require.True(t, ok, "%v", err)
	return r.Reason
}

func direct(change func(*routerrpc.SendPaymentRequest)) *routerrpc.SendPaymentRequest {
	hash := lntypes.Hash{1}
	req := &routerrpc.SendPaymentRequest{Dest: pubOf(payeeKey), Amt: 5, PaymentHash: hash[:], FinalCltvDelta: 18}
	if change != nil {
		change(req)
	}
	return req
}

func TestReadSend(t *testing.T) {
	type R = routerrpc.SendPaymentRequest
	fixed := invoiceOf(t, payeeKey, zpay32.Amount(1500))
	open := invoiceOf(t, payeeKey)
	amp := invoiceOf(t, payeeKey, zpay32.Amount(1500), zpay32.Features(
		lnwire.NewFeatureVector(lnwire.NewRawFeatureVector(lnwire.AMPRequired), lnwire.Features)))
	preimage := lntypes.Preimage{7}
	hash := preimage.Hash()
	unknown := direct(nil)
	unknown.ProtoReflect().SetUnknown([]byte{0xd8, 0x3e, 1})
	nested := direct(func(r *R) { r.RouteHints = []*lnrpc.RouteHint{{HopHints: []*lnrpc.HopHint{{}}}} })
	nested.RouteHints[0].HopHints[0].ProtoReflect().SetUnknown([]byte{0xd8, 0x3e, 1})

	for name, c := range map[string]struct {
		req         *R
		amount, fee lnwire.MilliSatoshi
		reason      string
	}{
		"ok/invoice":        {&R{PaymentRequest: fixed, FeeLimitMsat: 3}, 1500, 3, ""},
		"ok/no fee limit":   {&R{PaymentRequest: fixed}, 1500, 0, ""},
		"ok/amount apart":   {&R{PaymentRequest: open, Amt: 2, FeeLimitSat: 1}, 2000, 1000, ""},
		"ok/direct":         {direct(nil), 5000, 0, ""},
		"ok/huge fee limit": {direct(func(r *R) { r.FeeLimitSat = math.MaxInt64 }), 5000, 2_100_000_000_000_000_000 - 5000, ""},
		"ok/keysend": {direct(func(r *R) {
			r.PaymentHash, r.DestCustomRecords = hash[:], map[uint64][]byte{record.KeySendType: preimage[:]}
		}), 5000, 0, ""},

		"fail/negative fee":       {direct(func(r *R) { r.FeeLimitMsat = -1 }), 0, 0, "bad_request"},
		"fail/fee twice":          {direct(func(r *R) { r.FeeLimitMsat, r.FeeLimitSat = 1, 1 }), 0, 0, "bad_request"},
		"fail/negative amount":    {direct(func(r *R) { r.Amt = -5 }), 0, 0, "bad_request"},
		"fail/amount twice":       {direct(func(r *R) { r.AmtMsat = 5000 }), 0, 0, "bad_request"},
		"fail/no amount":          {direct(func(r *R) { r.Amt = 0 }), 0, 0, "bad_request"},
		"fail/amount that wraps":  {direct(func(r *R) { r.Amt = 18446744073709552 }), 0, 0, "bad_request"},
		"fail/amount above all":   {direct(func(r *R) { r.Amt = 2_100_000_000_000_001 }), 0, 0, "bad_request"},
		"fail/amount not given":   {&R{PaymentRequest: open}, 0, 0, "bad_request"},
		"fail/amount given again": {&R{PaymentRequest: fixed, Amt: 1}, 0, 0, "bad_request"},
		"fail/dest and invoice":   {&R{PaymentRequest: fixed, Dest: pubOf(payeeKey)}, 0, 0, "bad_request"},
		"fail/hash and invoice":   {&R{PaymentRequest: fixed, PaymentHash: hash[:]}, 0, 0, "bad_request"},
		"fail/cltv and invoice":   {&R{PaymentRequest: fixed, FinalCltvDelta: 1}, 0, 0, "bad_request"},
		"fail/no hash":            {direct(func(r *R) { r.PaymentHash = nil }), 0, 0, "bad_request"},
		"fail/short dest":         {direct(func(r *R) { r.Dest = r.Dest[1:] }), 0, 0, "bad_request"},
		"fail/long dest":          {direct(func(r *R) { r.Dest = append(bytes.Clone(r.Dest), 0) }), 0, 0, "bad_request"},
		"fail/short address":      {direct(func(r *R) { r.PaymentAddr = []byte{1} }), 0, 0, "bad_request"},
		"fail/cltv that wraps":    {direct(func(r *R) { r.FinalCltvDelta = 1 << 16 }), 0, 0, "bad_request"},
		"fail/negative cltv":      {direct(func(r *R) { r.FinalCltvDelta = -1 }), 0, 0, "bad_request"},
		"fail/negative limit":     {direct(func(r *R) { r.CltvLimit = -1 }), 0, 0, "bad_request"},
		"fail/negative timeout":   {direct(func(r *R) { r.TimeoutSeconds = -1 }), 0, 0, "bad_request"},
		"fail/no number":          {direct(func(r *R) { r.TimePref = math.NaN() }), 0, 0, "bad_request"},
		"fail/channel":            {direct(func(r *R) { r.OutgoingChanIds = []uint64{1} }), 0, 0, "bad_request"},
		"fail/first hop records":  {direct(func(r *R) { r.FirstHopCustomRecords = map[uint64][]byte{65536: {1}} }), 0, 0, "bad_request"},
		"fail/huge shard":         {direct(func(r *R) { r.MaxShardSizeMsat = math.MaxUint64 }), 0, 0, "bad_request"},
		"fail/other preimage":     {direct(func(r *R) { r.DestCustomRecords = map[uint64][]byte{record.KeySendType: preimage[:]} }), 0, 0, "bad_request"},
		"fail/no invoice":         {&R{PaymentRequest: "lnbcrt1"}, 0, 0, "bad_request"},
		"fail/expired":            {&R{PaymentRequest: invoiceOf(t, payeeKey, zpay32.Amount(1), zpay32.Expiry(0))}, 0, 0, ""},
		"fail/unknown field":      {unknown, 0, 0, "bad_request"},
		"fail/unknown in a hint":  {nested, 0, 0, "bad_request"},
		"fail/amp":                {direct(func(r *R) { r.Amp = true }), 0, 0, "amp_unsupported"},
		"fail/amp feature":        {direct(func(r *R) { r.DestFeatures = []lnrpc.FeatureBit{lnrpc.FeatureBit_AMP_OPT} }), 0, 0, "amp_unsupported"},
		"fail/amp invoice":        {&R{PaymentRequest: amp}, 0, 0, "amp_unsupported"},
		"fail/to itself":          {direct(func(r *R) { r.Dest, r.AllowSelfPayment = pubOf(nodeKey), true }), 0, 0, "same_node"},
		"fail/last hop itself":    {direct(func(r *R) { r.LastHopPubkey = pubOf(nodeKey) }), 0, 0, "same_node"},
	} {
		t.Run(name, func(t *testing.T) {
			j := testJudge
			if name == "fail/expired" {
				j.now, c.reason = testNow.Add(time.Second), "bad_request"
			}
			in, clean, err := j.readSend(c.req)
			if c.reason != "" {
				require.Error(t, err)
				require.Equal(t, c.reason, reasonOf(t, err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.amount, in.amount)
			require.Equal(t, c.fee, in.maxFee)
			require.Equal(t, pubOf(payeeKey), in.payee[:])
			require.False(t, clean.Cancelable)
			require.False(t, clean.AllowSelfPayment)
		})
	}
}

// TestReadSendToUs: an invoice of this node may be an account's.
func TestReadSendToUs(t *testing.T) {
	in, _, err := testJudge.readSend(&routerrpc.SendPaymentRequest{PaymentRequest: invoiceOf(t, nodeKey, zpay32.Amount(1))})
	require.NoError(t, err)
	require.True(t, in.toUs)
	in, _, err = testJudge.readSend(&routerrpc.SendPaymentRequest{PaymentRequest: invoiceOf(t, payeeKey, zpay32.Amount(1))})
	require.NoError(t, err)
	require.False(t, in.toUs)
}

// FuzzReadSend: what is accepted means the same when it is read again from what
// lnd gets.
func FuzzReadSend(f *testing.F) {
	for _, req := range []*routerrpc.SendPaymentRequest{
		direct(nil), {PaymentRequest: invoiceOf(f, payeeKey, zpay32.Amount(1500)), FeeLimitSat: 3},
		{PaymentRequest: invoiceOf(f, payeeKey), AmtMsat: 3, Cancelable: true, NoInflightUpdates: true},
	} {
		raw, err := proto.Marshal(req)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := new(routerrpc.SendPaymentRequest)
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		in, clean, err := testJudge.readSend(req)
		if err != nil {
			require.NotEmpty(t, reasonOf(t, err))
			return
		}
		clean.FeeLimitMsat, clean.CltvLimit = int64(in.maxFee), int32(in.timeLock)
		sent, err := proto.Marshal(clean)
		require.NoError(t, err)
		got := new(routerrpc.SendPaymentRequest)
		require.NoError(t, proto.Unmarshal(sent, got))
		again, _, err := testJudge.readSend(got)
		require.NoError(t, err)
		require.Equal(t, in, again)
		require.False(t, got.Amp || got.Cancelable || len(got.OutgoingChanIds) > 0)
		amount, err := lnrpc.UnmarshallAmt(got.Amt, got.AmtMsat)
		require.NoError(t, err)
		if got.PaymentRequest == "" {
			require.Equal(t, in.amount, amount)
		}
	})
}

func routeOf(change func(*routerrpc.SendToRouteRequest)) *routerrpc.SendToRouteRequest {
	hash := lntypes.Hash{1}
	req := &routerrpc.SendToRouteRequest{PaymentHash: hash[:], Route: &lnrpc.Route{
		TotalTimeLock: 200, TotalAmtMsat: 1010, Hops: []*lnrpc.Hop{
			{ChanId: 1, PubKey: hex.EncodeToString(pubOf(testKey(4))), AmtToForwardMsat: 1000, Expiry: 150},
			{ChanId: 2, PubKey: hex.EncodeToString(pubOf(payeeKey)), AmtToForwardMsat: 1000, Expiry: 150},
		},
	}}
	if change != nil {
		change(req)
	}
	return req
}

func TestReadRoute(t *testing.T) {
	type R = routerrpc.SendToRouteRequest
	own := hex.EncodeToString(pubOf(nodeKey))
	last := func(r *R) *lnrpc.Hop { return r.Route.Hops[1] }
	for name, c := range map[string]struct {
		change func(*R)
		reason string
	}{
		"ok/one route": {nil, ""},
		"ok/shard": {func(r *R) {
			last(r).MppRecord = &lnrpc.MPPRecord{PaymentAddr: make([]byte, 32), TotalAmtMsat: 5000}
		}, ""},
		"fail/no route":            {func(r *R) { r.Route = nil }, "bad_request"},
		"fail/no hops":             {func(r *R) { r.Route.Hops = nil }, "bad_request"},
		"fail/short hash":          {func(r *R) { r.PaymentHash = r.PaymentHash[1:] }, "bad_request"},
		"fail/negative total":      {func(r *R) { r.Route.TotalAmtMsat = -1 }, "bad_request"},
		"fail/total above all":     {func(r *R) { r.Route.TotalAmtMsat = math.MaxInt64 }, "bad_request"},
		"fail/more than is sent":   {func(r *R) { r.Route.TotalAmtMsat = 999 }, "bad_request"},
		"fail/growing":             {func(r *R) { last(r).AmtToForwardMsat = 1001 }, "bad_request"},
		"fail/negative hop":        {func(r *R) { last(r).AmtToForwardMsat = -1 }, "bad_request"},
		"fail/nothing arrives":     {func(r *R) { last(r).AmtToForwardMsat = 0 }, "bad_request"},
		"fail/nameless hop":        {func(r *R) { r.Route.Hops[0].PubKey = "" }, "bad_request"},
		"fail/hop with more":       {func(r *R) { r.Route.Hops[0].PubKey = own + "00" }, "bad_request"},
		"fail/through itself":      {func(r *R) { r.Route.Hops[0].PubKey = own }, "same_node"},
		"fail/to itself":           {func(r *R) { last(r).PubKey = own }, "same_node"},
		"fail/amp":                 {func(r *R) { last(r).AmpRecord = &lnrpc.AMPRecord{} }, "amp_unsupported"},
		"fail/blinded":             {func(r *R) { last(r).EncryptedData = []byte{1} }, "bad_request"},
		"fail/record on the way":   {func(r *R) { r.Route.Hops[0].MppRecord = &lnrpc.MPPRecord{} }, "bad_request"},
		"fail/record with no addr": {func(r *R) { last(r).MppRecord = &lnrpc.MPPRecord{TotalAmtMsat: 5000} }, "bad_request"},
		"fail/total below shard": {func(r *R) {
			last(r).MppRecord = &lnrpc.MPPRecord{PaymentAddr: make([]byte, 32), TotalAmtMsat: 999}
		}, "bad_request"},
		"fail/custom channel": {func(r *R) { r.Route.CustomChannelData = []byte{1} }, "bad_request"},
		"fail/unknown field":  {func(r *R) { last(r).ProtoReflect().SetUnknown([]byte{0xd8, 0x3e, 1}) }, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := testJudge.readRoute(routeOf(c.change))
			if c.reason != "" {
				require.Error(t, err)
				require.Equal(t, c.reason, reasonOf(t, err), status.Convert(err).Message())
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 1000, s.amount)
			require.EqualValues(t, 10, s.maxFee)
			require.Equal(t, pubOf(payeeKey), s.payee[:])
			require.Equal(t, int64(1010), s.clean.Route.TotalAmtMsat)
		})
	}
}

func FuzzReadRoute(f *testing.F) {
	raw, err := proto.Marshal(routeOf(nil))
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := new(routerrpc.SendToRouteRequest)
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		s, err := testJudge.readRoute(req)
		if err != nil {
			require.NotEmpty(t, reasonOf(t, err))
			return
		}
		require.EqualValues(t, s.clean.Route.TotalAmtMsat, s.amount+s.maxFee)
		again, err := testJudge.readRoute(s.clean)
		require.NoError(t, err)
		require.Equal(t, s.intent, again.intent)
		require.True(t, proto.Equal(s.clean, again.clean))
	})
}
