package gate

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// serverWriter is a ResponseWriter as the server gives it: nothing may be asked
// of it once the handler has returned. Over HTTP/2 that is a nil pointer in the
// server, and ends the program.
type serverWriter struct {
	http.ResponseWriter
	t        *testing.T
	returned bool // not guarded: the race detector looks, too
}

func (w *serverWriter) deadline() error {
	if w.returned {
		w.t.Error("a deadline is set after the handler has returned")
	}
	return nil
}

func (w *serverWriter) SetReadDeadline(time.Time) error  { return w.deadline() }
func (w *serverWriter) SetWriteDeadline(time.Time) error { return w.deadline() }

// TestBodyOutlivesItsHandler: a transport reads on for a moment when the
// backend has answered before the body's end.
func TestBodyOutlivesItsHandler(t *testing.T) {
	for _, proto := range []int{1, 2} {
		for range 200 {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 100)))
			r.ProtoMajor = proto
			w := &serverWriter{ResponseWriter: httptest.NewRecorder(), t: t}
			var transport sync.WaitGroup
			p := &patience{silence: time.Microsecond, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun := make(chan struct{})
				transport.Go(func() {
					part := make([]byte, 1)
					_, _ = r.Body.Read(part)
					close(begun)
					_, _ = io.Copy(io.Discard, r.Body)
				})
				<-begun
				_, _ = io.WriteString(w, "early")
			})}
			p.ServeHTTP(w, r)
			w.returned = true
			transport.Wait()
		}
	}
}

// clientOverHTTP2 speaks it without TLS.
func clientOverHTTP2() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport}
}

// TestBackendTakesItsTime: the silence is the client's, not that of a backend
// that does not read on.
func TestBackendTakesItsTime(t *testing.T) {
	t.Parallel()
	const size = 8 << 20 // more than waits on the way
	for name, client := range map[string]*http.Client{"HTTP/1": http.DefaultClient, "HTTP/2": clientOverHTTP2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			g := beforeWith(t, "limits: {bodytimeout: 2s}\n"+freeService, func(w http.ResponseWriter, r *http.Request) {
				for range 2 {
					_, _ = io.CopyN(io.Discard, r.Body, 1)
					time.Sleep(3 * time.Second) // slow on purpose
				}
				n, err := io.Copy(io.Discard, r.Body)
				_, _ = fmt.Fprint(w, n+2, err)
			})
			resp, err := client.Do(request(t, http.MethodPost, base(g), bytes.NewReader(make([]byte, size))))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := text(t, resp); got != fmt.Sprint(size, nil) {
				t.Errorf("%d: %s", resp.StatusCode, got)
			}
		})
	}
}

// TestSilentBodyOverHTTP2 gives a body up that stops arriving.
func TestSilentBodyOverHTTP2(t *testing.T) {
	g := beforeWith(t, "limits: {bodytimeout: 100ms}\n"+freeService, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})
	c := newH2Client(t, g)
	stream, err := c.headers(false, ":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.framer.WriteData(stream, false, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := c.status(stream); got != "408" {
		t.Errorf("the stream: %s", got)
	}
}

// TestWatchStops: what is watched may end in the moment that it is overdue.
func TestWatchStops(t *testing.T) {
	for range 1000 {
		w := &serverWriter{t: t}
		watched := watchWrites(w, time.Microsecond)
		watched.begin()
		watched.stop()
		w.returned = true
		watched.look()
		if watched.timer.Stop() {
			t.Fatal("it looks on for ever")
		}
	}
}
