package gate

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/leydenln/leyden/l402"
)

// BenchmarkAuthenticated compares the gate's whole path for a valid token with
// a bare ReverseProxy that has as many idle connections, before the same
// backend: 1 KiB bodies over loopback, 32 clients a core.
//
//	go test -run - -bench Authenticated -count 5 ./internal/gate
func BenchmarkAuthenticated(b *testing.B) {
	body := make([]byte, 1024)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	if err != nil {
		b.Fatal(err)
	}

	bare := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: idlePerHost, DisableCompression: true},
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
	})
	defer bare.Close()

	node := newFakeNode()
	g := openGate(b, b.TempDir(), node, fmt.Sprintf("services: [{name: a, pathregexp: '^/paid/.*$', address: %q}]\n", target.Host))
	c := challenge(b, get(b, g, "/paid/x"))
	paid := l402.Credential{Tokens: c.Tokens, Preimage: node.preimages[c.Invoice]}

	b.Run("bare", func(b *testing.B) { hammer(b, bare.URL, paid) })
	b.Run("gate", func(b *testing.B) { hammer(b, "http://"+g.Addr().String(), paid) })
}

func hammer(b *testing.B, url string, paid l402.Credential) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	defer client.CloseIdleConnections()
	authorization := paid.Authorization(l402.SchemeL402)
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequest(http.MethodGet, url+"/paid/x", nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", authorization)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("status %d, %v", resp.StatusCode, err)
			}
			_ = resp.Body.Close()
		}
	})
}
