package gate

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const soldServices = `services:
  - name: math
    hostregexp: '^math\.example\.com$'
    pathregexp: '^/math/'
    address: 'internal.host.example:8080'
    price: 25
    timeout: 3600
    auth: freebie 2
    capabilities: add,subtract
    capabilitypaths: {add: '^/math/add'}
    authwhitelistpaths: ['^/math/health$']
    rewrite: {prefix: /secret/backend/path}
    headers: {X-Api-Key: seller-secret}
  - {name: open, address: 'localhost:1', auth: off}
  - {name: trial, address: 'localhost:1', price: 7, shadow: true}
`

func TestManifest(t *testing.T) {
	g := openGate(t, t.TempDir(), newFakeNode(), soldServices)
	for _, path := range []string{manifestPath, "/.well-known/%6c402-services"} {
		resp := get(t, g, path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" ||
			resp.Header.Get("Cache-Control") != "public, max-age=60" {
			t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		body := text(t, resp)
		for _, secret := range []string{"8080", "internal", "localhost", "secret", "X-Api-Key"} {
			if strings.Contains(body, secret) {
				t.Errorf("it says %q: %s", secret, body)
			}
		}
		var m manifest
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatal(err)
		}
		want := []manifestService{
			{Name: "math", Host: `^math\.example\.com$`, Path: "^/math/", PriceMsat: 25_000, Schemes: []string{"l402"},
				FreePaths: []string{"^/math/health$"}, FreeRequests: 2, TokenSeconds: 3600,
				Capabilities: []manifestCapability{{"add", "^/math/add"}, {"subtract", ""}}},
			{Name: "open", Schemes: []string{}, FreePaths: []string{}, Capabilities: []manifestCapability{}},
			{Name: "trial", Schemes: []string{}, FreePaths: []string{}, Capabilities: []manifestCapability{}},
		}
		if m.Version != 1 || m.Network != "regtest" || len(m.Pay) == 0 || !reflect.DeepEqual(m.Services, want) {
			t.Errorf("got %+v\nwant %+v", m, want)
		}
	}
	for method, status := range map[string]int{http.MethodHead: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed} {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.Addr().String()+manifestPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != status {
			t.Errorf("%s: %v, %v", method, resp, err)
			continue
		}
		_ = resp.Body.Close()
	}
}
