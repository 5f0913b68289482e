package gate

import (
	"context"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// troubleLasts is for how long a record that could not be written counts as
// trouble: the next try says more, and nobody tries when health turns buyers
// away.
const troubleLasts = 30 * time.Second

// journal keeps the seller's open challenges in the database.
type journal struct {
	db *gatedb.DB

	mu     sync.Mutex
	failed error // the last record; nil when it was written
	at     time.Time
}

// trouble returns why no challenge can be recorded, and so none be made; nil
// when one can, or nobody has tried of late.
func (j *journal) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if time.Since(j.at) > troubleLasts {
		return nil
	}
	return j.failed
}

func (j *journal) Minted(ctx context.Context, c l402http.OpenChallenge) error {
	err := j.record(ctx, c)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed, j.at = err, time.Now()
	return err
}

func (j *journal) record(ctx context.Context, c l402http.OpenChallenge) error {
	id := l402.TokenID(c.Hash)
	if !c.Token.IsZero() {
		minted, err := c.Token.Identifier()
		if err != nil {
			return err
		}
		id = minted.TokenID
	}
	t := gatedb.Transaction{
		Hash: c.Hash, TokenID: id, Token: c.Token, Service: c.Service, Price: c.Price,
		Prefix: c.Prefix, State: gatedb.StateOpen, Created: c.Created, Expires: c.Expires,
	}
	if c.Client != nil {
		t.Client = c.Client[:]
	}
	return j.db.Mint(ctx, t)
}

func (j *journal) Dropped(ctx context.Context, hash lntypes.Hash) error {
	return j.db.Cancel(ctx, hash)
}

// openChallenge is what the journal kept, with the invoice as the node knows
// it, "" for not.
func openChallenge(t gatedb.Transaction, bolt11 string) l402http.OpenChallenge {
	c := l402http.OpenChallenge{
		Hash: t.Hash, Token: t.Token, Service: t.Service, Price: t.Price, Invoice: bolt11,
		Prefix: t.Prefix, Created: t.Created, Expires: t.Expires,
	}
	if len(t.Client) == 32 {
		c.Client = (*[32]byte)(t.Client)
	}
	return c
}
