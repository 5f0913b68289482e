package mailbox

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// budget bounds bytes; who wants more than is left waits, in turn.
type budget struct {
	*semaphore.Weighted
}

func newBudget(bytes int64) *budget { return &budget{semaphore.NewWeighted(bytes)} }

// charge is what a message has taken from its client's budget and from that of
// all.
type charge struct {
	from  *client
	all   *budget
	bytes int64
}

// relieveEvery is how often at most what nobody takes is dropped for want of
// room.
const relieveEvery = time.Second

// relieve makes room when all that may wait is used up: what nobody has taken
// anything of for longest is dropped, up to an eighth of the whole. Otherwise a
// few clients that leave messages could keep everybody out.
func (r *Relay) relieve(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.relieved) < relieveEvery {
		return
	}
	r.relieved = now
	var stuck []*box
	since := map[*box]time.Time{}
	for _, b := range r.boxes {
		if at, bytes := b.waiting(); bytes > 0 && now.Sub(at) >= r.stuckAfter {
			since[b] = at
			stuck = append(stuck, b)
		}
	}
	slices.SortFunc(stuck, func(a, b *box) int { return since[a].Compare(since[b]) })
	want := r.limits.QueuedBytes / 8
	for _, b := range stuck {
		if want <= 0 {
			return
		}
		_, bytes := b.waiting()
		want -= bytes
		r.metrics.dropped.Add(float64(b.clear()))
	}
}

// reserve takes a message of that length out of the budgets. It waits, at most
// Limits.Blocked, while either is used up.
func (r *Relay) reserve(ctx context.Context, c *client, length int) (*charge, error) {
	n := int64(length) + entryOverhead
	if c.bytes.TryAcquire(n) {
		if r.all.TryAcquire(n) {
			return newCharge(c, r.all, n), nil
		}
		c.bytes.Release(n)
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.Blocked)
	defer cancel()
	if err := c.bytes.Acquire(ctx, n); err != nil {
		return nil, r.refuse(errFull)
	}
	if err := r.acquire(ctx, n); err != nil {
		c.bytes.Release(n)
		return nil, r.refuse(errFull)
	}
	return newCharge(c, r.all, n), nil
}

// acquire waits for room among all.
func (r *Relay) acquire(ctx context.Context, n int64) error {
	for {
		r.relieve(time.Now())
		turn, cancel := context.WithTimeout(ctx, relieveEvery)
		err := r.all.Acquire(turn, n)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// newCharge also keeps the account of a client that has gone.
func newCharge(from *client, all *budget, bytes int64) *charge {
	from.use()
	return &charge{from, all, bytes}
}

// shrink gives back what a message turned out not to need.
func (c *charge) shrink(length int) {
	if less := c.bytes - int64(length) - entryOverhead; less > 0 {
		c.from.bytes.Release(less)
		c.all.Release(less)
		c.bytes -= less
	}
}

// release gives everything back.
func (c *charge) release() {
	c.from.bytes.Release(c.bytes)
	c.all.Release(c.bytes)
	c.from.drop()
}

// pace is a token bucket (the generic cell rate algorithm): one token each
// interval, and burst of them at once. Safe for concurrent use.
type pace struct {
	interval, burst time.Duration

	mu   sync.Mutex
	full time.Time // when the bucket is full again
}

// burstSeconds is how many seconds' worth may come at once.
const burstSeconds = 4

func newPace(perSecond, burst int) *pace {
	interval := max(1, time.Second/time.Duration(perSecond))
	return &pace{interval: interval, burst: min(time.Duration(burst), math.MaxInt64/2/interval) * interval}
}

// take takes a token and returns how long to wait until there is one.
func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(p.interval)
	return max(0, p.full.Sub(now)-max(p.burst, p.interval))
}
