package market

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// counterparts insists that the payee received, once and in full, exactly what
// the payer's node says it paid. Each payment of the payer's is to that payee.
func (m *Market) counterparts(ctx context.Context, payer, payee *devnet.Node) error {
	paid, err := payments(ctx, payer)
	if err != nil {
		return err
	}
	received, err := invoices(ctx, payee)
	if err != nil {
		return err
	}
	var faults []error
	for _, p := range paid {
		if p.Status != lnrpc.Payment_SUCCEEDED {
			continue
		}
		hash, err := hex.DecodeString(p.PaymentHash)
		if err != nil {
			return err
		}
		inv := received[string(hash)]
		if inv == nil || inv.State != lnrpc.Invoice_SETTLED || inv.AmtPaidMsat != p.ValueMsat || inv.ValueMsat != p.ValueMsat {
			faults = append(faults, fmt.Errorf("%s paid %d msat for %s, %s has invoice %v", payer.Name, p.ValueMsat, p.PaymentHash, payee.Name, inv))
		}
		delete(received, string(hash))
	}
	for _, inv := range received {
		if inv.State == lnrpc.Invoice_SETTLED {
			faults = append(faults, fmt.Errorf("%s received %d msat on %x, %s knows of no payment that succeeded", payee.Name, inv.AmtPaidMsat, inv.RHash, payer.Name))
		}
	}
	return errors.Join(faults...)
}

// payments are all of a node's lnd.
func payments(ctx context.Context, n *devnet.Node) ([]*lnrpc.Payment, error) {
	r, err := n.Lightning().ListPayments(ctx, &lnrpc.ListPaymentsRequest{IncludeIncomplete: true, MaxPayments: 10 * pageSize})
	if err != nil {
		return nil, fmt.Errorf("payments of %s: %w", n.Name, err)
	}
	return r.Payments, nil
}

// invoices are all of a node's lnd, by hash.
func invoices(ctx context.Context, n *devnet.Node) (map[string]*lnrpc.Invoice, error) {
	r, err := n.Lightning().ListInvoices(ctx, &lnrpc.ListInvoiceRequest{NumMaxInvoices: 10 * pageSize})
	if err != nil {
		return nil, fmt.Errorf("invoices of %s: %w", n.Name, err)
	}
	all := make(map[string]*lnrpc.Invoice, len(r.Invoices))
	for _, inv := range r.Invoices {
		all[string(inv.RHash)] = inv
	}
	return all, nil
}
