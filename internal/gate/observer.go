package gate

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// Outcomes of requests that reached no door.
const (
	outcomeBlocked  outcome = "blocked"  // 403 by the blocklist
	outcomeRejected outcome = "rejected" // the gate's own refusal: 400, 404 …
	outcomeStatic   outcome = "static"   // the gate's own files
)

var noToken l402.TokenID

// observer counts and writes down what becomes of requests. It lives as long
// as the gate.
type observer struct {
	log    *slog.Logger
	access *accessLog
	counts *counts
	shadow *shadowBook
}

func newObserver(log *slog.Logger) *observer {
	return &observer{log: log, access: newAccessLog(log), counts: newCounts(), shadow: newShadowBook()}
}

// open begins the access log of a configuration.
func (o *observer) open(cfg *Config) error {
	f, err := cfg.openAccessLog()
	if err != nil {
		return err
	}
	return o.access.use(f)
}

const (
	flushInterval  = time.Second
	reportInterval = time.Minute
)

// work flushes the access log every second and reports shadow mode every
// minute, until ctx ends.
func (o *observer) work(ctx context.Context) {
	flush, report := time.NewTicker(flushInterval), time.NewTicker(reportInterval)
	defer flush.Stop()
	defer report.Stop()
	for {
		select {
		case <-flush.C:
			o.access.flushNow()
		case <-o.access.enough:
			o.access.flushNow()
		case <-report.C:
			o.shadow.report(o.log)
		case <-ctx.Done():
			return
		}
	}
}

// close writes what has not been written yet.
func (o *observer) close() error {
	o.shadow.report(o.log)
	return o.access.close()
}

// decided is what a door tells: see doorParts.
func (o *observer) decided(ctx context.Context, d decision) {
	if v := visitOf(ctx); v != nil {
		v.decided(d)
	}
}

// blocked counts a request that got nothing. It has no line: a flood that the
// blocklist keeps out must not fill the disk instead.
func (o *observer) blocked() { o.counts.of("").requests[outcomeBlocked].Inc() }

// linePool lends the bytes that lines are put together in.
var linePool = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// end writes a visit down.
func (o *observer) end(v *visit, r *http.Request) {
	took := time.Since(v.began)
	if v.status == 0 && !v.aborted {
		v.status = http.StatusOK
	}
	if v.outcome == "" {
		v.outcome = outcomeStatic
		if v.status >= http.StatusBadRequest {
			v.outcome = outcomeRejected
		}
	}
	o.count(v, took)
	if v.outcome == outcomeShadow && !v.failed {
		o.shadow.add(v, household(r))
	}
	if !o.access.wanted.Load() {
		return
	}
	b := linePool.Get().(*[]byte)
	*b = v.appendLine((*b)[:0], r, took)
	o.access.write(*b)
	linePool.Put(b)
}

func (o *observer) count(v *visit, took time.Duration) {
	c := o.counts.of(v.service)
	c.requests[v.outcome].Inc()
	c.seconds.Observe(took.Seconds())
	if v.failed {
		c.failures.Inc()
	}
	if v.outcome == outcomePaid && v.scheme == l402http.SchemePayment && !v.failed {
		c.redemptions.Inc()
	}
}
