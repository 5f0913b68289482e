package guard

import (
	"crypto/rand"
	"time"

	"github.com/lightningnetwork/lnd/invoices"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxInvoice is lnd's: 100,000 BTC in msat.
	maxInvoice lnwire.MilliSatoshi = 100_000 * 100_000_000 * 1000

	// maxExpiry is lnd's.
	maxExpiry = 365 * 24 * time.Hour
)

// invoiceTerms is what the ledger must know of an invoice before lnd makes it.
type invoiceTerms struct {
	hash     lntypes.Hash
	preimage *lntypes.Preimage // nil: a hold invoice
	foreign  bool              // the client chose the preimage or the hash
	memo     string
	amount   lnwire.MilliSatoshi // 0: left to the payer
	expiry   time.Duration
	private  bool // shows the node's unannounced channels, or steers what shows them
}

// askedInvoice is what AddInvoice's and AddHoldInvoice's requests share.
type askedInvoice interface {
	proto.Message
	GetMemo() string
	GetValue() int64
	GetValueMsat() int64
	GetDescriptionHash() []byte
	GetExpiry() int64
	GetRouteHints() []*lnrpc.RouteHint
	GetPrivate() bool
}

// parseAddInvoice reads an AddInvoice request and makes the one that goes to
// lnd, from the fields that were judged alone. Fields that lnd only puts out are
// ignored, as lnd does. Without a preimage it chooses one.
func parseAddInvoice(req *lnrpc.Invoice) (invoiceTerms, *lnrpc.Invoice, error) {
	t, err := parseAsked(req)
	if err != nil {
		return t, nil, err
	}
	if req.GetIsAmp() {
		return t, nil, errAMP
	}
	// The paths of a blinded invoice go through the node's own channels.
	t.private = t.private || req.GetIsBlinded() || req.GetBlindedPathConfig() != nil
	t.preimage = new(lntypes.Preimage)
	switch given := req.GetRPreimage(); {
	case len(given) == 0:
		rand.Read(t.preimage[:])
	case len(given) != lntypes.PreimageSize:
		return t, nil, badRequest("preimage must be exactly 32 bytes, is instead %d", len(given))
	default:
		copy(t.preimage[:], given)
		t.foreign = true
		if *t.preimage == invoices.UnknownPreimage {
			return t, nil, badRequest("the preimage is all zeroes, which lnd takes for none")
		}
	}
	t.hash = t.preimage.Hash()
	return t, &lnrpc.Invoice{
		Memo:              t.memo,
		RPreimage:         t.preimage[:],
		ValueMsat:         int64(t.amount),
		DescriptionHash:   req.GetDescriptionHash(),
		Expiry:            int64(t.expiry / time.Second),
		FallbackAddr:      req.GetFallbackAddr(),
		CltvExpiry:        req.GetCltvExpiry(),
		Private:           req.GetPrivate(),
		IsBlinded:         req.GetIsBlinded(),
		BlindedPathConfig: req.GetBlindedPathConfig(),
	}, nil
}

// parseAddHoldInvoice reads an AddHoldInvoice request and makes the one that goes
// to lnd.
func parseAddHoldInvoice(
	req *invoicesrpc.AddHoldInvoiceRequest,
) (invoiceTerms, *invoicesrpc.AddHoldInvoiceRequest, error) {
	t, err := parseAsked(req)
	if err != nil {
		return t, nil, err
	}
	if t.hash, err = lntypes.MakeHash(req.GetHash()); err != nil {
		return t, nil, badRequest("payment hash must be exactly 32 bytes, is instead %d", len(req.GetHash()))
	}
	if t.hash == invoices.UnknownPreimage.Hash() {
		return t, nil, badRequest("the hash is that of the preimage of zeroes, which everybody knows")
	}
	t.foreign = true
	return t, &invoicesrpc.AddHoldInvoiceRequest{
		Memo:            t.memo,
		Hash:            t.hash[:],
		ValueMsat:       int64(t.amount),
		DescriptionHash: req.GetDescriptionHash(),
		Expiry:          int64(t.expiry / time.Second),
		FallbackAddr:    req.GetFallbackAddr(),
		CltvExpiry:      req.GetCltvExpiry(),
		Private:         req.GetPrivate(),
	}, nil
}

// parseAsked judges what both requests share, with lnd's bounds.
func parseAsked(req askedInvoice) (t invoiceTerms, err error) {
	if unknownFields(req.ProtoReflect()) {
		return t, badRequest("the request has fields that are not known here")
	}
	if len(req.GetRouteHints()) > 0 {
		return t, badRequest("route hints are not for accounts to give")
	}
	if n := len(req.GetDescriptionHash()); n != 0 && n != lntypes.HashSize {
		return t, badRequest("description hash must be 32 bytes, is instead %d", n)
	}
	t.memo, t.private = req.GetMemo(), req.GetPrivate()
	if len(t.memo) > invoices.MaxMemoSize {
		return t, badRequest("memo of %d bytes is too large, at most %d", len(t.memo), invoices.MaxMemoSize)
	}
	if t.amount, err = askedAmount(req.GetValue(), req.GetValueMsat()); err != nil {
		return t, err
	}
	switch seconds := req.GetExpiry(); {
	case seconds <= 0:
		t.expiry = invoicesrpc.DefaultInvoiceExpiry
	case seconds > int64(maxExpiry/time.Second):
		return t, badRequest("expiry of %d seconds is too large, at most %d", seconds, int64(maxExpiry/time.Second))
	default:
		t.expiry = time.Duration(seconds) * time.Second
	}
	return t, nil
}

// askedAmount returns the amount of an invoice, given in sat or in msat.
func askedAmount(sat, msat int64) (lnwire.MilliSatoshi, error) {
	switch {
	case sat != 0 && msat != 0:
		return 0, badRequest("the amount is given both in sat and in msat")
	case sat < 0 || msat < 0:
		return 0, badRequest("the amount is negative")
	case sat > int64(maxInvoice/1000) || msat > int64(maxInvoice):
		return 0, badRequest("the amount is too large, at most %d sat", int64(maxInvoice/1000))
	default:
		return lnwire.MilliSatoshi(sat*1000 + msat), nil
	}
}

// unknownFields says whether m, or a message within it, has fields that this
// program does not know: a newer lnd may give them a meaning.
func unknownFields(m protoreflect.Message) (found bool) {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Message() == nil {
				break
			}
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = unknownFields(v.Message())
				return !found
			})
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				found = found || unknownFields(value.List().Get(i).Message())
			}
		default:
			found = unknownFields(value.Message())
		}
		return !found
	})
	return found
}
