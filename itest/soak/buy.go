package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

const (
	// buyersAtOnce run lnget, with a pause after each purchase.
	buyersAtOnce = 3
	buyPause     = time.Second

	// finishTime is how long purchases that were cut short may take in the end.
	finishTime = 3 * time.Minute
)

// shoppers buy one token after the other with lnget, each with a home of its
// own, and run lnget again in the same home until it has got what it was to.
type shoppers struct {
	w *world
	t *tally

	macaroon string

	mu         sync.Mutex
	homes      int
	done       []l402http.Purchase
	unfinished []*shop.Buyer
}

// first buys before there is any load.
func (s *shoppers) first(ctx context.Context) error {
	b, err := shop.NewBuyer(ctx, s.home(), s.w.lnget, s.w.buyer())
	if err != nil {
		return err
	}
	s.macaroon = b.Macaroon
	if !s.try(ctx, b) {
		return fmt.Errorf("the first purchase failed, without any load; see %s", s.w.dir)
	}
	return nil
}

func (s *shoppers) home() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.homes++
	return filepath.Join(s.w.dir, "buyers", fmt.Sprint(s.homes))
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
	b, err := shop.NewBuyerWith(s.home(), s.w.lnget, s.w.buyer(), s.macaroon)
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
func (s *shoppers) try(ctx context.Context, b *shop.Buyer) bool {
	// A run is not cut short with the load: lnget is what is to be tried,
	// not what SIGKILL does to it.
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	r, err := b.Run(run, "-q", s.w.gate.URL+"/goods")
	if err != nil || r.Status != 0 || r.Stdout != string(goods) {
		away := s.w.gateAway.met(begin, time.Now()) || s.w.backAway.met(begin, time.Now()) || s.w.nodeMet(begin, time.Now())
		s.t.unbought(away, "%v %v", r, err)
		return false
	}
	bought, err := fetch.NewFileStore(filepath.Join(b.Home, ".lnget", "tokens")).All()
	if err != nil {
		s.t.fault("read a buyer's tokens: %v", err)
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	paid := 0
	for _, p := range bought {
		if p.State == l402http.StateFailed {
			continue
		}
		if paid++; p.State != l402http.StatePaid {
			s.t.fault("a purchase that was served is %s: %s", p.State, p.Hash)
			continue
		}
		s.done = append(s.done, p)
		s.w.addToken(p.Credential.Authorization(p.Scheme))
	}
	if paid != 1 {
		s.t.fault("a buyer in %s paid %d times", b.Home, paid)
	}
	s.t.bought.Add(1)
	return true
}

// finish ends what was cut short: nothing that was paid for is lost.
func (s *shoppers) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	for _, b := range s.unfinished {
		for !s.try(ctx, b) {
			if err := pause(ctx, buyPause); err != nil {
				return fmt.Errorf("the purchase in %s does not end", b.Home)
			}
		}
	}
	return nil
}
