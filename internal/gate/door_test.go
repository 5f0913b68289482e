package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/l402"
)

// counter is a limiter and a free tier that allow a number of requests, and
// remembers what was decided.
type counter struct {
	mu                   sync.Mutex
	token, address, free int // left
	decisions            []decision
	tokens               []l402.TokenID
}

type refund struct {
	c *counter
	n *int
}

func (g refund) giveBack() {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	*g.n++
}

func (c *counter) take(n *int) (grant, time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *n == 0 {
		return nil, 90 * time.Second, false
	}
	*n--
	return refund{c, n}, 0, true
}

func (c *counter) allowToken(_ *http.Request, id l402.TokenID) (grant, time.Duration, bool) {
	c.tokens = append(c.tokens, id)
	return c.take(&c.token)
}

func (c *counter) allowAddress(*http.Request) (grant, time.Duration, bool) { return c.take(&c.address) }

func (c *counter) decided(_ context.Context, d decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decisions = append(c.decisions, d)
}

// freeTier is the free tier of a counter.
type freeTier struct{ *counter }

func (f freeTier) take(*http.Request) (grant, bool) {
	g, _, ok := f.counter.take(&f.free)
	return g, ok
}

// doorTest is a door before a backend that answers with a status.
type doorTest struct {
	*counter
	node    *fakeNode
	gate    *Gate
	door    *door
	status  int
	backend int // requests seen
}

// newDoorTest makes the door of the first service of a configuration.
func newDoorTest(t *testing.T, services string) *doorTest {
	t.Helper()
	d := &doorTest{counter: &counter{token: 100, address: 100, free: 0}, node: newFakeNode(), status: http.StatusOK}
	d.gate = openGate(t, t.TempDir(), d.node, services)
	cfg := d.gate.now.Load().cfg
	var err error
	d.door, err = newDoor(cfg, cfg.Services[0], d.gate.seller, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d.backend++
		w.Header().Set(l402.HeaderCharged, l402.ChargedNo) // not for a backend to say
		w.WriteHeader(d.status)
	}), doorParts{
		limits:   func(*Service) limiter { return d.counter },
		freebies: func(*Service) freebies { return freeTier{d.counter} },
		decided:  d.counter.decided,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *doorTest) ask(path string, headers ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.door.ServeHTTP(w, r)
	return w.Result()
}

// want checks an answer and what was decided last.
func (d *doorTest) want(t *testing.T, resp *http.Response, status int, o outcome, failed bool) {
	t.Helper()
	last := d.decisions[len(d.decisions)-1]
	if resp.StatusCode != status || last.outcome != o || last.failed != failed {
		t.Errorf("status %d, outcome %s (failed %v); want %d, %s (%v)", resp.StatusCode, last.outcome, last.failed, status, o, failed)
	}
	charged := resp.Header.Get(l402.HeaderCharged)
	if want := failed || status == http.StatusTooManyRequests && last.verdict.Paid; (charged == l402.ChargedNo) != want {
		t.Errorf("%s: %q", l402.HeaderCharged, charged)
	}
}

const oneService = "services: [{name: a, pathregexp: '^/.*$', address: 'localhost:1', price: 100%s}]\n"

func TestDoorPaid(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ""))
	unpaid := d.ask("/x")
	d.want(t, unpaid, http.StatusPaymentRequired, outcomeChallenged, false)
	if got := d.decisions[0]; got.price != 100_000 || got.service != "a" || got.verdict.Paid {
		t.Errorf("decided %+v", got)
	}
	token := buy(t, d.node, unpaid)
	d.token = 2
	d.want(t, d.ask("/x", token...), http.StatusOK, outcomePaid, false)
	d.status = http.StatusBadGateway
	d.want(t, d.ask("/x", token...), http.StatusBadGateway, outcomePaid, true)
	if d.token != 1 {
		t.Errorf("%d left of the rate limit after a failure, want 1", d.token)
	}
	d.status = http.StatusNotFound
	d.want(t, d.ask("/x", token...), http.StatusNotFound, outcomePaid, false)
	limited := d.ask("/x", token...)
	d.want(t, limited, http.StatusTooManyRequests, outcomeLimited, false)
	if limited.Header.Get("Retry-After") != "90" || !strings.Contains(text(t, limited), "rate_limited") {
		t.Errorf("Retry-After %q", limited.Header.Get("Retry-After"))
	}
	id, err := challenge(t, unpaid).Tokens[0].Identifier()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range d.tokens {
		if got != id.TokenID {
			t.Errorf("limited by %v, want %v", got, id.TokenID)
		}
	}
	if d.backend != 3 || d.address != 99 {
		t.Errorf("the backend saw %d requests, the address was counted %d times", d.backend, 100-d.address)
	}
}

func TestDoorLimitsAddressesBeforeMinting(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ""))
	d.address = 1
	d.want(t, d.ask("/x"), http.StatusPaymentRequired, outcomeChallenged, false)
	d.want(t, d.ask("/x", "L402-Client", l402.ClientNonce{1}.String()), http.StatusTooManyRequests, outcomeLimited, false)
	if open, _ := totals(t, d.gate); open != 1 {
		t.Errorf("%d invoices", open)
	}
}

func TestDoorFreeTier(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", auth: freebie 2"))
	d.free = 2
	d.want(t, d.ask("/x"), http.StatusOK, outcomeFreebie, false)
	d.status = http.StatusServiceUnavailable
	d.want(t, d.ask("/x"), http.StatusServiceUnavailable, outcomeFreebie, true)
	if d.free != 1 || d.address != 99 {
		t.Errorf("free %d, address %d after a failure", d.free, d.address)
	}
	d.status = http.StatusOK
	d.want(t, d.ask("/x"), http.StatusOK, outcomeFreebie, false)
	d.want(t, d.ask("/x"), http.StatusPaymentRequired, outcomeChallenged, false)
}

func TestDoorShadow(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", shadow: true"))
	d.want(t, d.ask("/x"), http.StatusOK, outcomeShadow, false)
	if got := d.decisions[0]; got.price != 100_000 {
		t.Errorf("would have charged %d msat", got.price)
	}
	if open, _ := totals(t, d.gate); open != 0 || d.backend != 1 {
		t.Errorf("%d invoices, %d requests passed", open, d.backend)
	}
}

func TestDoorSkipsInvoices(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", authskipinvoicecreationpaths: ['^/quiet']"))
	token := buy(t, d.node, d.ask("/x"))
	refused := d.ask("/quiet")
	d.want(t, refused, http.StatusPaymentRequired, outcomeRefused, false)
	if refused.Header.Get("Www-Authenticate") != "" || strings.Contains(text(t, refused), "invoice\":") {
		t.Errorf("a challenge where none is to be: %v", refused.Header)
	}
	if open, settled := totals(t, d.gate); open+settled != 1 {
		t.Errorf("%d invoices", open+settled)
	}
	d.want(t, d.ask("/quiet", token...), http.StatusOK, outcomePaid, false)
}

func TestDoorNodeAway(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ""))
	d.node.addErr = errDown
	d.want(t, d.ask("/x"), http.StatusServiceUnavailable, outcomeUnsold, false)
}

func TestDoorOfAFreeServiceIsLimited(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", auth: off"))
	d.address = 1
	d.want(t, d.ask("/x"), http.StatusOK, outcomeFree, false)
	d.want(t, d.ask("/x"), http.StatusTooManyRequests, outcomeLimited, false)
	if d.backend != 1 {
		t.Errorf("the backend saw %d requests", d.backend)
	}
}

// TestCapabilities: a holder may give away less than was bought, never more.
func TestCapabilities(t *testing.T) {
	d := newDoorTest(t, `services:
  - name: math
    address: localhost:1
    capabilities: add, subtract
    capabilitypaths: {add: '^/(add|both)(/|$)', subtract: '^/(subtract|both)(/|$)'}
    constraints: {daily: 100, regions: "eu,us", valid_until: 4000000000}
`)
	unpaid := d.ask("/add")
	c := challenge(t, unpaid)
	caveats, err := c.Tokens[0].Caveats()
	if err != nil || fmt.Sprint(caveats) != "[services=math:0 math_capabilities=add,subtract daily=100 regions=eu,us math_valid_until=4000000000]" {
		t.Errorf("caveats %v, %v", caveats, err)
	}
	preimage := d.node.settle(t, c.Invoice, false)
	with := func(caveats ...string) []string {
		token := c.Tokens[0]
		for _, text := range caveats {
			caveat, err := l402.ParseCaveat(text)
			if err != nil {
				t.Fatal(err)
			}
			if token, err = token.Attenuate(caveat); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"Authorization", l402.Credential{Tokens: []l402.Token{token}, Preimage: preimage}.Authorization(l402.SchemeL402)}
	}
	for name, c := range map[string]struct {
		path    string
		caveats []string
		code    string // "" for passed
	}{
		"ok/as bought":                  {"/add", nil, ""},
		"ok/both":                       {"/both", nil, ""},
		"ok/narrowed":                   {"/add/1", []string{"math_capabilities=add"}, ""},
		"ok/no capability needed":       {"/else", []string{"math_capabilities=add"}, ""},
		"ok/lower number":               {"/add", []string{"daily=5", "daily=5"}, ""},
		"ok/shorter list":               {"/add", []string{"regions=us"}, ""},
		"ok/unknown caveat":             {"/add", []string{"colour=red"}, ""},
		"fail/narrowed away":            {"/subtract", []string{"math_capabilities=add"}, "token_not_capable"},
		"fail/one of two":               {"/both", []string{"math_capabilities=add"}, "token_not_capable"},
		"fail/hidden behind parameters": {"/subtract;x=1/y", []string{"math_capabilities=add"}, "token_not_capable"},
		"fail/widened":                  {"/subtract", []string{"math_capabilities=add", "math_capabilities=subtract"}, "token_widened"},
		"fail/higher number":            {"/add", []string{"daily=101"}, "token_widened"},
		"fail/number into word":         {"/add", []string{"daily=many"}, "token_widened"},
		"fail/longer list":              {"/add", []string{"regions=eu,us,cn"}, "token_widened"},
		"fail/ended by its holder":      {"/add", []string{"math_valid_until=1"}, "token_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := d.ask(c.path, with(c.caveats...)...)
			if c.code == "" && resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, text(t, resp))
			}
			if body := text(t, resp); c.code != "" && (resp.StatusCode != http.StatusPaymentRequired || !strings.Contains(body, `"`+c.code+`"`)) {
				t.Errorf("%d %s, want %s", resp.StatusCode, body, c.code)
			}
		})
	}
}

func TestConstraintValidUntil(t *testing.T) {
	ended := newDoorTest(t, fmt.Sprintf(oneService, `, constraints: {valid_until: "2020-01-01"}`))
	resp := ended.ask("/x")
	ended.want(t, resp, http.StatusGone, outcomeRefused, false)
	if body := text(t, resp); !strings.Contains(body, "sale_ended") || !strings.Contains(body, "2020-01-01T00:00:00Z") {
		t.Error(body)
	}
	if open, _ := totals(t, ended.gate); open != 0 {
		t.Errorf("%d invoices for worthless tokens", open)
	}
	soon := time.Now().Add(time.Minute)
	d := newDoorTest(t, fmt.Sprintf(oneService, fmt.Sprintf(", timeout: 3600, constraints: {valid_until: %d}", soon.Unix())))
	challenge(t, d.ask("/x"))
	for _, inv := range d.node.invoices {
		if inv.Expiry > time.Minute || inv.Expiry < time.Second {
			t.Errorf("the invoice may be paid for %v", inv.Expiry)
		}
	}
	for _, bad := range []string{"tomorrow", "-1", "2020-13-01", ""} {
		s := &Service{Name: "a", Price: 1, Constraints: map[string]string{"valid_until": bad}}
		if _, err := s.sale(); err == nil {
			t.Errorf("valid_until %q", bad)
		}
	}
}

// TestPanickingBackendUsesNothingUp: a handler that dies before it has said
// anything has not answered.
func TestPanickingBackendUsesNothingUp(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", auth: freebie 1"))
	d.free = 1
	d.door.backend = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	func() {
		defer func() { _ = recover() }()
		d.ask("/x")
	}()
	if d.free != 1 {
		t.Error("the free request is gone")
	}
}

// TestGoneClientUsesUp: otherwise a client could run the backend for nothing,
// again and again.
func TestGoneClientUsesUp(t *testing.T) {
	d := newDoorTest(t, fmt.Sprintf(oneService, ", auth: freebie 1"))
	d.free = 1
	ctx, cancel := context.WithCancel(t.Context())
	d.door.backend = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() })
	d.door.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/x", nil))
	if d.free != 0 {
		t.Error("the free request is still there")
	}
}
