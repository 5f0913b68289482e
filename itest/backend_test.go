package itest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// backend is a seller's service. It answers with the method, the path and the
// body of the request, and counts what reaches it.
type backend struct {
	addr     string
	requests atomic.Int64 // but for health checks
	secrets  atomic.Int64 // requests that still carried a buyer's credential
	broken   atomic.Bool  // answers 500
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == shop.HealthPath {
			return
		}
		b.requests.Add(1)
		if r.Header.Get("Authorization") != "" {
			b.secrets.Add(1)
		}
		if b.broken.Load() {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, answer(r.Method, r.URL.Path, string(body))) // the client has gone
	}))
	t.Cleanup(s.Close)
	b.addr = strings.TrimPrefix(s.URL, "http://")
	return b
}

// answer is what the backend says to a request.
func answer(method, path, body string) string { return method + " " + path + " " + body + "\n" }

// services of a gate before the backend: /dear for 5000 sat, the rest for 100,
// but for the health check and /free.
func (b *backend) services() []shop.Service {
	return []shop.Service{
		{Name: "dear", PathRegexp: "^/dear", Address: b.addr, Price: 5000},
		{Name: "cheap", PathRegexp: "^/", Address: b.addr, Price: 100,
			Free: []string{"^" + shop.HealthPath + "$", "^/free$"}},
	}
}
