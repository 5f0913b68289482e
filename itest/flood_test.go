package itest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/l402"
)

// floodEnv asks for the whole flood; `make flood` sets it.
const floodEnv = "LEYDEN_FLOOD"

// floodSize is how much is asked for, and by how many who pay.
type floodSize struct {
	requests  int // unpaid, at least; they go on until the last buyer is done
	addresses int // in each of floodNetworks
	maxOpen   int
	buyers    int
}

const (
	floodNetworks = 40
	floodClients  = 10
	buyerTries    = 3
)

// TestFlood: strangers who ask and never pay neither fill the seller's node,
// as the node itself says, nor keep away those from other networks who pay.
func TestFlood(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a client come from any address of 127.0.0.0/8")
	}
	size := floodSize{requests: 4_000, addresses: 10, maxOpen: 200, buyers: 5}
	if os.Getenv(floodEnv) != "" {
		size = floodSize{requests: 50_000, addresses: 250, maxOpen: 1000, buyers: 20}
	}
	for _, c := range []struct {
		name  string
		from  []netip.Addr
		named bool
	}{
		{"10 clients", floodFrom(floodClients, 1), false},
		{"10 clients with a new name each time", floodFrom(floodClients, 1), true},
		{fmt.Sprintf("%d addresses in %d networks", floodNetworks*size.addresses, floodNetworks),
			floodFrom(floodNetworks, size.addresses), false},
	} {
		t.Run(c.name, func(t *testing.T) { runFlood(t, size, c.from, c.named) })
	}
}

// floodFrom is 127.1.network.host, the networks in turn.
func floodFrom(networks, hosts int) (all []netip.Addr) {
	for h := range hosts {
		for n := range networks {
			all = append(all, netip.AddrFrom4([4]byte{127, 1, byte(n), byte(1 + h)}))
		}
	}
	return all
}

func runFlood(t *testing.T, size floodSize, from []netip.Addr, named bool) {
	w, back := theWorld(t), startBackend(t)
	w.cancelOpen(t)
	t.Cleanup(func() { w.cancelOpen(t) })
	gate := w.gateWith(t, shop.GateOptions{MaxOpen: size.maxOpen, Services: back.services()})
	host := strings.TrimPrefix(gate.URL, "http://")

	began := time.Now()
	f := startFlood(t, host, from, size.requests/len(from), named)
	watch := w.watchOpen(t)
	await(t, "a full book", func() bool { return watch.now.Load() > int64(size.maxOpen)*9/10 })

	var buyers sync.WaitGroup
	bought := make([]purchase, size.buyers)
	for i := range bought {
		buyer, url := w.buyer(t), relayed(t, host, netip.AddrFrom4([4]byte{127, 2, byte(i), 1}))
		buyers.Go(func() {
			f.await(t, int64(size.requests)*int64(i)/int64(size.buyers))
			bought[i] = tryToBuy(t.Context(), buyer, url+"/a")
		})
	}
	buyers.Wait()
	f.stop()
	took := time.Since(began)
	most, looks := watch.stop()

	served, tries, slowest := 0, 0, time.Duration(0)
	for i, b := range bought {
		tries += b.tries
		slowest = max(slowest, b.took)
		if b.last.Stdout == answer("GET", "/a", "") {
			served++
		} else {
			t.Logf("buyer %d: %s", i, b.last)
		}
	}
	t.Logf("flood: %d unpaid requests from %d addresses in %.1f s (%.0f/s): %s; most open invoices on lnd %d of %d (asked %d times); %d of %d buyers served in %d tries, slowest %.1f s",
		f.sent.Load(), len(from), took.Seconds(), float64(f.sent.Load())/took.Seconds(), &f.statuses, most, size.maxOpen,
		looks, served, size.buyers, tries, slowest.Seconds())
	if most > size.maxOpen {
		t.Errorf("lnd had %d open invoices, want at most %d", most, size.maxOpen)
	}
	if served*20 < size.buyers*19 {
		t.Errorf("%d of %d buyers were served", served, size.buyers)
	}
	if n := back.requests.Load(); n != int64(served) {
		t.Errorf("the backend saw %d requests, %d were paid for", n, served)
	}
	if n := f.sent.Load(); n < int64(size.requests) {
		t.Errorf("only %d requests were sent", n)
	}
}

// purchase is how a buyer fared.
type purchase struct {
	tries int
	took  time.Duration
	last  shop.Result
}

func tryToBuy(ctx context.Context, b *shop.Buyer, url string) (p purchase) {
	began := time.Now()
	for p.tries < buyerTries {
		p.tries++
		run, cancel := context.WithTimeout(ctx, 3*time.Minute)
		var err error
		p.last, err = b.Run(run, "-q", url)
		cancel()
		if err != nil {
			p.last = shop.Result{Stderr: err.Error(), Status: failed}
		}
		if p.last.Status == done {
			break
		}
		select {
		case <-time.After(time.Second): // the least a Retry-After says
		case <-ctx.Done():
		}
	}
	p.took = time.Since(began)
	return p
}

// flooder asks and never pays.
type flooder struct {
	url      string
	each     int // requests from an address before the next one
	named    bool
	sent     atomic.Int64
	statuses statuses
	halt     chan struct{}
	rounds   sync.WaitGroup // every address has had its turn
	all      sync.WaitGroup
}

// startFlood has every address ask each times over a connection of its own,
// floodNetworks of them at a time, and then again until stop.
func startFlood(t *testing.T, host string, from []netip.Addr, each int, named bool) *flooder {
	f := &flooder{url: "http://" + host + "/a", each: each, named: named, halt: make(chan struct{})}
	workers := min(len(from), floodNetworks)
	f.rounds.Add(workers)
	for n := range workers {
		f.all.Go(func() {
			for round := 0; ; round++ {
				for i := n; i < len(from); i += workers {
					f.ask(from[i], round > 0)
				}
				if round == 0 {
					f.rounds.Done()
				}
				select {
				case <-f.halt:
					return
				default:
				}
			}
		})
	}
	t.Cleanup(f.end)
	return f
}

// await waits until that many requests have been sent; they never end before
// stop.
func (f *flooder) await(t *testing.T, sent int64) {
	t.Helper()
	await(t, "the flood", func() bool { return f.sent.Load() >= sent })
}

// stop waits until every address has had its turn and ends the flood.
func (f *flooder) stop() {
	f.rounds.Wait()
	f.end()
}

func (f *flooder) end() {
	select {
	case <-f.halt:
	default:
		close(f.halt)
	}
	f.all.Wait()
}

// ask sends an address's requests; those of an extra round end with the flood.
func (f *flooder) ask(from netip.Addr, extra bool) {
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for range f.each {
		select {
		case <-f.halt:
			if extra {
				return
			}
		default:
		}
		req, err := http.NewRequest(http.MethodGet, f.url, nil)
		if err != nil {
			f.statuses.add(err.Error())
			return
		}
		if f.named {
			nonce, err := l402.NewClientNonce(rand.Reader)
			if err != nil {
				f.statuses.add(err.Error())
				return
			}
			req.Header.Set(l402.HeaderClient, nonce.String())
		}
		resp, err := client.Do(req)
		f.sent.Add(1)
		if err != nil {
			f.statuses.add("error")
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the status is what counts
		resp.Body.Close()
		f.statuses.add(resp.Status[:3])
	}
}

// statuses counts answers.
type statuses struct {
	mu   sync.Mutex
	seen map[string]int
}

func (s *statuses) add(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]int{}
	}
	s.seen[status]++
}

// String is map[402:1000 429:49000].
func (s *statuses) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.seen)
}

// relayed is a URL of the gate for somebody who comes from the address.
func relayed(t *testing.T, host string, from netip.Addr) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			server, err := dialer.Dial("tcp4", host)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	return "http://" + l.Addr().String()
}

// pendingInvoices are the seller's that may still be paid, as its lnd says.
func (w *world) pendingInvoices(ctx context.Context) ([]*lnrpc.Invoice, error) {
	r, err := w.sellerNode().Lightning().ListInvoices(ctx, &lnrpc.ListInvoiceRequest{PendingOnly: true, NumMaxInvoices: 1_000_000})
	return r.GetInvoices(), err
}

// cancelOpen leaves the seller's node without open invoices.
func (w *world) cancelOpen(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	open, err := w.pendingInvoices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	invoices := invoicesrpc.NewInvoicesClient(w.sellerNode().Conn())
	for _, inv := range open {
		if _, err := invoices.CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: inv.RHash}); err != nil {
			t.Fatal(err)
		}
	}
}

// openWatch asks lnd again and again how many invoices are open.
type openWatch struct {
	now, most, looks atomic.Int64
	halt             context.CancelFunc
	done             sync.WaitGroup
}

func (w *world) watchOpen(t *testing.T) *openWatch {
	ctx, cancel := context.WithCancel(context.Background())
	o := &openWatch{halt: cancel}
	o.done.Go(func() {
		for ctx.Err() == nil {
			open, err := w.pendingInvoices(ctx)
			if err != nil {
				if ctx.Err() == nil {
					t.Error("ask lnd for open invoices: ", err)
				}
				return
			}
			n := int64(len(open))
			o.now.Store(n)
			o.most.Store(max(o.most.Load(), n))
			o.looks.Add(1)
		}
	})
	t.Cleanup(func() { o.stop() })
	return o
}

func (o *openWatch) stop() (most, looks int) {
	o.halt()
	o.done.Wait()
	return int(o.most.Load()), int(o.looks.Load())
}
