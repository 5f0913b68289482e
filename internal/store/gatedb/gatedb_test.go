package gatedb_test

import (
	"crypto/rand"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
)

func open(t *testing.T, path string) *gatedb.DB {
	t.Helper()
	db, err := gatedb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func transaction(t *testing.T, hash byte) gatedb.Transaction {
	t.Helper()
	master, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := l402.NewKeyring(master)
	if err != nil {
		t.Fatal(err)
	}
	services, err := l402.ServicesCaveat(l402.Service{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := ring.Mint(rand.Reader, lntypes.Hash{hash}, services)
	if err != nil {
		t.Fatal(err)
	}
	id, err := token.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	created := time.UnixMilli(1_700_000_000_000 + int64(hash))
	return gatedb.Transaction{Hash: lntypes.Hash{hash}, TokenID: id.TokenID, Token: token, Service: "s",
		Price: 100_000, Prefix: netip.MustParsePrefix("192.0.2.0/24"), State: gatedb.StateOpen,
		Created: created, Expires: created.Add(time.Hour)}
}

func TestTransactionsSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := open(t, path)
	first, second, third := transaction(t, 1), transaction(t, 2), transaction(t, 3)
	second.Client = make([]byte, 32)
	third.Prefix = netip.Prefix{}
	for _, tx := range []gatedb.Transaction{first, second, third} {
		if err := db.Mint(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Mint(t.Context(), first); err == nil {
		t.Error("the same hash twice")
	}
	if ours, err := db.Settle(t.Context(), lntypes.Hash{9}, time.Now(), 1); err != nil || ours {
		t.Errorf("settle a stranger: %v %v", ours, err)
	}
	if ours, err := db.Settle(t.Context(), first.Hash, time.Now(), 100_500); err != nil || !ours {
		t.Errorf("settle: %v %v", ours, err)
	}
	if ours, err := db.Settle(t.Context(), first.Hash, time.Now(), 1); err != nil || ours {
		t.Errorf("settle again: %v %v", ours, err)
	}
	if err := db.Cancel(t.Context(), first.Hash); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, path)
	got, err := db.OpenTransactions(t.Context())
	if err != nil || !reflect.DeepEqual(got, []gatedb.Transaction{second, third}) {
		t.Errorf("open: %+v, %v; want %+v", got, err, []gatedb.Transaction{second, third})
	}
	totals, err := db.Totals(t.Context())
	if err != nil || totals != (gatedb.Totals{Open: 2, Settled: 1, Received: 100_500}) {
		t.Errorf("totals %+v, %v", totals, err)
	}
	if err := db.Cancel(t.Context(), second.Hash); err != nil {
		t.Error(err)
	}
	if n, err := db.Prune(t.Context(), second.Created.Add(time.Second), 10); err != nil || n != 1 {
		t.Errorf("pruned %d, %v", n, err)
	}
	if ours, err := db.Settle(t.Context(), third.Hash, time.Now(), 1); err != nil || !ours {
		t.Errorf("settle third: %v %v", ours, err)
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	for n := range byte(20) {
		tx := transaction(t, n)
		if err := db.Mint(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		if n == 3 || n == 19 {
			continue
		}
		if err := db.Cancel(t.Context(), tx.Hash); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{13, 0} {
		if n, err := db.Prune(t.Context(), time.UnixMilli(0), 4); err != nil || n != want {
			t.Errorf("pruned %d, %v; want %d", n, err, want)
		}
	}
	if open, err := db.OpenTransactions(t.Context()); err != nil || len(open) != 2 {
		t.Errorf("%d open, %v", len(open), err)
	}
}

func TestCanceledButPaidIsSettled(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	tx := transaction(t, 1)
	if err := db.Mint(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if err := db.Cancel(t.Context(), tx.Hash); err != nil {
		t.Fatal(err)
	}
	if ours, err := db.Settle(t.Context(), tx.Hash, time.Now(), 7); err != nil || !ours {
		t.Fatalf("settle: %v %v", ours, err)
	}
	if totals, err := db.Totals(t.Context()); err != nil || totals.Settled != 1 || totals.Received != 7 {
		t.Fatalf("totals %+v, %v", totals, err)
	}
}

func TestRevocationsAndKeys(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	a, b := l402.TokenID{1}, l402.TokenID{2}
	for _, id := range []l402.TokenID{a, b, a} {
		if err := db.Revoke(t.Context(), id, time.Now(), "test"); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := db.Revoked(t.Context()); err != nil || !reflect.DeepEqual(ids, []l402.TokenID{a, b}) {
		t.Errorf("revoked %v, %v", ids, err)
	}
	for i, id := range []l402.KeyID{{2}, {1}, {2}} {
		if err := db.SawKey(t.Context(), id, time.UnixMilli(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := db.Keys(t.Context()); err != nil || !reflect.DeepEqual(ids, []l402.KeyID{{2}, {1}}) {
		t.Errorf("keys %v, %v", ids, err)
	}
}
