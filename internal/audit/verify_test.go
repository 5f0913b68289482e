package audit_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// raw opens the database behind the program's back, without its triggers.
func raw(t testing.TB, db *guarddb.DB) *sql.DB {
	t.Helper()
	direct, err := sql.Open("sqlite", db.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { direct.Close() })
	direct.SetMaxOpenConns(1)
	for _, trigger := range []string{"journal_no_update", "journal_no_delete", "journal_at_the_end"} {
		run(t, direct, "DROP TRIGGER "+trigger)
	}
	return direct
}

func run(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

const copied = "kind, actor, via, peer, macaroon, account, subject, detail, hash FROM journal"

func TestTampering(t *testing.T) {
	for name, c := range map[string]struct {
		statements []string
		want       string // in the first fault
	}{
		"kind":         {[]string{"UPDATE journal SET kind = 'x' WHERE seq = 3"}, "entry 3 (x)"},
		"actor":        {[]string{"UPDATE journal SET actor = 'operator' WHERE seq = 1"}, "entry 1 "},
		"moved text":   {[]string{"UPDATE journal SET actor = 'accountl', via = 'nd' WHERE seq = 1"}, "entry 1 "},
		"time":         {[]string{"UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 6"}, "entry 6 "},
		"detail":       {[]string{"UPDATE journal SET detail = replace(detail, '1', '2') WHERE seq = 2"}, "entry 2 "},
		"hash":         {[]string{"UPDATE journal SET hash = randomblob(32) WHERE seq = 4"}, "entry 4 "},
		"last hash":    {[]string{"UPDATE journal SET hash = randomblob(32) WHERE seq = 6"}, "entry 6 "},
		"first gone":   {[]string{"DELETE FROM journal WHERE seq = 1"}, "entry 1 is missing"},
		"middle gone":  {[]string{"DELETE FROM journal WHERE seq IN (3, 4)"}, "entries 3 to 4 are missing"},
		"closed gap":   {[]string{"DELETE FROM journal WHERE seq = 3", "UPDATE journal SET seq = seq - 1 WHERE seq > 3"}, "entry 3 "},
		"inserted":     {[]string{"UPDATE journal SET seq = 7 WHERE seq = 6", "UPDATE journal SET seq = 6 WHERE seq = 5", "INSERT INTO journal SELECT 5, at_ms, " + copied + " WHERE seq = 4"}, "entry 5 "},
		"at the start": {[]string{"PRAGMA ignore_check_constraints = 1", "INSERT INTO journal SELECT 0, at_ms, " + copied + " WHERE seq = 1"}, "entry 0 does not belong"},
		"at the end":   {[]string{"INSERT INTO journal SELECT 7, at_ms, " + copied + " WHERE seq = 6"}, "entry 7 "},
		"swapped":      {[]string{"UPDATE journal SET seq = 100 WHERE seq = 2", "UPDATE journal SET seq = 2 WHERE seq = 3", "UPDATE journal SET seq = 3 WHERE seq = 100"}, "entry 2 "},
		"short hash":   {[]string{"PRAGMA ignore_check_constraints = 1", "UPDATE journal SET hash = x'00' WHERE seq = 6"}, "entry 6 "},
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			j, db := open(t)
			fill(t, j, 6)
			if _, faults := verify(t, j); len(faults) > 0 {
				t.Fatal(faults)
			}
			direct := raw(t, db)
			for _, s := range c.statements {
				run(t, direct, s)
			}
			_, faults := verify(t, j)
			if len(faults) == 0 || !strings.Contains(faults[0], c.want) {
				t.Errorf("faults %q, want %q", faults, c.want)
			}
		})
	}
}

// TestNotedHeads holds what the chain alone cannot show against heads that were
// noted before.
func TestNotedHeads(t *testing.T) {
	j, db := open(t)
	empty, _ := verify(t, j)
	fill(t, j, 4)
	early, _ := verify(t, j)
	fill(t, j, 4)
	late, faults := verify(t, j, empty, early)
	if late.Seq != 8 || len(faults) > 0 {
		t.Fatalf("head %s, faults %q", late, faults)
	}
	direct := raw(t, db)

	run(t, direct, "DELETE FROM journal WHERE seq > 6")
	if _, faults = verify(t, j, early); len(faults) > 0 {
		t.Errorf("noted before what was cut off: %q", faults)
	}
	if _, faults = verify(t, j, early, late); len(faults) != 1 || !strings.Contains(faults[0], "entries 7 to 8") {
		t.Errorf("cut off: %q", faults)
	}

	rewrite(t, direct)
	if _, faults = verify(t, j); len(faults) > 0 {
		t.Fatalf("a chain made anew is a chain: %q", faults)
	}
	if _, faults = verify(t, j, early); len(faults) != 1 || !strings.Contains(faults[0], "anew") {
		t.Errorf("made anew: %q", faults)
	}

	run(t, direct, "DELETE FROM journal")
	if head, faults := verify(t, j, early); head != (audit.Head{}) || len(faults) != 1 {
		t.Errorf("emptied: head %s, %q", head, faults)
	}
	if _, faults := verify(t, j, audit.Head{Hash: early.Hash}); len(faults) != 1 {
		t.Errorf("a head of nothing that is not zero: %q", faults)
	}
}

// rewrite alters the first entry and makes every hash anew, from the
// documentation of audit.Hash.
func rewrite(t *testing.T, db *sql.DB) {
	t.Helper()
	run(t, db, "UPDATE journal SET subject = 'altered' WHERE seq = 1")
	previous := make([]byte, 32)
	for seq := 1; ; seq++ {
		var at int64
		texts := make([]string, 8)
		into := []any{&at}
		for i := range texts {
			into = append(into, &texts[i])
		}
		err := db.QueryRow(`SELECT at_ms, kind, actor, via, peer, macaroon, account, subject, detail
			FROM journal WHERE seq = ?`, seq).Scan(into...)
		if err == sql.ErrNoRows {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		previous = documented(previous, int64(seq), at, texts)
		run(t, db, "UPDATE journal SET hash = ? WHERE seq = ?", previous, seq)
	}
}

func documented(previous []byte, seq, at int64, texts []string) []byte {
	h := sha256.New()
	h.Write(previous)
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	for _, n := range []int64{seq, at} {
		h.Write(number(8))
		h.Write(number(n))
	}
	for _, text := range texts {
		h.Write(number(int64(len(text))))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

func TestManyFaultsEnd(t *testing.T) {
	j, db := open(t)
	fill(t, j, 300)
	run(t, raw(t, db), "UPDATE journal SET subject = ''")
	if _, faults := verify(t, j); len(faults) != 101 {
		t.Errorf("%d faults", len(faults))
	}
}

// TestAnyChangeIsFound changes one field of one entry to anything else, and
// then back.
func TestAnyChangeIsFound(t *testing.T) {
	const entries = 4
	j, db := open(t)
	fill(t, j, entries)
	direct := raw(t, db)
	columns := []string{"at_ms", "kind", "actor", "via", "peer", "macaroon", "account", "subject", "detail", "hash"}
	rapid.Check(t, func(r *rapid.T) {
		column := rapid.SampledFrom(columns).Draw(r, "column")
		seq := rapid.IntRange(1, entries).Draw(r, "seq")
		var old any
		if err := direct.QueryRow("SELECT "+column+" FROM journal WHERE seq = ?", seq).Scan(&old); err != nil {
			r.Fatal(err)
		}
		var value any
		switch old := old.(type) {
		case int64:
			value = old + rapid.Int64().Filter(func(n int64) bool { return n != 0 }).Draw(r, "by")
		case []byte:
			changed := slices.Clone(old)
			changed[rapid.IntRange(0, len(old)-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			value = changed
		case string:
			at := rapid.IntRange(0, len(old)).Draw(r, "from")
			text := old[:at] + rapid.String().Draw(r, "text") + old[rapid.IntRange(at, len(old)).Draw(r, "to"):]
			if text == old || text == "" {
				text = old + "x"
			}
			value = text
		}
		run(t, direct, "UPDATE journal SET "+column+" = ? WHERE seq = ?", value, seq)
		_, faults := verify(t, j)
		run(t, direct, "UPDATE journal SET "+column+" = ? WHERE seq = ?", old, seq)
		if len(faults) == 0 {
			r.Fatalf("%s of entry %d: %q instead of %q was not found", column, seq, value, old)
		}
		if _, faults := verify(t, j); len(faults) > 0 {
			r.Fatalf("changed back: %q", faults)
		}
	})
}

func TestParseHead(t *testing.T) {
	head := audit.Head{Seq: 17, Hash: audit.Hash{0xab}}
	if got, err := audit.ParseHead(head.String()); err != nil || got != head {
		t.Errorf("got %v, %v", got, err)
	}
	zeros := strings.Repeat("0", 64)
	for name, text := range map[string]string{
		"empty": "", "no hash": "17", "no number": ":" + zeros, "negative": "-1:" + zeros, "short": "1:" + zeros[2:],
		"long": "1:00" + zeros, "not hex": "1:" + strings.Repeat("g", 64), "two": "1:" + zeros + ":", "space": "1: " + zeros,
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			if head, err := audit.ParseHead(text); err == nil {
				t.Errorf("read as %v", head)
			}
		})
	}
}
