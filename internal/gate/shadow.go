package gate

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/lightningnetwork/lnd/lnwire"
)

// ShadowTotals is what a service in shadow mode would have asked for since the
// gate started. Requests that the backend failed are not in it.
type ShadowTotals struct {
	Service string `json:"service"`

	// Requests would have been answered with a 402.
	Requests uint64 `json:"requests"`

	// Clients is how many different clients (IPv4 addresses, IPv6 /64) these
	// came from; counted up to 100,000.
	Clients int `json:"clients"`

	// RequestsMsat is the price of a token for each request: what single
	// payments would have brought. In msat.
	RequestsMsat uint64 `json:"requests_msat"`

	// ClientsMsat is the price of one token for each client: what tokens
	// without an end would have brought. In msat.
	ClientsMsat uint64 `json:"clients_msat"`
}

// shadowBook keeps the totals of shadow mode by service.
type shadowBook struct {
	mu       sync.Mutex
	services map[string]*shadowEntry
}

type shadowEntry struct {
	requests uint64
	msat     lnwire.MilliSatoshi // of all requests
	once     lnwire.MilliSatoshi // of each client's first
	clients  tally

	logged     uint64 // of requests
	loggedMsat lnwire.MilliSatoshi
}

func newShadowBook() *shadowBook { return &shadowBook{services: map[string]*shadowEntry{}} }

// add records a request that would have been asked to pay.
func (b *shadowBook) add(v *visit, client clientID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.services[v.service]
	if e == nil {
		e = &shadowEntry{clients: tally{}}
		b.services[v.service] = e
	}
	e.requests++
	e.msat += v.price
	if len(e.clients) < maxFreeClients && e.clients.used(client) == 0 {
		e.clients.add(client, v.began)
		e.once += v.price
	}
}

// totals returns what there is, by the services' names.
func (b *shadowBook) totals() []ShadowTotals {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []ShadowTotals
	for name, e := range b.services {
		all = append(all, ShadowTotals{name, e.requests, len(e.clients), uint64(e.msat), uint64(e.once)})
	}
	slices.SortFunc(all, func(a, b ShadowTotals) int { return strings.Compare(a.Service, b.Service) })
	return all
}

// report logs what has come since the last report.
func (b *shadowBook) report(log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, e := range b.services {
		if e.requests == e.logged {
			continue
		}
		log.Info("shadow mode: nobody was charged", "service", name, "requests", e.requests-e.logged,
			"would_be_msat", uint64(e.msat-e.loggedMsat), "clients_so_far", len(e.clients))
		e.logged, e.loggedMsat = e.requests, e.msat
	}
}
