package gate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
)

// TestLookUp asks about one open transaction that the node knows in different
// ways.
func TestLookUp(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	n := byte(0)
	record := func(created time.Time) gatedb.Transaction {
		n++
		preimage := lntypes.Preimage{n}
		tx := gatedb.Transaction{Hash: preimage.Hash(), Token: challenge(t, get(t, g, "/news/1")).Tokens[0],
			TokenID: l402.TokenID{n}, Service: "news", Price: 1, Created: created, Expires: created.Add(time.Hour)}
		if err := g.db.Mint(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	for name, c := range map[string]struct {
		created time.Time
		state   lightning.InvoiceState // "" for unknown to the node
		open    bool
		settled bool
	}{
		"being made":              {time.Now(), "", true, false},
		"never made":              {time.Now().Add(-2 * mintGrace), "", false, false},
		"never made, before":      {g.watcher.started.Add(-time.Second), "", false, false},
		"still open":              {time.Now(), lightning.InvoiceOpen, true, false},
		"expired":                 {time.Now(), lightning.InvoiceCanceled, false, false},
		"paid while nobody heard": {time.Now(), lightning.InvoiceSettled, false, true},
	} {
		tx := record(c.created)
		if c.state != "" {
			node.mu.Lock()
			node.invoices[tx.Hash] = &lightning.Invoice{Hash: tx.Hash, State: c.state, AmountPaid: 1, Settled: time.Now()}
			node.mu.Unlock()
		}
		open, settled := totals(t, g)
		if err := g.watcher.lookUp(context.Background(), node, tx); err != nil {
			t.Fatal(err)
		}
		nowOpen, nowSettled := totals(t, g)
		if (nowOpen == open) != c.open || (nowSettled > settled) != c.settled {
			t.Errorf("%s: %d open, %d settled, before %d, %d", name, nowOpen, nowSettled, open, settled)
		}
	}
}
