package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/store/gatedb"
)

const (
	// agreeTime is how long the gate may take to learn what its node knows.
	agreeTime = 30 * time.Second
	listAll   = 10_000_000
)

// book is what was paid, in msat, by payment hash in hex.
type book map[string]lnwire.MilliSatoshi

// compare insists that gate, seller's node, buyer's node and buyers say the
// same of every payment.
func (w *world) compare(ctx context.Context, s *shoppers) error {
	for end := time.Now().Add(agreeTime); ; {
		err := w.compareOnce(ctx, s)
		if err == nil || time.Now().After(end) || pause(ctx, 500*time.Millisecond) != nil {
			return err
		}
	}
}

func (w *world) compareOnce(ctx context.Context, s *shoppers) error {
	bought := book{}
	for _, p := range s.done {
		bought[p.Hash.String()] = p.Amount
	}
	gate, err := w.gateBook(ctx)
	if err != nil {
		return err
	}
	received, err := w.sellerBook(ctx)
	if err != nil {
		return err
	}
	paid, err := w.buyerBook(ctx, s.stuck)
	if err != nil {
		return err
	}
	return errors.Join(
		bought.same("the buyers", paid, "their node"),
		bought.same("the buyers", received, "the seller's node"),
		bought.same("the buyers", gate, "the gate"))
}

// same says where the books differ.
func (b book) same(mine string, other book, theirs string) error {
	if maps.Equal(b, other) {
		return nil
	}
	return fmt.Errorf("%s have %d payments, %s has %d; only the former %q, only the latter %q",
		mine, len(b), theirs, len(other), b.without(other), other.without(b))
}

// without are some entries that the other has not, or not the same.
func (b book) without(other book) (some []string) {
	for hash, msat := range b {
		if other[hash] != msat && len(some) < 5 {
			some = append(some, fmt.Sprintf("%s %d msat", hash, msat))
		}
	}
	return some
}

func (w *world) gateBook(ctx context.Context) (book, error) {
	db, err := gatedb.Open(ctx, filepath.Join(w.gate.Home(), "gate", "gate.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	records, err := db.Records(ctx, gatedb.Filter{State: gatedb.StateSettled})
	if err != nil {
		return nil, err
	}
	b := book{}
	for _, r := range records {
		b[r.Hash.String()] = r.Paid
	}
	return b, nil
}

func (w *world) sellerBook(ctx context.Context) (book, error) {
	r, err := w.seller().Lightning().ListInvoices(ctx, &lnrpc.ListInvoiceRequest{NumMaxInvoices: listAll})
	if err != nil {
		return nil, fmt.Errorf("the seller's invoices: %w", err)
	}
	b := book{}
	for _, i := range r.Invoices {
		if i.State == lnrpc.Invoice_SETTLED {
			b[hex.EncodeToString(i.RHash)] = lnwire.MilliSatoshi(i.AmtPaidMsat)
		}
	}
	return b, nil
}

func (w *world) buyerBook(ctx context.Context, stuck []string) (book, error) {
	r, err := w.buyer().Lightning().ListPayments(ctx, &lnrpc.ListPaymentsRequest{IncludeIncomplete: true, MaxPayments: listAll})
	if err != nil {
		return nil, fmt.Errorf("the buyer's payments: %w", err)
	}
	b := book{}
	for _, p := range r.Payments {
		switch p.Status {
		case lnrpc.Payment_SUCCEEDED:
			b[p.PaymentHash] = lnwire.MilliSatoshi(p.ValueMsat)
		case lnrpc.Payment_FAILED:
		default:
			if slices.Contains(stuck, p.PaymentHash) {
				continue
			}
			return nil, fmt.Errorf("payment %s is %s", p.PaymentHash, p.Status)
		}
	}
	return b, nil
}
