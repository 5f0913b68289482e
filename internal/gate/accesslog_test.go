package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leydenln/leyden/l402"
)

// lineJSON is a line of the access log.
type lineJSON struct {
	Time      time.Time
	Client    string
	Method    string
	Host      string
	Path      string
	Service   string
	Outcome   string
	Status    int
	Bytes     int64
	MS        float64
	Token     string
	PriceMsat uint64 `json:"price_msat"`
	GivenBack bool   `json:"given_back"`
}

func readLines(t *testing.T, path string) []lineJSON {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []lineJSON
	for line := range strings.Lines(string(raw)) {
		var l lineJSON
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

func TestAccessLog(t *testing.T) {
	b, node, dir := newBackend(t), newFakeNode(), t.TempDir()
	path := filepath.Join(dir, "access.log")
	g, err := tryGate(t, dir, node, fmt.Sprintf(
		"accesslog: access.log\nservices: [{name: a, pathregexp: '^/paid', price: 7, address: %q}]\n", b.addr()))
	if err != nil {
		t.Fatal(err)
	}
	unpaid := get(t, g, "/paid?secret=hunter2")
	token := buy(t, node, unpaid)
	get(t, g, "/paid/x%0a?secret=hunter2", token...)
	get(t, g, "/paid/x?secret=hunter2", append(token, "Cookie", "c=hunter2")...)
	get(t, g, "/elsewhere")
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", strings.Fields(token[1])[1][:20], token[1][len(token[1])-20:]} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	id, err := challenge(t, unpaid).Tokens[0].Identifier()
	if err != nil {
		t.Fatal(err)
	}
	host := g.Addr().String()
	want := []lineJSON{
		{Method: "GET", Host: host, Path: "/paid", Service: "a", Outcome: "challenged", Status: 402, PriceMsat: 7000},
		{Method: "GET", Host: host, Path: "/paid/x\n", Outcome: "rejected", Status: 400},
		{Method: "GET", Host: host, Path: "/paid/x", Service: "a", Outcome: "paid", Status: 200,
			Bytes: int64(len("goods of /paid/x")), Token: id.TokenID.String(), PriceMsat: 7000},
		{Method: "GET", Host: host, Path: "/elsewhere", Outcome: "rejected", Status: 404},
	}
	got := readLines(t, path)
	if len(got) != len(want) {
		t.Fatalf("%d lines: %s", len(got), raw)
	}
	for i := range want {
		l := got[i]
		if l.Client != "127.0.0.1" || time.Since(l.Time) > time.Hour || l.MS <= 0 {
			t.Errorf("line %d: %+v", i, l)
		}
		l.Client, l.Time, l.MS = "", time.Time{}, 0
		if want[i].Outcome != "paid" {
			l.Bytes = 0
		}
		if l != want[i] {
			t.Errorf("line %d: %+v, want %+v", i, l, want[i])
		}
	}
}

// TestAccessLogIsReopened: after a rename and a reload, lines go to the new
// file, and none is lost.
func TestAccessLogIsReopened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	a := newAccessLog(slog.New(slog.DiscardHandler))
	c := &Config{AccessLog: path}
	for i := range 2 {
		f, err := c.openAccessLog()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.use(f); err != nil {
			t.Fatal(err)
		}
		a.write(fmt.Appendf(nil, "{\"Status\":%d}\n", i))
		if i == 0 {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{path + ".1", path} {
		if l := readLines(t, name); len(l) != 1 || l[0].Status != i {
			t.Errorf("%s: %+v", name, l)
		}
	}
	c.AccessLog = filepath.Join(dir, "no", "such", "folder")
	if _, err := c.openAccessLog(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestAccessLogThatCannotBeWritten loses lines, whole ones, and says so.
func TestAccessLogThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	var out strings.Builder
	a := newAccessLog(slog.New(slog.NewTextHandler(&out, nil)))
	if err := a.use(full); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a.write([]byte("{}\n{}\n"))
		a.flushNow()
	}
	if a.lost.Load() != 6 || strings.Count(out.String(), "lines are lost") != 1 {
		t.Errorf("%d lost, logged %s", a.lost.Load(), &out)
	}
	long := []byte(strings.Repeat("x", 1023) + "\n")
	for range mostLines/len(long) + 7 {
		a.write(long)
	}
	if len(a.waiting) > mostLines || a.lost.Load() != 6+7 {
		t.Errorf("%d bytes wait, %d lines lost", len(a.waiting), a.lost.Load())
	}
	good, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.use(good); err != nil {
		t.Fatal(err)
	}
	a.write([]byte("{}\n"))
	a.flushNow()
	if raw, err := os.ReadFile(good.Name()); err != nil || string(raw) != "{}\n" {
		t.Errorf("%q, %v", raw, err)
	}
	if err := a.close(); err == nil {
		t.Error("the loss was not mentioned")
	}
}

// TestAccessLogAfterATornLine: a line that was cut off takes none with it.
func TestAccessLogAfterATornLine(t *testing.T) {
	r, w, err := os.Pipe() // holds only so much, and what does not fit is cut
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a := newAccessLog(slog.New(slog.DiscardHandler))
	if err := a.use(w); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 998) + "\n")
	for range 200 {
		a.write(line)
	}
	if err := w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	a.flushNow()
	if err := w.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	whole := make(chan int)
	go func() {
		raw, _ := io.ReadAll(r)
		n := 0
		for l := range strings.Lines(string(raw)) {
			if l == "{}\n" || l == string(line) {
				n++
			}
		}
		whole <- n
	}()
	a.write([]byte("{}\n"))
	if err := a.close(); err == nil {
		t.Error("nothing was lost: the test tests nothing")
	}
	if got, want := <-whole, 200-int(a.lost.Load())+1; got != want || a.torn {
		t.Errorf("%d whole lines, want %d", got, want)
	}
}

// FuzzLine: whatever strangers write, a line is one JSON object of bounded
// length without a character that a terminal acts on.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "/a", "\x1b[2J", "a\"b\\c", "\xff\xfe", "\u202e", "😀", strings.Repeat("é", 600), "\u2028\u0085", "\x7f"} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, method, host, path string) {
		r := from("192.0.2.1:1", "/")
		r.Method, r.Host, r.URL.Path = method, host, path
		v := &visit{began: time.Now(), token: l402.TokenID{1}, price: 1, outcome: outcomePaid}
		line := v.appendLine(nil, r, time.Second)
		if len(line) > 12_000 {
			t.Fatalf("%d bytes", len(line))
		}
		if text := string(line[:len(line)-1]); !utf8.ValidString(text) ||
			strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Fatalf("%q", line)
		}
		var got lineJSON
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if want := strings.ToValidUTF8(path, "\ufffd"); len(path) <= maxLoggedPath && utf8.ValidString(path) && got.Path != want {
			t.Fatalf("%q, want %q", got.Path, want)
		}
	})
}

func TestVisitPassesUpgradesAndFlushes(t *testing.T) {
	_, ask := serveEdge(t, slog.New(slog.DiscardHandler), func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if v := visitOf(r.Context()); v.status != http.StatusOK {
			t.Errorf("status %d after a flush", v.status)
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if v := visitOf(r.Context()); v.status != http.StatusSwitchingProtocols {
			t.Errorf("status %d after a hijack", v.status)
		}
		_ = conn.Close()
	})
	if resp, err := ask(); err == nil {
		_ = resp.Body.Close()
	}
}
