package gate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const freeService = "services: [{name: a, auth: off, address: %q}]\n"

// before opens a gate, free of charge, before a handler.
func before(t testing.TB, h http.HandlerFunc) *Gate {
	t.Helper()
	return beforeWith(t, freeService, h)
}

func beforeWith(t testing.TB, services string, h http.HandlerFunc) *Gate {
	t.Helper()
	b := httptest.NewServer(h)
	t.Cleanup(b.Close)
	return openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(services, strings.TrimPrefix(b.URL, "http://")))
}

func base(g *Gate) string { return "http://" + g.Addr().String() }

func do(t testing.TB, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func request(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestServerSentEvents reads each event while the backend waits for that.
func TestServerSentEvents(t *testing.T) {
	next := make(chan struct{})
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("Content-Length", "45") // flushed all the same
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: event %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	resp := do(t, request(t, http.MethodGet, base(g), nil))
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: event %d", i) || !lines.Scan() {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the last event: %q, %v", lines.Text(), lines.Err())
	}
}

// TestBothWaysAtOnce has the backend answer each line of a body as it comes.
func TestBothWaysAtOnce(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, "echo "+lines.Text()+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "0\n") }()
	resp := do(t, request(t, http.MethodPost, base(g), r))
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("echo %d", i) {
			t.Fatalf("%d: %q, %v", i, lines.Text(), lines.Err())
		}
		if i < 2 {
			_, _ = fmt.Fprintf(w, "%d\n", i+1)
		}
	}
	_ = w.Close()
}

func TestLargeBodies(t *testing.T) {
	const size = 64 << 20
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		h := sha256.New()
		n, err := io.Copy(io.MultiWriter(h, w), r.Body)
		if n != size || err != nil {
			t.Errorf("the backend read %d bytes, %v", n, err)
		}
	})
	part := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	body := func() io.Reader {
		var parts []io.Reader
		for range size / len(part) {
			parts = append(parts, bytes.NewReader(part))
		}
		return io.MultiReader(parts...)
	}
	want, got := sha256.New(), sha256.New()
	_, _ = io.Copy(want, body())
	for _, length := range []int64{-1, size} {
		req := request(t, http.MethodPut, base(g), io.NopCloser(body()))
		req.ContentLength = length
		got.Reset()
		n, err := io.Copy(got, do(t, req).Body)
		if n != size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("length %d: %d bytes came back, %v", length, n, err)
		}
	}
}

func TestHeadAndEarlyHints(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("X-Method", r.Method)
	})
	hints := ""
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = fmt.Sprint(code, " ", h.Get("Link"))
		return nil
	}}
	req := request(t, http.MethodHead, base(g), nil)
	resp := do(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if resp.StatusCode != http.StatusOK || resp.ContentLength != 1000 || resp.Header.Get("X-Method") != http.MethodHead {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, resp.ContentLength, resp.Header)
	}
	if hints != "103 </style.css>; rel=preload" {
		t.Errorf("hints: %q", hints)
	}
}

// TestExpectContinue sends no body to a backend that refuses it by its header.
func TestExpectContinue(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Refuse") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	transport := &http.Transport{ExpectContinueTimeout: patient}
	defer transport.CloseIdleConnections()
	for refuse, want := range map[string]int{"": http.StatusOK, "1": http.StatusForbidden} {
		body := &countingReader{Reader: strings.NewReader("hello")}
		req := request(t, http.MethodPost, base(g), body)
		req.ContentLength = 5
		req.Header.Set("Expect", "100-continue")
		req.Header.Set("X-Refuse", refuse)
		if refuse == "" {
			req.Header.Del("X-Refuse")
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || refuse == "" && string(got) != "hello" || refuse != "" && body.n > 0 {
			t.Errorf("refuse %q: status %d, %q, %d bytes were sent", refuse, resp.StatusCode, got, body.n)
		}
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestTrailers passes fields after bodies on, both ways, but not those by which
// a client could pose as somebody else.
func TestTrailers(t *testing.T) {
	seen := make(chan http.Header, 1)
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(w, r.Body)
		seen <- r.Trailer.Clone()
		w.Header().Set("X-Sum", "of the answer")
		w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
	})
	req := request(t, http.MethodPost, base(g), io.NopCloser(strings.NewReader("hello")))
	req.Trailer = http.Header{"X-Check": {"of the body"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Original-Url": {"/paid"}}
	resp := do(t, req)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.Trailer.Get("X-Sum") != "of the answer" || resp.Trailer.Get("X-Late") != "unannounced" {
		t.Errorf("the client got trailers %v", resp.Trailer)
	}
	if got := <-seen; got.Get("X-Check") != "of the body" || len(got) != 1 {
		t.Errorf("the backend got trailers %v", got)
	}
}

// TestClientGone ends the backend's request when the client ends its own.
func TestClientGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base(g), nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, req)
	<-began
	cancel()
	wait(t, ended, "the backend's request has ended")
}

func wait(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patient):
		t.Fatalf("waited in vain: %s", what)
	}
}

// TestBackendBreaksOff must not look like a whole answer to the client.
func TestBackendBreaksOff(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		panic(http.ErrAbortHandler)
	})
	resp := do(t, request(t, http.MethodGet, base(g), nil))
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("read %d bytes without an error", n)
	}
}

// TestBackendsStatusIsNone: net/http reads such a status and panics over
// writing it.
func TestBackendsStatusIsNone(t *testing.T) {
	r := newRecorder(t, "HTTP/1.1 042 What\r\nContent-Length: 0\r\n\r\n")
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(freeService, r.addr()))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if resp := do(t, request(t, method, base(g), nil)); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: status %d, %s", method, resp.StatusCode, text(t, resp))
		}
	}
}

func TestQueryIsPassedAsItIs(t *testing.T) {
	g := before(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RawQuery) })
	for _, query := range []string{"a=1;b=2", "a=%zz", "a=b&a=c", "%", "a=%C3%A9", "=&&="} {
		if got := text(t, get(t, g, "/?"+query)); got != query {
			t.Errorf("%q became %q", query, got)
		}
	}
}

// echo serves a WebSocket that sends back what it gets.
func echo(t *testing.T) *httptest.Server {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, append([]byte("echo "), message...)) != nil {
				return
			}
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// TestWebSocketForFree: the free tier counts it, and says so.
func TestWebSocketForFree(t *testing.T) {
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf("services: [{name: a, auth: freebie 1, address: %q}]\n",
		strings.TrimPrefix(echo(t).URL, "http://")))
	target := "ws://" + g.Addr().String()
	c, resp, err := websocket.DefaultDialer.Dial(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if left := resp.Header[headerFreeLeft]; len(left) != 1 || left[0] != "0" {
		t.Errorf("left %q", left)
	}
	if _, resp, err = websocket.DefaultDialer.Dial(target, nil); err == nil || resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("a second one: %v, %v", resp, err)
	}
}

func TestWebSocket(t *testing.T) {
	node, b := newFakeNode(), echo(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf("services: [{name: a, address: %q}]\n", strings.TrimPrefix(b.URL, "http://")))
	target := "ws://" + g.Addr().String() + "/live"

	_, resp, err := websocket.DefaultDialer.Dial(target, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusPaymentRequired {
		t.Fatalf("unpaid: %v, %v", resp, err)
	}
	token := buy(t, node, resp)
	c, _, err := websocket.DefaultDialer.Dial(target, http.Header{token[0]: {token[1]}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, message := range []string{"one", strings.Repeat("two", 100_000)} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != "echo "+message {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("the connection outlives the gate")
	}
}

// TestOtherUpgrades are not passed on: behind them the backend would read
// requests that nobody looks at.
func TestOtherUpgrades(t *testing.T) {
	r := newRecorder(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(freeService, r.addr()))
	for _, upgrade := range []string{"h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "websocket\r\nUpgrade: h2c", "foo"} {
		answer := exchange(t, g.Addr(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: "+
			upgrade+"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
		if strings.Contains(answer, "101 Switching") {
			t.Errorf("%q: %q", upgrade, answer)
		}
	}
	for _, got := range r.requests() {
		if strings.Contains(strings.ToLower(got), "upgrade") || strings.Contains(got, "Settings") {
			t.Errorf("the backend got %q", got)
		}
	}
	if len(r.requests()) == 0 {
		t.Error("nothing reached the backend")
	}
}

// TestSilentBody gives a body up that stops arriving.
func TestSilentBody(t *testing.T) {
	ended := make(chan error, 1)
	g := beforeWith(t, "limits: {bodytimeout: 100ms}\n"+freeService, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := <-ended; err == nil {
		t.Error("the backend read a whole body")
	}
}

// TestSlowBody lets a body arrive that as a whole takes longer than it may be
// silent.
func TestSlowBody(t *testing.T) {
	t.Parallel() // it waits
	const silence = 4 * time.Second
	g := beforeWith(t, fmt.Sprintf("limits: {bodytimeout: %v}\n", silence)+freeService, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != 12 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	r, w := io.Pipe()
	go func() {
		tick := time.NewTicker(silence / 8) // slow on purpose
		defer tick.Stop()
		for range 12 {
			<-tick.C
			_, _ = io.WriteString(w, "x")
		}
		_ = w.Close()
	}()
	if resp := do(t, request(t, http.MethodPost, base(g), r)); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestLongAnswerAfterABody: the deadline of a body must not outlive it, or the
// gate takes the client for gone.
func TestLongAnswerAfterABody(t *testing.T) {
	g := beforeWith(t, "limits: {bodytimeout: 300ms}\n"+freeService, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select { // longer than a body may be silent
		case <-time.After(600 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	resp := do(t, request(t, http.MethodPost, base(g), strings.NewReader("body")))
	if got := text(t, resp); got != "done" {
		t.Errorf("status %d, %q", resp.StatusCode, got)
	}
}

// TestClientDoesNotRead ends an answer that nobody takes.
func TestClientDoesNotRead(t *testing.T) {
	ended := make(chan struct{})
	g := beforeWith(t, "limits: {bodytimeout: 100ms}\n"+freeService, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		part := make([]byte, 1<<20)
		for {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	wait(t, ended, "the backend's answer has ended")
}

func TestBodyTooLarge(t *testing.T) {
	asked := make(chan struct{}, 10)
	g := beforeWith(t, "limits: {maxbodybytes: 1000}\nservices: [{name: b, auth: off, pathregexp: ^/large, maxbodybytes: 5000, address: %[1]q},"+
		"{name: a, auth: off, address: %[1]q}]\n", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			asked <- struct{}{}
		}
	})
	for _, c := range []struct {
		path   string
		size   int
		length bool
		want   int
	}{
		{"/", 1000, true, http.StatusOK}, {"/", 1000, false, http.StatusOK},
		{"/", 1001, true, http.StatusRequestEntityTooLarge}, {"/", 1001, false, http.StatusRequestEntityTooLarge},
		{"/large", 5000, false, http.StatusOK}, {"/large", 5001, true, http.StatusRequestEntityTooLarge},
	} {
		req := request(t, http.MethodPost, base(g)+c.path, io.NopCloser(strings.NewReader(strings.Repeat("x", c.size))))
		if c.length {
			req.ContentLength = int64(c.size)
		}
		if resp := do(t, req); resp.StatusCode != c.want {
			t.Errorf("%+v: status %d", c, resp.StatusCode)
		}
	}
}

// TestForwardedBy tells the backend of the client as a trusted proxy does, and
// believes nobody else.
func TestForwardedBy(t *testing.T) {
	headers := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Port"], r.Header["Forwarded"])
	}
	said := []string{"X-Forwarded-For", "192.0.2.1, 198.51.100.7", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "Forwarded", "for=192.0.2.1"}
	for config, want := range map[string]string{
		"trustedproxies: [127.0.0.1]\n": "[198.51.100.7] [https] [] []",
		"":                              "[127.0.0.1] [http] [] []",
	} {
		if got := text(t, get(t, beforeWith(t, config+freeService, headers), "/", said...)); got != want {
			t.Errorf("%q: %q, want %q", config, got, want)
		}
	}
}
