package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
)

// CodeFormat is the code of an export in a format that there is none of.
const CodeFormat = "bad_format"

// The formats of Export.
const (
	JSONL = "jsonl"
	CSV   = "csv"
)

// timeFormat is RFC 3339 in UTC with milliseconds, always of the same width.
const timeFormat = "2006-01-02T15:04:05.000Z"

// columns are an export's, in this order. There will be no fewer; further ones
// go to the end.
var columns = []string{"seq", "at", "kind", "actor", "via", "peer", "macaroon", "account", "subject", "detail", "hash"}

// Export writes the whole journal, oldest first: as JSON Lines, one object a
// line with the fields of columns, detail an object; or as CSV (RFC 4180) with
// a line of names, where a text that a spreadsheet would take for a formula has
// a ' before it. The hashes can be recomputed from JSON Lines. Code: bad_format.
func (j *Journal) Export(ctx context.Context, w io.Writer, format string) error {
	switch format {
	case JSONL:
		return j.exportJSONL(ctx, w)
	case CSV:
		return j.exportCSV(ctx, w)
	}
	return fault.New(CodeFormat, "leyden audit export --format jsonl", "format %q: want jsonl or csv", format)
}

// line is a Record as a line of JSON; its fields are columns.
type line struct {
	Seq      int64  `json:"seq"`
	At       string `json:"at"`
	Kind     string `json:"kind"`
	Actor    string `json:"actor"`
	Via      string `json:"via"`
	Peer     string `json:"peer"`
	Macaroon string `json:"macaroon"`
	Account  string `json:"account"`
	Subject  string `json:"subject"`
	Detail   any    `json:"detail"`
	Hash     string `json:"hash"`
}

func (j *Journal) exportJSONL(ctx context.Context, w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return j.Each(ctx, Query{}, func(r Record) error {
		l := line{
			Seq: r.Seq, At: r.At.Format(timeFormat), Kind: r.Kind,
			Actor: r.Actor.Kind, Via: r.Actor.Via, Peer: r.Actor.Peer, Macaroon: r.Actor.Macaroon,
			Account: r.Account, Subject: r.Subject, Detail: r.Detail, Hash: r.Hash.String(),
		}
		if json.Valid([]byte(r.Detail)) { // unless somebody tampered with it
			l.Detail = json.RawMessage(r.Detail)
		}
		return out.Encode(l)
	})
}

func (j *Journal) exportCSV(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	err := j.Each(ctx, Query{}, func(r Record) error {
		cells := []string{
			strconv.FormatInt(r.Seq, 10), r.At.Format(timeFormat), r.Kind,
			r.Actor.Kind, r.Actor.Via, r.Actor.Peer, r.Actor.Macaroon,
			r.Account, r.Subject, r.Detail, r.Hash.String(),
		}
		for i, cell := range cells {
			cells[i] = harmless(cell)
		}
		return out.Write(cells)
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

// harmless keeps a spreadsheet from running what strangers wrote.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
