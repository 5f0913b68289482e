package gate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/leydenln/leyden/l402/l402http"

	"github.com/leydenln/leyden/internal/until"
)

// metric returns a figure as it is served, "" when there is none.
func metric(t *testing.T, o *observer, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(o.counts.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestMetrics(t *testing.T) {
	b, node := newBackend(t), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(`
prometheus: {enabled: true, listenaddr: "127.0.0.1:0"}
blocklist: [192.0.2.66]
trustedproxies: [127.0.0.1]
services:
- {name: a, pathregexp: '^/paid', price: 7, address: %[1]q, ratelimits: [{pathregexp: limited, requests: 1, per: 1h}]}
- {name: free, pathregexp: '^/free', auth: freebie 1, address: %[1]q}
- {name: dark, pathregexp: '^/dark', shadow: true, price: 5, address: %[1]q}
- {name: gone, pathregexp: '^/gone', auth: 'off', address: "127.0.0.1:1"}
`, b.addr()))
	token := buy(t, node, get(t, g, "/paid"))
	get(t, g, "/paid", token...)
	get(t, g, "/paid/limited")
	get(t, g, "/paid/limited")
	get(t, g, "/free")
	get(t, g, "/free")
	for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"} {
		get(t, g, "/dark", "X-Forwarded-For", from)
	}
	get(t, g, "/gone")
	get(t, g, "/nowhere")
	get(t, g, "/", "X-Forwarded-For", "192.0.2.66")
	for range 5 {
		get(t, g, "/stranger/"+strings.Repeat("x", 5), "Host", "stranger", "User-Agent", "stranger")
	}
	until.True(t, "the payment is on record", func() bool {
		totals, err := g.db.Totals(t.Context())
		return err == nil && totals.Settled == 1
	})
	url := "http://" + g.metrics.listener.Addr().String()
	for name, want := range map[string]string{
		`leyden_gate_requests_total{outcome="challenged",service="a"}`:    "2",
		`leyden_gate_requests_total{outcome="paid",service="a"}`:          "1",
		`leyden_gate_requests_total{outcome="limited",service="a"}`:       "1",
		`leyden_gate_requests_total{outcome="freebie",service="free"}`:    "1",
		`leyden_gate_requests_total{outcome="challenged",service="free"}`: "1",
		`leyden_gate_requests_total{outcome="shadow",service="dark"}`:     "3",
		`leyden_gate_requests_total{outcome="free",service="gone"}`:       "1",
		`leyden_gate_requests_total{outcome="blocked",service=""}`:        "1",
		`leyden_gate_requests_total{outcome="rejected",service=""}`:       "6",
		`leyden_gate_request_seconds_count{service="a"}`:                  "4",
		`leyden_gate_open_invoices`:                                       "2",
		`leyden_gate_node_up`:                                             "1",
		`leyden_gate_settled_total{service="a"}`:                          "1",
		`leyden_gate_settled_msat_total{service="a"}`:                     "7000",
		`leyden_gate_shadow_requests_total{service="dark"}`:               "3",
		`leyden_gate_shadow_msat_total{service="dark"}`:                   "15000",
		`leyden_gate_accesslog_lost_total`:                                "0",
	} {
		if got := metric(t, g.observer, name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	page := fetchText(t, url+"/metrics", http.StatusOK)
	if strings.Contains(page, "stranger") || !strings.Contains(page, "leyden_build_info{") {
		t.Error(page)
	}
	want := []ShadowTotals{{"dark", 3, 2, 15_000, 10_000}}
	if got := g.observer.shadow.totals(); len(got) != 1 || got[0] != want[0] {
		t.Errorf("shadow %+v, want %+v", got, want)
	}
}

func fetchText(t *testing.T, url string, status int) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Errorf("%s: %d, %v", url, resp.StatusCode, err)
	}
	return string(body)
}

func TestHealth(t *testing.T) {
	b, node := newBackend(t), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf("prometheus: {enabled: true, listenaddr: '127.0.0.1:0'}\n"+
		"services: [{name: a, pathregexp: '^/.*$', address: %q}]\n", b.addr()))
	token := buy(t, node, get(t, g, "/x"))
	url := "http://" + g.metrics.listener.Addr().String() + "/healthz"
	read := func(status int) (h Health) {
		t.Helper()
		if err := json.Unmarshal([]byte(fetchText(t, url, status)), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := read(http.StatusOK); h != (Health{Status: "ok", PaidPass: true}) {
		t.Errorf("%+v", h)
	}
	node.setDown(errDown)
	until.True(t, "the gate notices", func() bool { return g.link.Ready() != nil })
	if h := read(http.StatusServiceUnavailable); h.Status != "degraded" || h.Code != "node_unreachable" || !h.PaidPass || h.Reason == "" {
		t.Errorf("%+v", h)
	}
	if resp := get(t, g, "/x", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a paid request: %d", resp.StatusCode)
	}
	if got := metric(t, g.observer, "leyden_gate_node_up"); got != "0" {
		t.Errorf("node up %q", got)
	}
}

// TestGivenBack: what the backend failed is neither charged in shadow mode nor
// counted as used up.
func TestGivenBack(t *testing.T) {
	o := newObserver(nil)
	o.counts.know([]*Service{{Name: "a"}})
	for _, v := range []*visit{
		{service: "a", outcome: outcomeShadow, price: 5, failed: true},
		{service: "a", outcome: outcomePaid, scheme: l402http.SchemePayment, failed: true},
		{service: "a", outcome: outcomePaid, scheme: l402http.SchemePayment},
	} {
		o.end(v, from("192.0.2.1:1", "/"))
	}
	if got := o.shadow.totals(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for name, want := range map[string]string{"given_back": "2", "redemptions": "1"} {
		if got := metric(t, o, `leyden_gate_`+name+`_total{service="a"}`); got != want {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}
