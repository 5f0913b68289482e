package guard

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/front"
)

func withUnknown[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1))
	return m
}

func TestParseAddInvoice(t *testing.T) {
	preimage := bytes.Repeat([]byte{7}, 32)
	for name, test := range map[string]struct {
		req    *lnrpc.Invoice
		reason string // "": fine
		msat   int64
		expiry int64
	}{
		"ok/sat":                {req: &lnrpc.Invoice{Value: 5}, msat: 5000, expiry: 86400},
		"ok/msat":               {req: &lnrpc.Invoice{ValueMsat: 5}, msat: 5, expiry: 86400},
		"ok/left to the payer":  {req: &lnrpc.Invoice{}, expiry: 86400},
		"ok/expiry":             {req: &lnrpc.Invoice{Expiry: 60}, expiry: 60},
		"ok/longest expiry":     {req: &lnrpc.Invoice{Expiry: 365 * 86400}, expiry: 365 * 86400},
		"ok/negative expiry":    {req: &lnrpc.Invoice{Expiry: -1}, expiry: 86400},
		"ok/own preimage":       {req: &lnrpc.Invoice{RPreimage: preimage}, expiry: 86400},
		"ok/longest memo":       {req: &lnrpc.Invoice{Memo: strings.Repeat("m", 1024)}, expiry: 86400},
		"ok/largest":            {req: &lnrpc.Invoice{Value: 1e13}, msat: 1e16, expiry: 86400},
		"ok/what lnd puts out":  {req: &lnrpc.Invoice{RHash: preimage, AddIndex: 9, AmtPaidMsat: 9, State: 1}, expiry: 86400},
		"fail/both amounts":     {req: &lnrpc.Invoice{Value: 1, ValueMsat: 1000}, reason: "bad_request"},
		"fail/negative sat":     {req: &lnrpc.Invoice{Value: -1}, reason: "bad_request"},
		"fail/negative msat":    {req: &lnrpc.Invoice{ValueMsat: -1}, reason: "bad_request"},
		"fail/overflow":         {req: &lnrpc.Invoice{Value: 9223372036854776}, reason: "bad_request"},
		"fail/too much":         {req: &lnrpc.Invoice{Value: 1e13 + 1}, reason: "bad_request"},
		"fail/too much msat":    {req: &lnrpc.Invoice{ValueMsat: 1e16 + 1}, reason: "bad_request"},
		"fail/expiry":           {req: &lnrpc.Invoice{Expiry: 365*86400 + 1}, reason: "bad_request"},
		"fail/memo":             {req: &lnrpc.Invoice{Memo: strings.Repeat("m", 1025)}, reason: "bad_request"},
		"fail/description hash": {req: &lnrpc.Invoice{DescriptionHash: []byte{1}}, reason: "bad_request"},
		"fail/preimage":         {req: &lnrpc.Invoice{RPreimage: preimage[1:]}, reason: "bad_request"},
		"fail/zero preimage":    {req: &lnrpc.Invoice{RPreimage: make([]byte, 32)}, reason: "bad_request"},
		"fail/AMP":              {req: &lnrpc.Invoice{IsAmp: true}, reason: "amp_unsupported"},
		"fail/route hints":      {req: &lnrpc.Invoice{RouteHints: []*lnrpc.RouteHint{{}}}, reason: "bad_request"},
		"fail/unknown field":    {req: withUnknown(&lnrpc.Invoice{}), reason: "bad_request"},
		"fail/unknown field within": {
			req: &lnrpc.Invoice{BlindedPathConfig: withUnknown(&lnrpc.BlindedPathConfig{})}, reason: "bad_request",
		},
	} {
		t.Run(name, func(t *testing.T) {
			terms, asked, err := parseAddInvoice(test.req)
			if test.reason != "" {
				requireReason(t, err, test.reason)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.msat, asked.ValueMsat)
			require.Equal(t, test.expiry, asked.Expiry)
			require.Zero(t, asked.Value)
			require.Empty(t, asked.RHash)
			require.Zero(t, asked.AddIndex)
			require.Equal(t, asked.RPreimage, terms.preimage[:])
			require.Equal(t, terms.preimage.Hash(), terms.hash)
			require.Equal(t, len(test.req.RPreimage) > 0, terms.foreign)
		})
	}
}

func TestParseAddInvoicePrivacy(t *testing.T) {
	for name, req := range map[string]*lnrpc.Invoice{
		"private":        {Private: true},
		"blinded":        {IsBlinded: true},
		"blinded config": {BlindedPathConfig: &lnrpc.BlindedPathConfig{}},
	} {
		terms, _, err := parseAddInvoice(req)
		require.NoError(t, err, name)
		require.True(t, terms.private, name)
	}
	terms, _, err := parseAddInvoice(&lnrpc.Invoice{})
	require.NoError(t, err)
	require.False(t, terms.private)
}

func TestParseAddHoldInvoice(t *testing.T) {
	var zero lntypes.Preimage
	zeroHash := zero.Hash()
	hash := bytes.Repeat([]byte{7}, 32)
	for name, test := range map[string]struct {
		req *invoicesrpc.AddHoldInvoiceRequest
		bad bool
	}{
		"ok/plain":           {req: &invoicesrpc.AddHoldInvoiceRequest{Hash: hash, Value: 3}},
		"fail/no hash":       {req: &invoicesrpc.AddHoldInvoiceRequest{}, bad: true},
		"fail/short":         {req: &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[1:]}, bad: true},
		"fail/known":         {req: &invoicesrpc.AddHoldInvoiceRequest{Hash: zeroHash[:]}, bad: true},
		"fail/both amounts":  {req: &invoicesrpc.AddHoldInvoiceRequest{Hash: hash, Value: 1, ValueMsat: 1}, bad: true},
		"fail/unknown field": {req: withUnknown(&invoicesrpc.AddHoldInvoiceRequest{Hash: hash}), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			terms, asked, err := parseAddHoldInvoice(test.req)
			if test.bad {
				requireReason(t, err, "bad_request")
				return
			}
			require.NoError(t, err)
			require.Nil(t, terms.preimage)
			require.Equal(t, hash, asked.Hash)
			require.EqualValues(t, 3000, asked.ValueMsat)
		})
	}
}

// FuzzParseAddInvoice: what is accepted says the same when it is judged again,
// so lnd gets nothing but what was judged.
func FuzzParseAddInvoice(f *testing.F) {
	for _, req := range []*lnrpc.Invoice{
		{}, {Value: 5, Memo: "m", Expiry: 7}, {RPreimage: bytes.Repeat([]byte{1}, 32), Private: true},
		{ValueMsat: -1}, {IsAmp: true}, {BlindedPathConfig: &lnrpc.BlindedPathConfig{}, IsBlinded: true},
		withUnknown(&lnrpc.Invoice{}),
	} {
		raw, err := proto.Marshal(req)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := new(lnrpc.Invoice)
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		terms, asked, err := parseAddInvoice(req)
		if err != nil {
			_, ok := err.(*front.Refusal)
			require.True(t, ok, "%v", err)
			return
		}
		require.LessOrEqual(t, terms.amount, maxInvoice)
		require.Equal(t, terms.preimage.Hash(), terms.hash)
		again, same, err := parseAddInvoice(asked)
		require.NoError(t, err)
		again.foreign = terms.foreign
		require.Equal(t, terms, again)
		require.True(t, proto.Equal(asked, same))
	})
}

func requireReason(t *testing.T, err error, reason string) {
	t.Helper()
	refusal, ok := err.(*front.Refusal)
	require.True(t, ok, "%v", err)
	require.Equal(t, reason, refusal.Reason, refusal.Sentence)
}
