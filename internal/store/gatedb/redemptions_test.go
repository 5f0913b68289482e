package gatedb_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/gatedb"
)

func redeem(t *testing.T, db *gatedb.DB, hash lntypes.Hash, service string, until time.Time) gatedb.Redemption {
	t.Helper()
	r, err := db.Redeem(context.WithoutCancel(t.Context()), hash, service, time.Now(), until)
	if err != nil {
		t.Error(err)
	}
	return r
}

func TestRedeemOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := open(t, path)
	answered, unanswered, revoked := transaction(t, 1), transaction(t, 2), transaction(t, 3)
	for _, tx := range []gatedb.Transaction{answered, unanswered, revoked} {
		if err := db.Mint(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Revoke(t.Context(), revoked.TokenID, time.Now(), "test"); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		hash    lntypes.Hash
		service string
		want    gatedb.Redemption
	}{
		"fail/unknown":       {lntypes.Hash{9}, "s", gatedb.RedemptionUnknown},
		"fail/other service": {answered.Hash, "other", gatedb.RedemptionUnknown},
		"fail/revoked":       {revoked.Hash, "s", gatedb.RedemptionRevoked},
	} {
		if got := redeem(t, db, c.hash, c.service, later); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch redeem(t, db, answered.Hash, "s", later) {
			case gatedb.Redeemed:
				won.Add(1)
			case gatedb.AlreadyRedeemed:
			default:
				t.Error("neither redeemed nor before")
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 redeemed one payment", won.Load())
	}

	if err := db.RestorePayment(t.Context(), answered.Hash); err != nil {
		t.Fatal(err)
	}
	if got := redeem(t, db, answered.Hash, "s", later); got != gatedb.Redeemed {
		t.Errorf("after restoring: %v", got)
	}
	if got := redeem(t, db, unanswered.Hash, "s", later); got != gatedb.Redeemed {
		t.Errorf("second: %v", got)
	}
	if err := db.AnsweredPayments(t.Context(), []lntypes.Hash{answered.Hash, {9}}); err != nil {
		t.Fatal(err)
	}
	if err := db.RestorePayment(t.Context(), answered.Hash); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, path)
	if n, err := db.RestoreUnanswered(t.Context()); err != nil || n != 1 {
		t.Errorf("restored %d, %v", n, err)
	}
	if got := redeem(t, db, answered.Hash, "s", later); got != gatedb.AlreadyRedeemed {
		t.Errorf("answered before the crash: %v", got)
	}
	if got := redeem(t, db, unanswered.Hash, "s", later); got != gatedb.Redeemed {
		t.Errorf("not answered before the crash: %v", got)
	}
}

func TestPruneRedemptions(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	now := time.Now()
	for i, until := range []time.Time{now.Add(-time.Hour), now.Add(time.Hour), now.Add(-time.Hour)} {
		tx := transaction(t, byte(i))
		if err := db.Mint(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		redeem(t, db, tx.Hash, "s", until)
	}
	if err := db.AnsweredPayments(t.Context(), []lntypes.Hash{{0}, {1}}); err != nil {
		t.Fatal(err)
	}
	if n, err := db.PruneRedemptions(t.Context(), now); err != nil || n != 1 {
		t.Errorf("pruned %d, %v", n, err)
	}
	if got := redeem(t, db, lntypes.Hash{1}, "s", now); got != gatedb.AlreadyRedeemed {
		t.Errorf("pruned too early: %v", got)
	}
}

func TestPaymentWithoutToken(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	tx := transaction(t, 1)
	tx.Token = gatedb.Transaction{}.Token
	tx.TokenID = [32]byte(tx.Hash)
	if err := db.Mint(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	all, err := db.OpenTransactions(t.Context())
	if err != nil || len(all) != 1 || !all[0].Token.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}
