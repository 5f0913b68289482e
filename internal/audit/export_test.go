package audit_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
)

func export(t *testing.T, j *audit.Journal, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := j.Export(t.Context(), &out, format); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const firstLine = `{"seq":1,"at":"2026-11-21T12:00:01.000Z","kind":"payment.reserve","actor":"account","via":"lnd",` +
	`"peer":"192.0.2.1","macaroon":"0123456789abcdef","account":"00000000000000aa",` +
	`"subject":"0000000000000000000000000000000000000000000000000000000000000000",` +
	`"detail":{"amount_msat":0,"note":"a <b> & c"},"hash":"`

func TestJSONLines(t *testing.T) {
	j, _ := open(t)
	fill(t, j, 700)
	text := export(t, j, audit.JSONL)
	if !strings.HasPrefix(text, firstLine) {
		t.Errorf("got  %s\nwant %s", text[:len(firstLine)], firstLine)
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	hash, count := make([]byte, 32), int64(0)
	for lines.Scan() {
		var l struct {
			Seq                                                      int64
			At                                                       time.Time
			Kind, Actor, Via, Peer, Macaroon, Account, Subject, Hash string
			Detail                                                   json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		count++
		hash = documented(hash, l.Seq, l.At.UnixMilli(),
			[]string{l.Kind, l.Actor, l.Via, l.Peer, l.Macaroon, l.Account, l.Subject, string(l.Detail)})
		if l.Seq != count || l.Hash != hex.EncodeToString(hash) {
			t.Fatalf("line %d: seq %d, hash %s, recomputed %x", count, l.Seq, l.Hash, hash)
		}
	}
	if count != 700 {
		t.Errorf("%d lines", count)
	}
}

func TestCSV(t *testing.T) {
	j, _ := open(t)
	nasty := []string{`=HYPERLINK("http://x")`, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "plain, \"quoted\"\nlines"}
	for _, subject := range nasty {
		if err := j.Add(t.Context(), audit.Entry{Kind: "k", Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(export(t, j, audit.CSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[0], ","); got != "seq,at,kind,actor,via,peer,macaroon,account,subject,detail,hash" {
		t.Errorf("columns %s", got)
	}
	for i, subject := range nasty {
		want := "'" + subject
		if i == len(nasty)-1 {
			want = subject
		}
		if got := rows[i+1][8]; got != want {
			t.Errorf("%q became %q", subject, got)
		}
		if len(rows[i+1]) != len(rows[0]) {
			t.Errorf("row %d has %d cells", i+1, len(rows[i+1]))
		}
	}
}

// TestExportOfATamperedDetail still writes one object a line.
func TestExportOfATamperedDetail(t *testing.T) {
	j, db := open(t)
	fill(t, j, 1)
	run(t, raw(t, db), "UPDATE journal SET detail = '}' || char(10) || '{'")
	text := export(t, j, audit.JSONL)
	if strings.Count(text, "\n") != 1 || !json.Valid([]byte(text)) {
		t.Error(text)
	}
}

func TestExportFormats(t *testing.T) {
	j, _ := open(t)
	if err := j.Export(t.Context(), new(bytes.Buffer), "xml"); fault.Code(err) != audit.CodeFormat {
		t.Error(err)
	}
	fill(t, j, 1)
	broken := errors.New("broken pipe")
	for _, format := range []string{audit.JSONL, audit.CSV} {
		if err := j.Export(t.Context(), failing{broken}, format); !errors.Is(err, broken) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
