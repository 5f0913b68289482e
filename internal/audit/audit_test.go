package audit_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// open returns a journal whose clock moves on a second with each entry, and the
// path of its database.
func open(t testing.TB) (*audit.Journal, *guarddb.DB) {
	t.Helper()
	db, err := guarddb.Open(t.Context(), filepath.Join(t.TempDir(), "guard.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var lock sync.Mutex
	now := noon
	return audit.NewJournal(db, func() time.Time {
		lock.Lock()
		defer lock.Unlock()
		now = now.Add(time.Second)
		return now
	}), db
}

const alice, bob = "00000000000000aa", "00000000000000bb"

func entry(n int) audit.Entry {
	e := audit.Entry{
		Kind:    []string{"payment.reserve", "payment.settle", "operator.call"}[n%3],
		Actor:   audit.Actor{Kind: "account", Via: "lnd", Peer: "192.0.2.1", Macaroon: "0123456789abcdef"},
		Account: []string{alice, bob, ""}[n%3],
		Subject: fmt.Sprintf("%064x", n),
		Detail:  map[string]any{"amount_msat": n, "note": "a <b> & c"},
	}
	if n%3 == 2 {
		e.Actor, e.Detail = audit.Actor{Kind: "operator", Via: "api"}, nil
	}
	return e
}

func fill(t testing.TB, j *audit.Journal, entries int) {
	t.Helper()
	for n := range entries {
		if err := j.Add(t.Context(), entry(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t testing.TB, j *audit.Journal, noted ...audit.Head) (audit.Head, []string) {
	t.Helper()
	head, faults, err := j.Verify(t.Context(), noted...)
	if err != nil {
		t.Fatal(err)
	}
	return head, faults
}

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	j, _ := open(t)
	fill(t, j, 3)
	list, err := j.List(t.Context(), audit.Query{})
	if err != nil || len(list) != 3 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	got := list[1]
	want := audit.Record{Seq: 2, At: noon.Add(2 * time.Second), Kind: "payment.settle", Account: bob,
		Actor:   audit.Actor{Kind: "account", Via: "lnd", Peer: "192.0.2.1", Macaroon: "0123456789abcdef"},
		Subject: fmt.Sprintf("%064x", 1), Detail: `{"amount_msat":1,"note":"a <b> & c"}`, Hash: got.Hash}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if list[2].Detail != "{}" {
		t.Errorf("no detail: %q", list[2].Detail)
	}
}

func TestNothingIsAnEmptyObject(t *testing.T) {
	j, _ := open(t)
	if err := j.Add(t.Context(), audit.Entry{Kind: "k", Detail: map[string]any(nil)}); err != nil {
		t.Fatal(err)
	}
	list, err := j.List(t.Context(), audit.Query{})
	if err != nil || len(list) != 1 || list[0].Detail != "{}" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestDetailHasSortedKeys(t *testing.T) {
	j, _ := open(t)
	type detail struct {
		Z int    `json:"z"`
		A uint64 `json:"a"`
	}
	if err := j.Add(t.Context(), audit.Entry{Kind: "k", Detail: detail{1, 1<<63 + 1}}); err != nil {
		t.Fatal(err)
	}
	list, err := j.List(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":9223372036854775809,"z":1}`; list[0].Detail != want {
		t.Errorf("got %s, want %s", list[0].Detail, want)
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	for name, e := range map[string]audit.Entry{
		"no kind":               {},
		"detail is a list":      {Kind: "k", Detail: []int{1}},
		"detail is a number":    {Kind: "k", Detail: 1},
		"detail has no meaning": {Kind: "k", Detail: map[string]any{"f": func() {}}},
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			j, _ := open(t)
			if err := j.Add(t.Context(), e); err == nil {
				t.Error("was taken")
			}
			if head, faults := verify(t, j); head != (audit.Head{}) || len(faults) > 0 {
				t.Errorf("head %s, faults %q", head, faults)
			}
		})
	}
}

// TestStrangersText keeps what an export would change out of the hash.
func TestStrangersText(t *testing.T) {
	j, _ := open(t)
	err := j.Add(t.Context(), audit.Entry{Kind: "k", Subject: "a\x00b\xffc", Detail: map[string]string{"m": "\xff\x00"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := j.List(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\uFFFDb\uFFFDc"; list[0].Subject != want {
		t.Errorf("subject %q", list[0].Subject)
	}
	if _, faults := verify(t, j); len(faults) > 0 {
		t.Error(faults)
	}
}

// TestChainSurvivesWhatIsUndone appends from many transactions that share
// commits, every third of which is undone after its entry.
func TestChainSurvivesWhatIsUndone(t *testing.T) {
	j, db := open(t)
	undone := errors.New("undone")
	var all sync.WaitGroup
	for n := range 90 {
		all.Go(func() {
			err := db.Write(t.Context(), func(tx *sql.Tx) error {
				if _, err := audit.Append(tx, int64(n), entry(n)); err != nil {
					return err
				}
				if n%3 == 0 {
					return undone
				}
				return nil
			})
			if err != nil && !errors.Is(err, undone) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	head, faults := verify(t, j)
	if head.Seq != 60 || len(faults) > 0 {
		t.Errorf("%d entries, want 60; faults %q", head.Seq, faults)
	}
}

func TestTimesNeverDecrease(t *testing.T) {
	j, db := open(t)
	for _, at := range []int64{1000, 5000, 2000, 6000} {
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := audit.Append(tx, at, audit.Entry{Kind: "k"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := j.List(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1000, 5000, 5000, 6000} {
		if got := list[i].At.UnixMilli(); got != want {
			t.Errorf("entry %d at %d, want %d", i+1, got, want)
		}
	}
}

func TestJournalIsAppendOnly(t *testing.T) {
	_, db := open(t)
	for name, statement := range map[string]string{
		"update":          "UPDATE journal SET subject = 'x' WHERE seq = 1",
		"delete":          "DELETE FROM journal",
		"insert before":   "INSERT INTO journal SELECT 0, 1, kind, actor, via, peer, macaroon, account, subject, detail, hash FROM journal",
		"insert with gap": "INSERT INTO journal SELECT 7, 1, kind, actor, via, peer, macaroon, account, subject, detail, hash FROM journal",
		"replace":         "INSERT OR REPLACE INTO journal SELECT 1, 1, kind, actor, via, peer, macaroon, account, subject, detail, hash FROM journal",
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			err := db.Write(t.Context(), func(tx *sql.Tx) error {
				if _, err := audit.Append(tx, 1, entry(0)); err != nil {
					return err
				}
				if _, err := tx.Exec(statement); err == nil {
					t.Errorf("allowed: %s", statement)
				} else if !strings.Contains(err.Error(), "the journal ") {
					t.Errorf("another error: %v", err)
				}
				return errors.New("undo")
			})
			if err == nil {
				t.Error("not undone")
			}
		})
	}
}

func TestList(t *testing.T) {
	j, _ := open(t)
	const entries = 1203 // three pages, the last not full
	fill(t, j, entries)
	seqs := func(first, step, count int) (want []int64) {
		for i := range count {
			want = append(want, int64(first+i*step))
		}
		return want
	}
	for name, c := range map[string]struct {
		query audit.Query
		want  []int64
	}{
		"all":               {audit.Query{}, seqs(1, 1, entries)},
		"limit":             {audit.Query{Limit: 3}, seqs(1, 1, 3)},
		"limit over a page": {audit.Query{Limit: 501}, seqs(1, 1, 501)},
		"limit of pages":    {audit.Query{Limit: 1000}, seqs(1, 1, 1000)},
		"after":             {audit.Query{After: 1201}, seqs(1202, 1, 2)},
		"after the end":     {audit.Query{After: entries}, nil},
		"account":           {audit.Query{Account: bob}, seqs(2, 3, 401)},
		"account and kind":  {audit.Query{Account: bob, Kind: "payment.reserve"}, nil},
		"kind":              {audit.Query{Kind: "operator.call"}, seqs(3, 3, 401)},
		"unknown kind":      {audit.Query{Kind: "x"}, nil},
		"since":             {audit.Query{Since: noon.Add(1200 * time.Second)}, seqs(1200, 1, 4)},
		"since, between":    {audit.Query{Since: noon.Add(1200*time.Second + 1e6)}, seqs(1201, 1, 3)},
		"since the future":  {audit.Query{Since: noon.Add(time.Hour)}, nil},
		"since and after":   {audit.Query{Since: noon.Add(1200 * time.Second), After: 1202}, seqs(1203, 1, 1)},
		"newest":            {audit.Query{Newest: true, Limit: 2}, seqs(1202, 1, 2)},
		"newest of few":     {audit.Query{Newest: true, Limit: 5, After: 1201}, seqs(1202, 1, 2)},
		"newest of account": {audit.Query{Newest: true, Limit: 2, Account: alice}, seqs(1198, 3, 2)},
		"newest of kind":    {audit.Query{Newest: true, Limit: 2, Kind: "payment.settle"}, seqs(1199, 3, 2)},
		"newest, no limit":  {audit.Query{Newest: true, Account: alice}, seqs(1, 3, 401)},
	} {
		t.Run("ok/"+name, func(t *testing.T) {
			list, err := j.List(t.Context(), c.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range list {
				got = append(got, r.Seq)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
