package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// mirror serves one file with ranges, and cuts answers short.
type mirror struct {
	content  []byte
	etag     string
	modified time.Time
	cut      int // bytes after which an answer breaks off; 0: never
	ranges   []string
	answer   func(w http.ResponseWriter, r *http.Request) bool // instead
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.ranges = append(m.ranges, r.Header.Get("Range"))
	if m.answer != nil && m.answer(w, r) {
		return
	}
	if m.etag != "" {
		w.Header().Set("ETag", m.etag)
	}
	if m.cut > 0 {
		w = &cutting{w, m.cut}
	}
	http.ServeContent(w, r, "file.bin", m.modified, bytes.NewReader(m.content))
}

// cutting ends the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if c.left <= len(b) {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

// resumeTo is one fetch with -c -o file.
func resumeTo(t *testing.T, url, file string) (*Result, error) {
	t.Helper()
	c, _ := newClient(t, nil)
	return c.Do(t.Context(), Request{URL: url, Output: file, Continue: true, Follow: true})
}

func TestContinue(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	old := time.Now().Add(-time.Hour)
	cases := map[string]struct {
		first  mirror
		second func(*mirror)
		ranges []string // of the second run
		code   string   // of the second run
	}{
		"ok/by ETag": {mirror{etag: `"v1"`}, nil, []string{"bytes=4000-"}, ""},
		"ok/by date": {mirror{modified: old}, nil, []string{"bytes=4000-"}, ""},
		"ok/changed since": {mirror{etag: `"v1"`}, func(m *mirror) {
			m.etag, m.content = `"v2"`, bytes.Repeat([]byte("x"), 10_000)
		}, []string{"bytes=4000-"}, ""},
		"ok/changed since, by date": {mirror{modified: old}, func(m *mirror) {
			m.modified, m.content = old.Add(time.Minute), []byte("shorter")
		}, []string{"bytes=4000-"}, ""},
		"ok/weak ETag":             {mirror{etag: `W/"v1"`}, nil, []string{""}, ""},
		"ok/nothing to know it by": {mirror{}, nil, []string{""}, ""},
		"ok/no ranges": {mirror{etag: `"v1"`}, func(m *mirror) {
			m.answer = func(w http.ResponseWriter, r *http.Request) bool { w.Write(m.content); return true }
		}, []string{"bytes=4000-"}, ""},
		"fail/another range":               {mirror{etag: `"v1"`}, answers(206, "bytes 0-9/10000", "0123456789"), []string{"bytes=4000-"}, CodeBadRange},
		"fail/of another length":           {mirror{etag: `"v1"`}, answers(206, "bytes 4000-4001/4002", "xx"), []string{"bytes=4000-"}, CodeBadRange},
		"fail/no range":                    {mirror{etag: `"v1"`}, answers(206, "", "xx"), []string{"bytes=4000-"}, CodeBadRange},
		"fail/another length than it says": {mirror{etag: `"v1"`}, answers(206, "bytes 4000-9999/10000", "xx"), []string{"bytes=4000-"}, CodeBadRange},
		"fail/another ETag": {mirror{etag: `"v1"`}, func(m *mirror) {
			m.answer = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("ETag", `"v2"`)
				return answer(w, 206, "bytes 4000-9999/10000", string(content[4000:]))
			}
		}, []string{"bytes=4000-"}, CodeBadRange},
		"fail/another date": {mirror{modified: old}, func(m *mirror) {
			m.answer = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Last-Modified", old.Add(time.Minute).UTC().Format(http.TimeFormat))
				return answer(w, 206, "bytes 4000-9999/10000", string(content[4000:]))
			}
		}, []string{"bytes=4000-"}, CodeBadRange},
		"fail/a redirect":            {mirror{etag: `"v1"`}, answers(302, "", "moved"), []string{"bytes=4000-"}, CodeBadRange},
		"fail/it has become shorter": {mirror{etag: `"v1"`}, answers(416, "bytes */10", ""), []string{"bytes=4000-"}, CodeBadRange},
		"fail/it is gone":            {mirror{etag: `"v1"`}, answers(404, "", "no"), []string{"bytes=4000-"}, CodeHTTPError},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := c.first
			m.content, m.cut = content, 4000
			server := httptest.NewServer(&m)
			defer server.Close()
			file := filepath.Join(t.TempDir(), "file")
			if _, err := resumeTo(t, server.URL, file); fault.Code(err) != CodeNetwork {
				t.Fatalf("cut short: %v", err)
			}
			if _, err := os.Stat(file); err == nil {
				t.Fatal("half of it has the name of the whole")
			}
			m.cut, m.ranges = 0, nil
			if c.second != nil {
				c.second(&m)
			}
			res, err := resumeTo(t, server.URL, file)
			if c.code != "" {
				if fault.Code(err) != c.code {
					t.Fatalf("%v", err)
				}
				if _, err := os.Stat(file); err == nil {
					t.Fatal("it was taken for the whole")
				}
				m.answer = nil
				res, err = resumeTo(t, server.URL, file)
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, m.content) || res.Size != int64(len(m.content)) {
				t.Errorf("%d bytes, %v, size %d", len(got), err, res.Size)
			}
			if len(m.ranges) < 1 || m.ranges[0] != c.ranges[0] {
				t.Errorf("asked for %q", m.ranges)
			}
			if left, _ := filepath.Glob(file + ".*"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func answers(code int, contentRange, body string) func(*mirror) {
	return func(m *mirror) {
		m.answer = func(w http.ResponseWriter, _ *http.Request) bool { return answer(w, code, contentRange, body) }
	}
}

func answer(w http.ResponseWriter, code int, contentRange, body string) bool {
	if contentRange != "" {
		w.Header().Set("Content-Range", contentRange)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	fmt.Fprint(w, body)
	return true
}

// TestContinueWhatIsWhole: all had come, and only the name was missing.
func TestContinueWhatIsWhole(t *testing.T) {
	m := mirror{content: []byte("0123456789"), etag: `"v1"`}
	server := httptest.NewServer(&m)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "file")
	m.cut = 5
	if _, err := resumeTo(t, server.URL, file); err == nil {
		t.Fatal("it was not cut")
	}
	if err := os.WriteFile(file+partSuffix, m.content, 0o600); err != nil {
		t.Fatal(err)
	}
	m.cut = 0
	res, err := resumeTo(t, server.URL, file)
	if err != nil || res.Size != 10 || res.Resumed != 10 || m.ranges[1] != "bytes=10-" {
		t.Errorf("%+v, %v, asked for %q", res, err, m.ranges)
	}
}

// TestContinueWhatIsAnother: as many bytes of another file are not the whole.
func TestContinueWhatIsAnother(t *testing.T) {
	m := mirror{content: []byte("0123456789"), etag: `"v1"`, cut: 5}
	server := httptest.NewServer(&m)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "file")
	if _, err := resumeTo(t, server.URL, file); err == nil {
		t.Fatal("it was not cut")
	}
	if err := os.WriteFile(file+partSuffix, m.content, 0o600); err != nil {
		t.Fatal(err)
	}
	m.answer = func(w http.ResponseWriter, _ *http.Request) bool { // it does not heed If-Range
		w.Header().Set("ETag", `"v2"`)
		return answer(w, 416, "bytes */10", "")
	}
	if _, err := resumeTo(t, server.URL, file); fault.Code(err) != CodeBadRange {
		t.Errorf("%v", err)
	}
}

// TestContinueAfterInterrupt: Ctrl-C leaves the part, and another URL begins anew.
func TestContinueAfterInterrupt(t *testing.T) {
	m := mirror{content: []byte("0123456789"), etag: `"v1"`}
	half := make(chan struct{})
	m.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" || r.URL.Path == "/other" {
			return false
		}
		w.Header().Set("ETag", m.etag)
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "01234")
		_ = http.NewResponseController(w).Flush()
		close(half)
		<-r.Context().Done()
		return true
	}
	server := httptest.NewServer(&m)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "file")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-half
		for size := int64(0); size < 5; {
			if info, err := os.Stat(file + partSuffix); err == nil {
				size = info.Size()
			}
		}
		cancel()
	}()
	c, _ := newClient(t, nil)
	if _, err := c.Do(ctx, Request{URL: server.URL, Output: file, Continue: true}); fault.Code(err) != "interrupted" {
		t.Fatalf("%v", err)
	}
	if part, err := os.ReadFile(file + partSuffix); err != nil || string(part) != "01234" {
		t.Fatalf("%q, %v", part, err)
	}
	if res, err := resumeTo(t, server.URL, file); err != nil || res.Resumed != 5 {
		t.Errorf("%+v, %v", res, err)
	}
	if err := errors.Join(os.WriteFile(file+partSuffix, []byte("01234"), 0o600),
		os.WriteFile(file+noteSuffix, []byte(`{"version":1,"source":"00","etag":"\"v1\"","total":10}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if res, err := resumeTo(t, server.URL+"/other", file); err != nil || res.Resumed != 0 || res.Size != 10 {
		t.Errorf("of another URL: %+v, %v", res, err)
	}
}

// TestContinueAlone: two do not write one part.
func TestContinueAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	first, err := openOutput(file, nil, "http://a/")
	if err != nil {
		t.Fatal(err)
	}
	defer first.discard()
	if _, err := openOutput(file, nil, "http://a/"); fault.Code(err) != CodePartInUse {
		t.Errorf("%v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(file), "linked.part")); err != nil {
		t.Fatal(err)
	}
	if _, err := openOutput(filepath.Join(filepath.Dir(file), "linked"), nil, "http://a/"); err == nil {
		t.Error("a part that is a link was opened")
	}
}

// TestContinueThroughPayment: the part goes on through a 402 and a redirect to
// another origin.
func TestContinueThroughPayment(t *testing.T) {
	shop := newShop(t)
	m := mirror{content: bytes.Repeat([]byte("goods "), 1000), etag: `"v1"`, cut: 3000}
	store := httptest.NewServer(&m)
	defer store.Close()
	paid := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		shop.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			w.Header()["Www-Authenticate"] = answer.Header()["Www-Authenticate"]
			w.WriteHeader(answer.Code)
			return
		}
		http.Redirect(w, r, store.URL, http.StatusFound)
	}))
	defer paid.Close()
	file := filepath.Join(t.TempDir(), "file")
	c, w := newClient(t, nil)
	w.Ledger = shop.Ledger
	for run, code := range []string{CodeNetwork, ""} {
		m.cut = 3000 * (1 - run)
		_, err := c.Do(t.Context(), Request{URL: paid.URL, Output: file, Continue: true, Follow: true})
		if err != nil && fault.Code(err) != code || err == nil && code != "" {
			t.Fatalf("run %d: %v", run, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, m.content) || shop.Ledger.Payments() != 1 {
		t.Errorf("%d bytes, %v, %d payments", len(got), err, shop.Ledger.Payments())
	}
	if last := m.ranges[len(m.ranges)-1]; last != "bytes=3000-" {
		t.Errorf("asked for %q", last)
	}
}

// FuzzContentRange: what is read is a range that lies in its file.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 0-9223372036854775808/1", "Bytes 0-0/1 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, to, total, err := parseContentRange(s)
		if err == nil && (from < 0 || to < from || total >= 0 && to >= total || total < -1) {
			t.Errorf("%q: %d-%d/%d", s, from, to, total)
		}
		if err == nil && strings.Count(s, "/") != 1 {
			t.Errorf("%q was read", s)
		}
	})
}
