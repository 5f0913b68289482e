package gate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/until"
)

// script is a backend that answers each request on a connection with the next
// of its answers, then closes. An answer may end in "<close>".
func script(t *testing.T, answers ...string) (addr string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conns = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for _, answer := range answers {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					text, ends := strings.CutSuffix(answer, "<close>")
					if _, err := io.WriteString(c, text); err != nil || ends {
						return
					}
				}
				_, _ = io.Copy(io.Discard, in)
			}()
		}
	}()
	return l.Addr().String(), conns
}

func leanly(ctx context.Context, t *testing.T, lean *leanTransport, method, addr string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !lean.suits(req) {
		t.Fatal("does not suit")
	}
	resp, err := lean.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(body), err
}

// TestLeanAnswers reads each form of an answer, and keeps the connection when,
// and only when, it is certain where the answer ended.
func TestLeanAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		method, answer, want string
		kept                 bool
	}{
		"ok/length":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
		"ok/chunked":         {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", true},
		"ok/trailer":         {"GET", "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", "hello", true},
		"ok/empty":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true},
		"ok/no content":      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", true},
		"ok/not modified":    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true},
		"ok/head":            {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", true},
		"ok/interim":         {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
		"ok/until closed":    {"GET", "HTTP/1.1 200 OK\r\n\r\nhello<close>", "hello", false},
		"ok/HTTP 1.0":        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
		"ok/close":           {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
		"ok/more than said":  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "hello", false},
		"ok/more than empty": {"GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "", false},
		"ok/head with body":  {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "", false},
		"fail/cut off":       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello<close>", "!", false},
		"fail/cut chunk":     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n<close>", "!", false},
		"fail/cut header":    {"GET", "HTTP/1.1 200 OK\r\nContent-<close>", "!", false},
		"fail/no HTTP":       {"GET", "hello\r\n\r\n", "!", false},
		"fail/two lengths":   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "!", false},
		"fail/switches":      {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "!", false},
		"fail/interim only":  {"GET", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 50), "!", false},
		"fail/long header":   {"GET", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", maxAnswerHeader) + "\r\n\r\n", "!", false},
	} {
		t.Run(name, func(t *testing.T) {
			lean := &leanTransport{dial: dialer.DialContext}
			addr, conns := script(t, c.answer, c.answer, c.answer)
			for range 3 {
				resp, body, err := leanly(t.Context(), t, lean, c.method, addr)
				if err != nil {
					body = "!"
				}
				if body != c.want {
					t.Fatalf("%q, %v; want %q", body, err, c.want)
				}
				if name == "ok/trailer" && resp.Trailer.Get("A") != "b" {
					t.Errorf("trailer %v", resp.Trailer)
				}
			}
			if kept := conns.Load() == 1; kept != c.kept {
				t.Errorf("%d connections for 3 requests", conns.Load())
			}
			lean.CloseIdleConnections()
		})
	}
}

// TestLeanSpeechUnasked: what a backend says on a kept connection is nobody's
// answer.
func TestLeanSpeechUnasked(t *testing.T) {
	lean := &leanTransport{dial: dialer.DialContext}
	said := make(chan struct{}, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
				<-said
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			}()
		}
	}()
	for range 3 {
		_, body, err := leanly(t.Context(), t, lean, http.MethodGet, l.Addr().String())
		if err != nil || body != "hello" {
			t.Fatalf("%q, %v", body, err)
		}
		said <- struct{}{}
		c := lean.idle[len(lean.idle)-1]
		until.True(t, "the backend has spoken", func() bool { return !quietConn(c.Conn) })
	}
}

// TestLeanBackendCloses: a request goes over a new connection when the backend
// has closed the kept one, but not twice when it has begun to answer.
func TestLeanBackendCloses(t *testing.T) {
	lean := &leanTransport{dial: dialer.DialContext}
	addr, conns := script(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello<close>")
	for i := range 5 {
		if _, body, err := leanly(t.Context(), t, lean, http.MethodGet, addr); err != nil || body != "hello" {
			t.Fatalf("request %d: %q, %v", i, body, err)
		}
	}
	if conns.Load() != 5 {
		t.Errorf("%d connections", conns.Load())
	}
}

// TestLeanRepeatsOnce: a backend that a request fells gets it twice, however
// many connections to it are kept.
func TestLeanRepeatsOnce(t *testing.T) {
	lean := &leanTransport{dial: dialer.DialContext}
	var felled atomic.Int32
	together := make(chan struct{}, 4)
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x" {
			felled.Add(1)
			panic(http.ErrAbortHandler)
		}
		together <- struct{}{}
		until.True(t, "all have asked", func() bool { return len(together) == cap(together) })
	}))
	defer b.Close()
	var all sync.WaitGroup
	for range cap(together) {
		all.Go(func() {
			resp, err := lean.RoundTrip(request(t, http.MethodGet, b.URL, nil))
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	all.Wait()
	if len(lean.idle) != cap(together) {
		t.Fatalf("%d kept", len(lean.idle))
	}
	if _, body, err := leanly(t.Context(), t, lean, http.MethodGet, strings.TrimPrefix(b.URL, "http://")); err == nil {
		t.Errorf("answered %q", body)
	}
	if n := felled.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestLeanCancel ends requests at every stage, and never keeps their
// connections.
func TestLeanCancel(t *testing.T) {
	lean := &leanTransport{dial: dialer.DialContext}
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"} {
		addr, _ := script(t, answer)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, body, err := leanly(ctx, t, lean, http.MethodGet, addr); err == nil {
			t.Errorf("%q: answered %q", answer, body)
		}
		cancel()
		if len(lean.idle) != 0 {
			t.Errorf("%q: the connection is kept", answer)
		}
	}
}

// TestLeanMixesNothingUp has many clients ask at once, some of which go away,
// and looks whether each gets its own answer.
func TestLeanMixesNothingUp(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 2000))
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 100 {
				path := fmt.Sprintf("/%d-%d", i, j)
				req := request(t, http.MethodGet, base(g)+path, nil)
				ctx, cancel := context.WithCancel(req.Context())
				resp, err := http.DefaultClient.Do(req.WithContext(ctx))
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				if j%3 == 0 {
					cancel() // in the middle of the answer
				}
				body, err := io.ReadAll(resp.Body)
				if want := strings.Repeat(path, 2000); !strings.HasPrefix(want, string(body)) || err == nil && string(body) != want {
					t.Errorf("%s: %d bytes of something else, %v", path, len(body), err)
				}
				_ = resp.Body.Close()
				cancel()
			}
		})
	}
	all.Wait()
}

// TestLeanSweep closes connections that nobody has used for long.
func TestLeanSweep(t *testing.T) {
	lean := &leanTransport{dial: dialer.DialContext, sweeping: true}
	addr, _ := script(t, "HTTP/1.1 204 No Content\r\n\r\n")
	if _, _, err := leanly(t.Context(), t, lean, http.MethodGet, addr); err != nil || len(lean.idle) != 1 {
		t.Fatalf("%d kept, %v", len(lean.idle), err)
	}
	lean.sweep()
	if len(lean.idle) != 1 {
		t.Error("a young connection is gone")
	}
	lean.idle[0].since = time.Now().Add(-idleLife)
	lean.sweep()
	if len(lean.idle) != 0 || lean.sweeping {
		t.Errorf("%d kept", len(lean.idle))
	}
}
