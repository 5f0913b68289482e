package gate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// smuggled is a second request inside of what a first one sends.
const smuggled = "GET /paid/smuggled HTTP/1.1\r\nHost: x\r\nX-Smuggled: 1\r\n\r\n"

// TestBypassBySmuggling hides a request for what is sold in the framing of a
// free one. Whatever the gate makes of it, the backend must get the requests
// that the gate has decided about, and no other.
func TestBypassBySmuggling(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	n, chunk := len(smuggled), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	frame := func(header, body string) string {
		return "POST /free HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n" + body
	}
	lengths := fmt.Sprintf("Content-Length: %d", n)
	attacks := []string{
		// Both lengths.
		frame("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"+smuggled),
		frame("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"+smuggled),
		frame(lengths+"\r\nTransfer-Encoding: chunked", chunk),
		frame("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"+smuggled),
		// Two and more lengths.
		frame("Content-Length: 0\r\n"+lengths, smuggled), frame(lengths+"\r\nContent-Length: 0", smuggled),
		frame(lengths+"\r\n"+lengths, smuggled), frame("Content-Length: 0, "+fmt.Sprint(n), smuggled),
		frame(fmt.Sprintf("Content-Length: %d, %d", n, n), smuggled),
		// Lengths that are none.
		frame("Content-Length: +0", smuggled), frame("Content-Length: -1", smuggled), frame("Content-Length: 0x0", smuggled),
		frame("Content-Length: 0 ", smuggled), frame("Content-Length:\t0", smuggled), frame("Content-Length : 0", smuggled),
		frame("Content-Length: 00", smuggled), frame("Content-Length: 1e1", smuggled), frame("Content-Length:", smuggled),
		frame("Content-Length: 18446744073709551616", smuggled), frame("Content-Length: 0\x0b", smuggled), frame("Content_Length: 9\r\n"+lengths, smuggled),
	}
	// Ways to write "chunked" that one server takes and another does not.
	for _, te := range []string{
		"Transfer-Encoding: chunked", "Transfer-Encoding:chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "Transfer-Encoding:\tchunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;x=y",
		"Transfer-Encoding\r\n : chunked", "Transfer-Encoding:\r\n chunked", "X: y\r\n Transfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
		"X: y\nTransfer-Encoding: chunked", "Transfer-Encoding: CHUNKED", "transfer-encoding: chunked", "Transfer_Encoding: chunked",
		"Transfer-Encoding: chunk", "Transfer-Encoding:", "Transfer-Encoding: chunked, chunked", "\x00Transfer-Encoding: chunked", " Transfer-Encoding: chunked",
		"Trailer: Content-Length\r\nTransfer-Encoding: chunked", "TE: chunked\r\nTransfer-Encoding: chunked",
	} {
		attacks = append(attacks, frame(te, "0\r\n\r\n"+smuggled), frame(te, chunk), frame(te+"\r\nContent-Length: 0", chunk),
			frame(lengths+"\r\n"+te, chunk), frame(lengths+"\r\n"+te, smuggled))
	}
	// Chunks that are read differently.
	for _, body := range []string{
		"0;x=y\r\n\r\n", "0;\r\n\r\n", "0 \r\n\r\n", "0\n\n", "0\r\n\n", "0\n\r\n", "00000000000000000\r\n\r\n", "-0\r\n\r\n", "0x0\r\n\r\n", "+0\r\n\r\n",
		"0\r\nContent-Length: 5\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nA\r\n0\r\n\r\n", "1\r\nAB\r\n0\r\n\r\n",
		"1;x=\n\r\nA\r\n0\r\n\r\n", "1\nA\n0\n\n", "10000000000000000\r\n\r\n", "fffffffffffffffff\r\n\r\n", "\r\n0\r\n\r\n", "1\r\r\nA\r\n0\r\n\r\n", ";\r\n\r\n",
	} {
		attacks = append(attacks, frame("Transfer-Encoding: chunked", body+smuggled))
	}
	// A request behind another, and values that look like one.
	attacks = append(attacks,
		"GET /free HTTP/1.1\r\nHost: x\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\n"+smuggled,
		"HEAD /free HTTP/1.1\r\nHost: x\r\nContent-Length: "+fmt.Sprint(n)+"\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\n"+lengths+"\r\n\r\n"+smuggled,
		"POST /free HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"+lengths+"\r\n\r\n"+smuggled,
		"POST /free HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\n"+lengths+"\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk,
		"GET /free HTTP/1.1\nHost: x\n\n"+smuggled, "GET /free HTTP/1.1\rHost: x\r\r"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n c\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\nX: a\rGET /paid/x HTTP/1.1\r\n\r\n", "GET /free HTTP/1.1\r\nHost: x\r\nX: a\nGET /paid/x HTTP/1.1\r\n\r\n",
		"GET /free HTTP/1.1\r\nHost: x\r\nX:\x00a\r\n\r\n"+smuggled, "GET /free HTTP/1.1\r\nHost: x\r\nX Y: a\r\n\r\n"+smuggled,
		"GET /free HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"+smuggled, "GET /free HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n"+smuggled,
		"GET /free?%0d%0a%0d%0aGET%20/paid/x%20HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /free?\r\n\r\nGET /paid/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /free%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/paid/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /free HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"+smuggled,
		"GET /paid/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"+smuggled,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+smuggled, "PRI /paid/x HTTP/2.0\r\n\r\nSM\r\n\r\n",
	)
	attackAll(t, g, attacks, quiet)
	nothingUnpaid(t, r)
	for _, got := range r.requests() {
		head, _, _ := strings.Cut(got, "\r\n\r\n")
		lower := strings.ToLower(head)
		if strings.Count(lower, "\ncontent-length:")+strings.Count(lower, "\ntransfer-encoding:") > 1 {
			t.Errorf("the backend got two lengths: %q", head)
		}
		if strings.Contains(lower, "smuggled") {
			t.Errorf("the backend got %q", got)
		}
	}
	if len(r.requests()) < 10 {
		t.Errorf("only %d requests reached the backend: the suite tries nothing", len(r.requests()))
	}
}

// TestBypassByOverride: headers by which frameworks let a request say that it
// is for another path never pass; those for another method do, since the price
// does not depend on it.
func TestBypassByOverride(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	var attacks []string
	for name := range claims {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
			attacks = append(attacks, "GET /free HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+spelling+": /paid/x\r\n\r\n")
		}
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Forwarded-For", "X-Forwarded-Proto", "X_Forwarded_For",
		"x-forwarded-anything", "X-Forwarded_Host"} {
		attacks = append(attacks, "GET /free HTTP/1.1\r\nHost: x\r\nConnection: close, "+name+"\r\n"+name+": /paid/x\r\n\r\n",
			"GET /free HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+name+": /paid/x\r\n"+name+": /paid/x\r\n\r\n")
	}
	attacks = append(attacks, "POST /free HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\nConnection: close, X-Forwarded-For, Authorization\r\nContent-Length: 0\r\n\r\n")
	attackAll(t, g, attacks, patient)
	for _, got := range r.requests() {
		if strings.Contains(got, "/paid/x") || strings.Count(got, "X-Forwarded-For: 127.0.0.1\r\n") != 1 {
			t.Errorf("the backend got %q", got)
		}
	}
	if got := r.requests(); len(got) != len(attacks) || !strings.Contains(string(r.bytes()), "X-Http-Method-Override: DELETE") {
		t.Errorf("%d of %d requests reached the backend", len(got), len(attacks))
	}
}

// TestHeaderBombs are refused with little memory, and never passed on.
func TestHeaderBombs(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	for name, head := range map[string]string{
		"many lines": strings.Repeat("A: b\r\n", 200), "many names": numbered(200), "a long value": "A: " + strings.Repeat("b", 1<<20) + "\r\n",
		"a long name": strings.Repeat("a", 1<<20) + ": b\r\n", "more lines than there is room": strings.Repeat("A: b\r\n", 1<<18),
		"a long line without end": strings.Repeat("a", 1<<20),
	} {
		answer, err := tryExchange(g.Addr(), "GET /free HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+head+"\r\n", patient)
		if err != nil || answer != "" && !strings.Contains(answer, " 431 ") && !strings.Contains(answer, " 400 ") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
	if got := r.requests(); len(got) != 0 {
		t.Errorf("the backend got %d requests", len(got))
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&b, "X-%d: y\r\n", i)
	}
	return b.String()
}

// hasty is a backend that answers before it has read a request's body, and
// counts the requests.
func hasty(t *testing.T) (addr string, seen *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	seen = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				seen.Add(1)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
				_, _ = io.Copy(io.Discard, in)
			}()
		}
	}()
	return l.Addr().String(), seen
}

// TestBypassByTheRestOfABody: an answer that does not wait for the request's end
// is the last on its connection, and the rest, which is no other request, has
// its time.
func TestBypassByTheRestOfABody(t *testing.T) {
	for name, c := range map[string]struct {
		head, rest string
		late       bool // after the time that the rest has
	}{
		"rest comes late": {"Content-Length: 1000\r\n\r\nhello", smuggled, true},
		"rest is none":    {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", smuggled, false},
	} {
		t.Run(name, func(t *testing.T) {
			addr, seen := hasty(t)
			g := openGate(t, t.TempDir(), newFakeNode(), "limits: {bodytimeout: 100ms}\n"+fmt.Sprintf(freeService, addr))
			conn := dialGate(t, g)
			_, _ = io.WriteString(conn, "POST /first HTTP/1.1\r\nHost: x\r\n"+c.head)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", resp, err)
			}
			if got := text(t, resp); got != "early" || !resp.Close {
				t.Errorf("%q, to be closed: %v", got, resp.Close)
			}
			if c.late {
				time.Sleep(300 * time.Millisecond) // late on purpose
			}
			if more := converse(conn, c.rest, patient); more != "" {
				t.Errorf("answered once more: %q", more)
			}
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still there")
			}
			if n := seen.Load(); n != 1 {
				t.Errorf("the backend got %d requests", n)
			}
		})
	}
}
