package gate

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func networks(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for _, text := range texts {
		p, err := parsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestClientOf(t *testing.T) {
	trusted := networks(t, "10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1")
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"ok/no header":             {"10.0.0.1:5", nil, "10.0.0.1"},
		"ok/one hop":               {"10.0.0.1:5", []string{"192.0.2.7"}, "192.0.2.7"},
		"ok/two trusted hops":      {"10.0.0.1:5", []string{"192.0.2.7, 10.9.9.9"}, "192.0.2.7"},
		"ok/lines are one list":    {"10.0.0.1:5", []string{"6.6.6.6, 192.0.2.7", "10.9.9.9,127.0.0.1"}, "192.0.2.7"},
		"ok/right-most stranger":   {"10.0.0.1:5", []string{"6.6.6.6, 192.0.2.7"}, "192.0.2.7"},
		"ok/all trusted":           {"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"ok/with a port":           {"10.0.0.1:5", []string{"192.0.2.7:4711"}, "192.0.2.7"},
		"ok/IPv6":                  {"[2001:db8:1::1]:5", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		"ok/IPv6 in brackets":      {"10.0.0.1:5", []string{"[2001:db8:2::7]"}, "2001:db8:2::7"},
		"ok/IPv6 with a port":      {"10.0.0.1:5", []string{"[2001:db8:2::7]:1"}, "2001:db8:2::7"},
		"ok/mapped peer":           {"[::ffff:10.0.0.1]:5", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		"ok/zone":                  {"[fe80::1%eth0]:5", nil, "fe80::1"},
		"fail/peer not trusted":    {"192.0.2.1:5", []string{"6.6.6.6"}, "192.0.2.1"},
		"fail/forged trusted":      {"192.0.2.1:5", []string{"10.0.0.1"}, "192.0.2.1"},
		"fail/no address":          {"10.0.0.1:5", []string{"6.6.6.6, unknown"}, "10.0.0.1"},
		"fail/no address on left":  {"10.0.0.1:5", []string{"6.6.6.6, junk, 10.0.0.2"}, "10.0.0.2"},
		"fail/empty":               {"10.0.0.1:5", []string{""}, "10.0.0.1"},
		"fail/empty element":       {"10.0.0.1:5", []string{"6.6.6.6,"}, "10.0.0.1"},
		"fail/brackets about IPv4": {"10.0.0.1:5", []string{"[192.0.2.7]"}, "10.0.0.1"},
		"fail/half a bracket":      {"10.0.0.1:5", []string{"[2001:db8:2::7"}, "10.0.0.1"},
		"fail/octal":               {"10.0.0.1:5", []string{"192.0.02.7"}, "10.0.0.1"},
		"fail/quoted":              {"10.0.0.1:5", []string{`"192.0.2.7"`}, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
			got, claimed := clientOf(r, trusted)
			if got.String() != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
			peer, err := netip.ParseAddrPort(c.peer)
			if err != nil {
				t.Fatal(err)
			}
			if want := plainAddr(peer.Addr()) != got; claimed != want {
				t.Errorf("claimed %v", claimed)
			}
		})
	}
	r := &http.Request{RemoteAddr: "@", Header: http.Header{"X-Forwarded-For": {"192.0.2.7"}}}
	if got, claimed := clientOf(r, trusted); got.IsValid() || claimed {
		t.Errorf("a peer without an address: %v", got)
	}
}

// FuzzClientOf: whatever a client sends, what a trusted proxy adds counts; and
// to a peer that is not trusted nobody listens.
func FuzzClientOf(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.1", "[::1]:80", "::ffff:10.0.0.1", "unknown", "10.0.0.1,,", "fe80::1%x"} {
		f.Add(s, s)
	}
	trusted := networks(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, forged, line string) {
		stranger := &http.Request{RemoteAddr: "192.0.2.1:1", Header: http.Header{"X-Forwarded-For": {forged, line}}}
		if got, claimed := clientOf(stranger, trusted); got.String() != "192.0.2.1" || claimed {
			t.Fatalf("a stranger is believed to be %v", got)
		}
		for _, lines := range [][]string{{forged + ",192.0.2.1"}, {forged, "192.0.2.1"}, {forged, line + ", 192.0.2.1, 10.0.0.2"}} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": lines}}
			if got, _ := clientOf(r, trusted); got.String() != "192.0.2.1" {
				t.Fatalf("%q: %v", lines, got)
			}
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {line}}}
		got, _ := clientOf(r, trusted)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q: %#v", line, got)
		}
	})
}

func TestBlocklist(t *testing.T) {
	b := newBackend(t)
	const config = "blocklist: [192.0.2.0/24, '2001:db8::/32']\ntrustedproxies: [127.0.0.1]\n" +
		"services: [{name: a, pathregexp: '^/.*$', address: %q, auth: 'off'}]\n"
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(config, b.addr()))
	for from, want := range map[string]int{"192.0.2.9": 403, "2001:db8::1": 403, "::ffff:192.0.2.9": 403, "198.51.100.1": 200} {
		if resp := get(t, g, "/x", "X-Forwarded-For", from); resp.StatusCode != want {
			t.Errorf("%s: %d %s", from, resp.StatusCode, text(t, resp))
		}
	}
	line := raw(t, g, "OPTIONS * HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
	if line != "HTTP/1.1 403 Forbidden" {
		t.Errorf("OPTIONS *: %s", line)
	}
	if seen := b.requests(); len(seen) != 1 || seen[0].Header.Get("X-Forwarded-For") != "198.51.100.1" {
		t.Errorf("the backend saw %d requests, the last from %q", len(seen), seen[len(seen)-1].Header["X-Forwarded-For"])
	}
}

// serveEdge serves handlers behind an edge over a connection.
func serveEdge(t *testing.T, log *slog.Logger, next http.HandlerFunc) (*observer, func() (*http.Response, error)) {
	t.Helper()
	o := newObserver(log)
	s := httptest.NewServer(&edge{next: next, observer: o, log: log})
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(s.Close)
	return o, func() (*http.Response, error) { return http.Get(s.URL + "/x") }
}

func TestPanicIsContained(t *testing.T) {
	var out strings.Builder
	o, ask := serveEdge(t, slog.New(slog.NewTextHandler(&out, nil)), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		panic("no such thing")
	})
	resp, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := text(t, resp)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "internal_error") || strings.Contains(body, "such") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if !strings.Contains(out.String(), "no such thing") || !strings.Contains(out.String(), "edge_test.go") {
		t.Errorf("logged %s", &out)
	}
	if got := metric(t, o, `leyden_gate_requests_total{outcome="rejected",service=""}`); got != "1" {
		t.Errorf("counted %q", got)
	}
}

func TestPanicAmidAnAnswerBreaksItOff(t *testing.T) {
	for name, fell := range map[string]any{"a panic": "oops", "an abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			_, ask := serveEdge(t, slog.New(slog.DiscardHandler), func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half of")
				_ = http.NewResponseController(w).Flush()
				panic(fell)
			})
			resp, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("a part passes for the whole: %q", got)
			}
		})
	}
	_, ask := serveEdge(t, slog.New(slog.DiscardHandler), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if resp, err := ask(); err == nil {
		_ = resp.Body.Close()
		t.Errorf("an abort was answered with %d", resp.StatusCode)
	}
}
