package gatedb_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/store/gatedb"
)

func TestRecords(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	var made [4]gatedb.Transaction
	for i := range made {
		made[i] = transaction(t, byte(i))
		if i == 3 {
			made[i].Service = "other"
		}
		if err := db.Mint(t.Context(), made[i]); err != nil {
			t.Fatal(err)
		}
	}
	at := time.UnixMilli(1_700_000_100_000)
	if _, err := db.Settle(t.Context(), made[1].Hash, at, 100_500); err != nil {
		t.Fatal(err)
	}
	if err := db.Cancel(t.Context(), made[2].Hash); err != nil {
		t.Fatal(err)
	}
	if err := db.Revoke(t.Context(), made[1].TokenID, at, "leaked"); err != nil {
		t.Fatal(err)
	}
	for _, id := range [][32]byte{[32]byte(made[1].TokenID), [32]byte(made[1].Hash)} {
		if found, err := db.Find(t.Context(), id); err != nil || len(found) != 1 || found[0].Hash != made[1].Hash {
			t.Errorf("find %x: %+v, %v", id, found, err)
		}
	}
	if found, err := db.Find(t.Context(), [32]byte{0xff}); err != nil || len(found) != 0 {
		t.Errorf("find a stranger: %+v, %v", found, err)
	}

	if found, err := db.Redeem(t.Context(), made[0].Hash, "s", at, at.Add(time.Hour)); err != nil || found != gatedb.Redeemed {
		t.Fatalf("redeem: %v, %v", found, err)
	}
	if found, err := db.Find(t.Context(), [32]byte(made[0].Hash)); err != nil || len(found) != 1 || !found[0].Used.Equal(at) {
		t.Errorf("used: %+v, %v", found, err)
	}

	for name, c := range map[string]struct {
		filter gatedb.Filter
		want   []byte
	}{
		"ok/all":      {gatedb.Filter{}, []byte{3, 2, 1, 0}},
		"ok/limit":    {gatedb.Filter{Limit: 2}, []byte{3, 2}},
		"ok/service":  {gatedb.Filter{Service: "other"}, []byte{3}},
		"ok/state":    {gatedb.Filter{State: gatedb.StateOpen}, []byte{3, 0}},
		"ok/since":    {gatedb.Filter{Since: made[2].Created}, []byte{3, 2}},
		"ok/together": {gatedb.Filter{Service: "s", State: gatedb.StateSettled, Since: made[0].Created}, []byte{1}},
		"ok/none":     {gatedb.Filter{Service: "s' OR 1=1 --"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := db.Records(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for _, r := range records {
				got = append(got, r.Hash[0])
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}

	found, err := db.Find(t.Context(), [32]byte(made[1].TokenID))
	if err != nil || len(found) != 1 {
		t.Fatalf("find: %+v, %v", found, err)
	}
	want := made[1]
	want.State, want.Settled, want.Paid = gatedb.StateSettled, at, 100_500
	if r := found[0]; !reflect.DeepEqual(r.Transaction, want) || !r.Revoked.Equal(at) || r.Reason != "leaked" {
		t.Errorf("found %+v, want %+v", r, want)
	}

	totals, err := db.TotalsByService(t.Context(), time.Time{})
	if err != nil || !reflect.DeepEqual(totals, []gatedb.ServiceTotals{
		{Service: "other", Open: 1}, {Service: "s", Open: 1, Settled: 1, Canceled: 1, Received: 100_500}}) {
		t.Errorf("totals %+v, %v", totals, err)
	}
	if totals, err = db.TotalsByService(t.Context(), made[3].Created); err != nil || len(totals) != 1 {
		t.Errorf("totals since: %+v, %v", totals, err)
	}
}
