package verify

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/front/macaroon"
)

// verdictLife is how long lnd's yes counts, maxVerdicts how many are kept.
const (
	verdictLife = 10 * time.Second
	maxVerdicts = 4096
)

type verdictKey struct {
	macaroon [32]byte // SHA-256
	method   string
	client   netip.Addr
}

type verdict[Owner comparable] struct {
	owner Owner
	until time.Time
}

// verdicts remembers for a moment what lnd has verified.
type verdicts[Owner comparable] struct {
	clock func() time.Time

	mu    sync.Mutex
	epoch uint64 // raised by forget: what was asked before does not count any more
	kept  map[verdictKey]verdict[Owner]
}

func newVerdicts[Owner comparable](clock func() time.Time) *verdicts[Owner] {
	return &verdicts[Owner]{clock: clock, kept: make(map[verdictKey]verdict[Owner])}
}

func (v *verdicts[Owner]) holds(key verdictKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept, ok := v.kept[key]
	return ok && v.clock().Before(kept.until)
}

// now returns the epoch, to be read before lnd is asked.
func (v *verdicts[Owner]) now() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.epoch
}

// keep remembers a yes that was asked for in the epoch.
func (v *verdicts[Owner]) keep(key verdictKey, owner Owner, caveats []macaroon.Caveat, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	until := now.Add(verdictLife)
	if end, ok := timeBefore(caveats); ok && end.Before(until) {
		until = end
	}
	if epoch != v.epoch || !now.Before(until) {
		return
	}
	if len(v.kept) >= maxVerdicts {
		v.makeRoom(now)
	}
	v.kept[key] = verdict[Owner]{owner, until}
}

func (v *verdicts[Owner]) makeRoom(now time.Time) {
	for key, kept := range v.kept {
		if !now.Before(kept.until) {
			delete(v.kept, key)
		}
	}
	if len(v.kept) >= maxVerdicts {
		clear(v.kept)
	}
}

func (v *verdicts[Owner]) forget(which func(Owner) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch++
	for key, kept := range v.kept {
		if which(kept.owner) {
			delete(v.kept, key)
		}
	}
}

// timeBefore returns the earliest end of the caveats' lives. One that cannot be
// read ended long ago.
func timeBefore(caveats []macaroon.Caveat) (end time.Time, ok bool) {
	for _, c := range caveats {
		name, arg, _ := strings.Cut(c.Text, " ")
		if name != "time-before" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, arg)
		if err != nil {
			t = time.Time{}
		}
		if !ok || t.Before(end) {
			end, ok = t, true
		}
	}
	return end, ok
}
