package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leydenln/leyden/l402"
)

const (
	readers = 32

	calibration = 5 * time.Second

	// A second's unpaid requests, of a client that is known and of strangers.
	// Each of the latter is an invoice on the node, which keeps all of them.
	knownAsks        = 50
	newAsks          = 5
	strangerNetworks = 16
)

// load is what goes on all the time.
type load struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// startLoad reads with the tokens at the rate, in requests a second, asks
// without paying, and buys.
func (w *world) startLoad(ctx context.Context, t *tally, s *shoppers, rate float64) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	every := func(perSecond float64, do func()) {
		l.all.Go(func() {
			tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					do()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	client := newClient()
	for range readers {
		every(rate/readers, func() {
			held := w.held()
			w.read(ctx, client, t, held[mathrand.IntN(len(held))])
		})
	}
	name := newName()
	every(knownAsks, func() { w.ask(ctx, client, t, name) })
	strangers := make([]*http.Client, strangerNetworks)
	for i := range strangers {
		strangers[i] = newClientFrom(net.IPv4(127, 3, byte(i), 1))
	}
	every(newAsks, func() { w.ask(ctx, strangers[mathrand.IntN(len(strangers))], t, newName()) })
	s.start(ctx, &l.all)
	return l
}

// stop ends the load and waits for all of it.
func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

func newClient() *http.Client { return newClientFrom(net.IPv4(127, 0, 0, 1)) }

// newClientFrom is a client at that address of the loopback.
func newClientFrom(address net.IP) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: 2 * readers}}
}

func newName() string {
	nonce, err := l402.NewClientNonce(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return nonce.String()
}

// calibrate finds how many requests with a token the gate serves in a second.
func (w *world) calibrate(ctx context.Context, t *tally) float64 {
	ctx, cancel := context.WithTimeout(ctx, calibration)
	defer cancel()
	client, held := newClient(), w.held()
	var all sync.WaitGroup
	var done atomic.Int64
	for i := range readers {
		all.Go(func() {
			for ctx.Err() == nil {
				w.read(ctx, client, t, held[i%len(held)])
				done.Add(1)
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / calibration.Seconds()
}

// read makes a request with a valid token and judges the answer.
func (w *world) read(ctx context.Context, client *http.Client, t *tally, authorization string) {
	begin := time.Now()
	status, body, err := get(ctx, client, w.gate.URL+"/goods", l402.HeaderAuthorization, authorization)
	end := time.Now()
	switch {
	case err == nil && status == http.StatusOK && bytes.Equal(body, goods):
		t.served.Add(1)
	case ctx.Err() != nil:
	case w.gateAway.met(begin, end):
		t.gateGone.Add(1)
	case (status == http.StatusBadGateway || status == http.StatusServiceUnavailable ||
		errors.Is(err, io.ErrUnexpectedEOF)) && w.backAway.met(begin, end):
		t.backGone.Add(1) // also in the middle of an answer
	default:
		t.fault("a valid token got status %d, %d bytes, %v while the gate was up", status, len(body), err)
	}
}

// ask makes a request without a token, which must not be served.
func (w *world) ask(ctx context.Context, client *http.Client, t *tally, name string) {
	begin := time.Now()
	status, _, err := get(ctx, client, w.gate.URL+"/goods", l402.HeaderClient, name)
	end := time.Now()
	switch {
	case slices.Contains([]int{http.StatusPaymentRequired, http.StatusTooManyRequests}, status):
		t.asked.Add(1)
	case ctx.Err() != nil || w.gateAway.met(begin, end):
	case status == http.StatusServiceUnavailable && w.nodeMet(begin, end):
		t.unsold.Add(1)
	default:
		t.fault("an unpaid request got status %d, %v", status, err)
	}
}

// nodeGrace is for how long after a node is back it may not be used: until the
// gate has found it again.
const nodeGrace = 10 * time.Second

func (w *world) nodeMet(begin, end time.Time) bool { return w.nodeAway.met(begin.Add(-nodeGrace), end) }

func get(ctx context.Context, client *http.Client, url, header, value string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// present presents every token that was bought, while everything is up.
func (w *world) present(ctx context.Context, t *tally) error {
	client := newClient()
	held := w.held()
	lost := 0
	var last error
	for _, token := range held {
		status, body, err := get(ctx, client, w.gate.URL+"/goods", l402.HeaderAuthorization, token)
		if err != nil || status != http.StatusOK || !bytes.Equal(body, goods) {
			lost++
			last = fmt.Errorf("status %d, %v", status, err)
		}
	}
	t.presented.Store(int64(len(held)))
	if lost > 0 {
		return fmt.Errorf("%d of %d tokens that were bought do not open their service: %w", lost, len(held), last)
	}
	return nil
}
