package gate

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// manifestPath is where a gate says what it sells, to everybody and for free.
const manifestPath = "/.well-known/l402-services"

// manifest is what stands there; docs/gate.md describes it. It says nothing of
// what is behind the gate.
type manifest struct {
	Version  int               `json:"version"` // 1; more keys may come
	Network  string            `json:"network,omitempty"`
	Services []manifestService `json:"services"`
	Pay      []string          `json:"how_to_pay"`
}

// manifestService is one service for its buyers. The expressions are matched
// as the gate matches them: the path decoded, the host in lower case; empty
// matches everything.
type manifestService struct {
	Name         string               `json:"name"`
	Host         string               `json:"host_regexp"`
	Path         string               `json:"path_regexp"`
	PriceMsat    uint64               `json:"price_msat"` // of one token, or one request; 0: free
	Schemes      []string             `json:"schemes"`
	FreePaths    []string             `json:"free_path_regexps"`
	FreeRequests int                  `json:"free_requests"` // of each client
	TokenSeconds int64                `json:"token_seconds"` // how long a token is good; 0: for ever
	Capabilities []manifestCapability `json:"capabilities"`
}

// manifestCapability is what a token may do, and where that is needed.
type manifestCapability struct {
	Name string `json:"name"`
	Path string `json:"path_regexp,omitempty"`
}

// howToPay tells a program, or who writes one, what to do.
var howToPay = []string{
	"Ask for what you want: the answer has status 402 and a challenge with a BOLT11 invoice in WWW-Authenticate.",
	"Pay the invoice, then ask again with the token and the payment's preimage in Authorization.",
	"lnget does both: lnget --max-cost SATS URL",
}

// newManifest describes what a configuration sells.
func newManifest(c *Config) manifest {
	m := manifest{Version: 1, Services: []manifestService{}, Pay: howToPay}
	if !c.Authenticator.Disable {
		m.Network = string(c.Authenticator.Network)
	}
	for _, s := range c.Services {
		out := manifestService{
			Name: string(s.Name), Host: s.HostRegexp.String(), Path: s.PathRegexp.String(),
			FreePaths: sources(s.AuthWhitelistPaths), FreeRequests: s.Auth.free, Schemes: []string{},
			TokenSeconds: int64(s.Timeout), Capabilities: []manifestCapability{},
		}
		if c.charged(s) > 0 && !s.Shadow {
			out.PriceMsat, out.Schemes = uint64(s.Price.msat()), s.AuthScheme.names()
		}
		for _, name := range s.capabilities() {
			out.Capabilities = append(out.Capabilities, manifestCapability{name, s.CapabilityPaths[name].String()})
		}
		m.Services = append(m.Services, out)
	}
	return m
}

// handler serves the manifest.
func (m manifest) handler() (http.Handler, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method) {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, http.StatusMethodNotAllowed, "bad_method", "the list of services can only be read")
			return
		}
		maps.Copy(w.Header(), http.Header{
			"Content-Type": {"application/json"}, "Cache-Control": {"public, max-age=60"},
			"Access-Control-Allow-Origin": {"*"},
		})
		_, _ = w.Write(text) // an error means that the client has gone
	}), nil
}
