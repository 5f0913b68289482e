package gate

import (
	"context"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// journal keeps the seller's open challenges in the database.
type journal struct{ db *gatedb.DB }

func (j journal) Minted(ctx context.Context, c l402http.OpenChallenge) error {
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

func (j journal) Dropped(ctx context.Context, hash lntypes.Hash) error { return j.db.Cancel(ctx, hash) }

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
