package gate

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/leydenln/leyden/l402"
)

// discard is a ResponseWriter without a client.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkEdge measures what surrounds a request, one part more each time.
//
//	go test -run - -bench Edge ./internal/gate
func BenchmarkEdge(b *testing.B) {
	c := parse(b, "ratelimits: [{requests: 1000000, per: 1s, burst: 1000000}]\nservices: [{name: a, address: 'localhost:1'}]\n")
	limiter := newLimits(c, nil).of(c, c.Services[0])
	backend := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1024)) })
	o := newObserver(slog.New(slog.DiscardHandler))
	o.counts.know(c.Services)
	door := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.decided(r.Context(), decision{service: "a", outcome: outcomePaid, price: 1})
		backend(w, r)
	})
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := limiter.allowToken(r, l402.TokenID{1}); !ok {
			b.Error("limited")
		}
		door(w, r)
	})
	r := httptest.NewRequest(http.MethodGet, "/x", nil)
	run := func(h http.Handler) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(discard{http.Header{}}, r)
			}
		}
	}
	around := func(h http.Handler) http.Handler { return &edge{next: h, observer: o, log: o.log} }
	b.Run("nothing", run(backend))
	b.Run("edge", run(around(door)))
	b.Run("edge and limit", run(around(limited)))
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := o.access.use(f); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = o.close() }()
	b.Run("edge, limit and access log", run(around(limited)))
}
