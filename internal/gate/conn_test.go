package gate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/leydenln/leyden/internal/until"
)

func dialGate(t *testing.T, g *Gate) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestConnectionCap: with the house full, those who ask for nothing make room;
// when all have a request, the next is turned away in words.
func TestConnectionCap(t *testing.T) {
	const most = 8
	hold, began := make(chan struct{}), make(chan struct{}, most)
	g := beforeWith(t, fmt.Sprintf("limits: {maxconnections: %d}\n", most)+freeService, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			began <- struct{}{}
			<-hold
		}
	})
	for range 5 * most { // none says anything
		dialGate(t, g)
	}
	var busy []net.Conn
	for range most {
		c := dialGate(t, g)
		_, _ = io.WriteString(c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
		<-began
		busy = append(busy, c)
	}
	resp, err := http.ReadResponse(bufio.NewReader(dialGate(t, g)), nil)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %v, %v", resp, err)
	}
	close(hold)
	for i, c := range busy {
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("busy connection %d: %v, %v", i, resp, err)
		}
	}
	if resp := get(t, g, "/"); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: status %d", resp.StatusCode)
	}
}

// TestBodiesNobodyWaitsFor hold no room: a stranger has as many as it likes of
// requests that are not paid for and do not end.
func TestBodiesNobodyWaitsFor(t *testing.T) {
	for name, accept := range map[string]string{"short answer": "*/*", "long answer": "text/html"} {
		t.Run(name, func(t *testing.T) {
			g := openGate(t, t.TempDir(), newFakeNode(), "limits: {maxconnections: 4}\n"+fmt.Sprintf(shopServices, newBackend(t).addr()))
			for range 4 {
				_, _ = io.WriteString(dialGate(t, g), "POST /paid HTTP/1.1\r\nHost: x\r\nAccept: "+accept+
					"\r\nContent-Length: 1000\r\n\r\nhello")
			}
			until.True(t, "all are told to pay", func() bool { return g.seller.OpenInvoices() == 4 })
			for range 4 {
				c := dialGate(t, g)
				_, _ = io.WriteString(c, "POST /free HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
				if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%v, %v", resp, err)
				}
			}
		})
	}
}

// TestConnectionsAreForgotten counts those that have ended as room again.
func TestConnectionsAreForgotten(t *testing.T) {
	g := beforeWith(t, "limits: {maxconnections: 3}\n"+freeService, func(http.ResponseWriter, *http.Request) {})
	for range 50 {
		if answer := exchange(t, g.Addr(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Fatalf("%q", answer)
		}
	}
}

// TestSlowHeader ends a connection whose header does not come.
func TestSlowHeader(t *testing.T) {
	g := beforeWith(t, "limits: {headertimeout: 100ms}\n"+freeService, func(http.ResponseWriter, *http.Request) {
		t.Error("a request reached the backend")
	})
	for _, start := range []string{"", "GET", "GET / HTTP/1.1\r\nHost: x\r\nX: "} {
		c := dialGate(t, g)
		_, _ = io.WriteString(c, start)
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) { // it may have ended already
			t.Errorf("%q: %v", start, err)
		}
	}
}

// TestHeaderBytes refuses a header that is over the bound.
func TestHeaderBytes(t *testing.T) {
	g := beforeWith(t, "limits: {maxheaderbytes: 8192}\n"+freeService, func(http.ResponseWriter, *http.Request) {})
	for size, want := range map[int]int{7 << 10: http.StatusOK, 20 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		if resp := get(t, g, "/", "X-Large", strings.Repeat("x", size)); resp.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, resp.StatusCode, want)
		}
	}
}
