package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// giveUp lets a purchase go whose payment an lnd that was restarted keeps in
// flight for good although it never left the node (lnd issue 5152). Any other
// that does not end is an error: then money may have been lost.
func (s *shoppers) giveUp(ctx context.Context, b *buyer) error {
	bought, err := fetch.NewFileStore(filepath.Join(b.Home, ".lnget", "tokens")).All()
	if err != nil {
		return err
	}
	for _, p := range bought {
		if p.State != l402http.StatePending {
			continue
		}
		gone, err := s.w.neverLeft(ctx, p.Hash.String())
		if err != nil {
			return err
		}
		if gone {
			s.stuck = append(s.stuck, p.Hash.String())
			s.t.stuck.Add(1)
			return nil
		}
	}
	return fmt.Errorf("the purchase in %s does not end", b.Home)
}

// neverLeft says whether a payment has no HTLC in any channel and its invoice
// has got none.
func (w *world) neverLeft(ctx context.Context, hash string) (bool, error) {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return false, err
	}
	invoice, err := w.seller().Lightning().LookupInvoice(ctx, &lnrpc.PaymentHash{RHash: raw})
	if err != nil || len(invoice.Htlcs) > 0 {
		return false, err
	}
	channels, err := w.buyer().Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(channels.Channels, func(c *lnrpc.Channel) bool {
		return slices.ContainsFunc(c.PendingHtlcs, func(h *lnrpc.HTLC) bool { return hex.EncodeToString(h.HashLock) == hash })
	}), nil
}
