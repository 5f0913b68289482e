package guard

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
)

// invoiceRules are the rules of the methods about invoices: an account makes
// its own and sees, settles and cancels no others.
func invoiceRules() map[string]rule {
	return map[string]rule{
		"/lnrpc.Lightning/AddInvoice":        unary(addInvoice),
		"/lnrpc.Lightning/LookupInvoice":     unary(lookupInvoice),
		"/lnrpc.Lightning/ListInvoices":      costly(unary(listInvoices)),
		"/lnrpc.Lightning/SubscribeInvoices": stream(subscribeInvoices),

		"/invoicesrpc.Invoices/AddHoldInvoice":         unary(addHoldInvoice),
		"/invoicesrpc.Invoices/LookupInvoiceV2":        unary(lookupInvoiceV2),
		"/invoicesrpc.Invoices/SubscribeSingleInvoice": stream(subscribeSingleInvoice),
		"/invoicesrpc.Invoices/SettleInvoice":          unary(settleInvoice),
		"/invoicesrpc.Invoices/CancelInvoice":          unary(cancelInvoice),
	}
}

// ownInvoice returns the account's own invoice of the hash; ok is false for
// anybody else's and for one that lnd does not have.
func (c *accountCall) ownInvoice(ctx context.Context, hash lntypes.Hash) (row account.Invoice, ok bool, err error) {
	row, err = c.guard.opts.Ledger.InvoiceByHash(ctx, hash)
	switch {
	case fault.Code(err) == account.CodeNotFound:
		return account.Invoice{}, false, nil
	case err != nil:
		return account.Invoice{}, false, c.guard.ledgerFailed(err)
	}
	if row.Account != c.account.ID {
		return account.Invoice{}, false, nil
	}
	if row.State == account.StatePending {
		row, _, err = c.guard.refreshInvoice(ctx, c.lnd, row)
	}
	return row, err == nil && row.State != account.StatePending, err
}

// lookupInvoice answers LookupInvoice, whose two ways to name a hash it reads
// as lnd does.
func lookupInvoice(ctx context.Context, c *accountCall, req *lnrpc.PaymentHash) (*lnrpc.Invoice, error) {
	raw := req.GetRHash()
	//lint:ignore SA1019 lnd still reads it, before the other
	if text := req.GetRHashStr(); text != "" {
		var err error
		if raw, err = hex.DecodeString(text); err != nil {
			return nil, badRequest("malformed payment hash: not hex")
		}
	}
	var hash lntypes.Hash
	if len(raw) != 0 && len(raw) != len(hash) {
		return nil, badRequest("payment hash must be exactly 32 bytes, is instead %d", len(raw))
	}
	copy(hash[:], raw)
	row, ok, err := c.ownInvoice(ctx, hash)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unknownTo(func() error {
			_, err := c.lnd.lightning.LookupInvoice(ctx, &lnrpc.PaymentHash{RHash: random32()})
			return err
		})
	}
	return c.currentInvoice(ctx, row)
}

// lookupInvoiceV2 answers LookupInvoiceV2. An account has no AMP invoices, so no
// set id is its own.
func lookupInvoiceV2(
	ctx context.Context, c *accountCall, req *invoicesrpc.LookupInvoiceMsg,
) (*lnrpc.Invoice, error) {
	unknown := &invoicesrpc.LookupInvoiceMsg{LookupModifier: req.GetLookupModifier()}
	var hash []byte
	switch ref := req.GetInvoiceRef().(type) {
	case *invoicesrpc.LookupInvoiceMsg_PaymentHash:
		hash = ref.PaymentHash
		if len(hash) != lntypes.HashSize {
			return nil, badRequest("payment hash must be exactly 32 bytes, is instead %d", len(hash))
		}
		unknown.InvoiceRef = &invoicesrpc.LookupInvoiceMsg_PaymentHash{PaymentHash: random32()}
	case *invoicesrpc.LookupInvoiceMsg_PaymentAddr:
		var err error
		if hash, err = c.hashAt(ctx, ref); err != nil {
			return nil, err
		}
		unknown.InvoiceRef = &invoicesrpc.LookupInvoiceMsg_PaymentAddr{PaymentAddr: random32()}
	case *invoicesrpc.LookupInvoiceMsg_SetId:
		unknown.InvoiceRef = &invoicesrpc.LookupInvoiceMsg_SetId{SetId: random32()}
	default:
		return nil, badRequest("invoice ref must be set")
	}
	if parsed, err := lntypes.MakeHash(hash); err == nil {
		row, ok, err := c.ownInvoice(ctx, parsed)
		if err != nil {
			return nil, err
		}
		if ok {
			return c.currentInvoice(ctx, row)
		}
	}
	return nil, unknownTo(func() error {
		_, err := c.lnd.invoices.LookupInvoiceV2(ctx, unknown)
		return err
	})
}

// hashAt returns the payment hash of the invoice with a payment address. Those
// that were paid by transfer lnd forgets.
func (c *accountCall) hashAt(ctx context.Context, ref *invoicesrpc.LookupInvoiceMsg_PaymentAddr) ([]byte, error) {
	if len(ref.PaymentAddr) == 32 {
		row, err := c.guard.opts.Ledger.TransferredTo(ctx, [32]byte(ref.PaymentAddr))
		if err == nil {
			return row.Hash[:], nil
		}
		if fault.Code(err) != account.CodeNotFound {
			return nil, c.guard.ledgerFailed(err)
		}
	}
	found, err := c.lnd.invoices.LookupInvoiceV2(ctx, &invoicesrpc.LookupInvoiceMsg{InvoiceRef: ref})
	if err != nil {
		return nil, lndError(err)
	}
	return found.GetRHash(), nil
}

// currentInvoice is what the account is shown of its invoice: lnd's latest word
// while it may still change, credited before it is shown as settled.
func (c *accountCall) currentInvoice(ctx context.Context, row account.Invoice) (*lnrpc.Invoice, error) {
	row, inv, err := c.guard.refreshInvoice(ctx, c.lnd, row)
	if err != nil {
		return nil, err
	}
	return c.guard.showInvoice(row, inv)
}

// showInvoice makes of lnd's invoice what the account sees: its own numbers, and
// nothing of the node's channels. inv may be nil: what the ledger keeps.
func (g *Guard) showInvoice(row account.Invoice, inv *lnrpc.Invoice) (*lnrpc.Invoice, error) {
	shown := new(lnrpc.Invoice)
	if inv != nil {
		proto.Merge(shown, inv)
	} else if err := proto.Unmarshal(row.Last, shown); err != nil {
		return nil, g.ledgerFailed(err)
	}
	shown.AddIndex, shown.SettleIndex = row.Index, row.SettleIndex
	for _, htlc := range shown.GetHtlcs() {
		htlc.ChanId, htlc.HtlcIndex = 0, 0
	}
	return shown, nil
}

// unknownTo returns what lnd answers about something that it does not know. ask
// names something random, so that the answer for another's invoice cannot
// differ from that for none.
func unknownTo(ask func() error) error {
	if err := ask(); err != nil {
		return lndError(err)
	}
	return status.Error(codes.Internal, "lnd knows what was chosen at random")
}

func random32() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// answeredByLnd says whether an error is lnd's own word. The other codes are
// also made up by gRPC when the connection breaks or the context ends; then
// nothing is known of what lnd did.
func answeredByLnd(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// lndError is what a client is told of an error of lnd: lnd's own word as it is.
func lndError(err error) error {
	if err == nil || answeredByLnd(err) {
		return err
	}
	return refuse(codes.Unavailable, "lnd_down", "", "lnd did not answer; try again")
}

// ledgerFailed is what a client is told of an error of the ledger: a refusal as
// it is; of anything else the cause goes to the log.
func (g *Guard) ledgerFailed(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	told := refusal(err)
	if r, ok := errors.AsType[*front.Refusal](told); ok && r != errLedger {
		return told
	}
	g.log.Error("ledger failed", "err", err)
	return errLedger
}
