package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

const (
	// buyersAtOnce run lnget, with a pause after each purchase.
	buyersAtOnce = 3
	buyPause     = time.Second

	// finishTime is how long purchases that were cut short may take in the end.
	finishTime = 3 * time.Minute
)

// schemes are what the buyers prefer in turn.
var schemes = []string{"l402", "payment"}

// shoppers buy again and again with lnget, each time in a home of its own, and
// run lnget again in the same home until it has got what it was to.
type shoppers struct {
	w *world
	t *tally

	macaroon string

	mu         sync.Mutex
	homes      int
	done       []l402http.Purchase
	spent      []string // Authorization headers that were good once
	stuck      []string // payment hashes that were given up
	unfinished []*buyer
}

// buyer is a home for lnget.
type buyer struct {
	*shop.Buyer
	scheme string
	since  time.Time
}

// first buys once by each scheme before there is any load.
func (s *shoppers) first(ctx context.Context) error {
	baker, err := shop.NewBuyer(ctx, filepath.Join(s.w.dir, "baker"), s.w.lnget, s.w.buyer())
	if err != nil {
		return err
	}
	s.macaroon = baker.Macaroon
	for range schemes {
		b, err := s.newBuyer()
		if err != nil {
			return err
		}
		if !s.try(ctx, b) {
			return fmt.Errorf("the first purchase by %s failed, without any load", b.scheme)
		}
	}
	return nil
}

func (s *shoppers) newBuyer() (*buyer, error) {
	s.mu.Lock()
	s.homes++
	n := s.homes
	s.mu.Unlock()
	b, err := shop.NewBuyerWith(filepath.Join(s.w.dir, "buyers", fmt.Sprint(n)), s.w.lnget, s.w.buyer(), s.macaroon)
	return &buyer{b, schemes[n%len(schemes)], time.Now()}, err
}

// start buys until ctx ends.
func (s *shoppers) start(ctx context.Context, all *sync.WaitGroup) {
	for range buyersAtOnce {
		all.Go(func() {
			for ctx.Err() == nil {
				s.buy(ctx)
				_ = pause(ctx, buyPause)
			}
		})
	}
}

// buy runs lnget until it has bought, or ctx ends.
func (s *shoppers) buy(ctx context.Context) {
	b, err := s.newBuyer()
	if err != nil {
		s.t.fault("make a buyer: %v", err)
		return
	}
	for !s.try(ctx, b) {
		if pause(ctx, buyPause) != nil {
			s.mu.Lock()
			s.unfinished = append(s.unfinished, b)
			s.mu.Unlock()
			return
		}
	}
}

// try runs lnget once. When it has got the goods, the purchase is kept.
func (s *shoppers) try(ctx context.Context, b *buyer) bool {
	// A run is not cut short with the load: lnget is what is to be tried,
	// not what SIGKILL does to it.
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	r, err := b.Run(run, "-q", "--prefer-scheme", b.scheme, s.w.gate.URL+"/goods")
	if err != nil || r.Status != 0 || r.Stdout != string(goods) {
		away := s.w.gateAway.met(begin, time.Now()) || s.w.backAway.met(begin, time.Now()) || s.w.nodeMet(begin, time.Now())
		s.t.unbought(away, "%v %v", r, err)
		return false
	}
	s.t.bought.Add(1)
	s.keep(b)
	return true
}

// keep takes what the buyer has bought into the books. It has paid once, for a
// token that is still good or for this one request. Only when the gate was
// killed in the middle of that request may it have paid for another.
func (s *shoppers) keep(b *buyer) {
	bought, err := fetch.NewFileStore(filepath.Join(b.Home, ".lnget", "tokens")).All()
	if err != nil {
		s.t.fault("read a buyer's purchases: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	paid := 0
	for _, p := range bought {
		if p.State == l402http.StateFailed {
			continue
		}
		paid++
		s.done = append(s.done, p)
		value, err := p.Authorization()
		switch {
		case err != nil:
			s.t.fault("present %s: %v", p.Hash, err)
		case p.State == l402http.StatePaid && !p.SingleUse():
			s.w.addToken(value)
		case p.State == l402http.StateSpent:
			s.spent = append(s.spent, value)
		case p.SingleUse() && s.w.gateAway.met(b.since, time.Now()):
			s.t.cut.Add(1)
		default:
			s.t.fault("a purchase by %s is %s: %s in %s", p.Scheme, p.State, p.Hash, b.Home)
		}
	}
	if paid != 1 && !(b.scheme == "payment" && s.w.gateAway.met(b.since, time.Now())) {
		s.t.fault("the buyer in %s paid %d times", b.Home, paid)
	}
}

// finish ends what was cut short: nothing that was paid for is lost.
func (s *shoppers) finish(ctx context.Context) error {
	for _, b := range s.unfinished {
		if err := s.finishOne(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *shoppers) finishOne(ctx context.Context, b *buyer) error {
	trying, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	for !s.try(trying, b) {
		if pause(trying, buyPause) != nil {
			return s.giveUp(ctx, b)
		}
	}
	return nil
}

// presentSpent presents what was good once: it must not be good twice.
func (s *shoppers) presentSpent(ctx context.Context) error {
	client := newClient()
	for _, value := range s.spent {
		status, _, err := get(ctx, client, s.w.gate.URL+"/goods", l402.HeaderAuthorization, value)
		if err != nil || status != http.StatusPaymentRequired && status != http.StatusTooManyRequests {
			return fmt.Errorf("a credential that was used up got status %d, %v", status, err)
		}
	}
	s.t.refused.Store(int64(len(s.spent)))
	return nil
}
