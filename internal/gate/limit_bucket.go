package gate

import (
	"math"
	"time"
)

const (
	// maxBuckets is how many clients one rule keeps in mind at a time: at most
	// about 10 MB.
	maxBuckets = 100_000

	// sampledBuckets is of how many the one to forget is chosen.
	sampledBuckets = 8

	// fewBuckets are not worth looking through.
	fewBuckets = 1024
)

// instant is a time in nanoseconds since the gate's limits began.
type instant int64

// rate is a token bucket's: one more request for each interval, and at most
// capacity's worth of them at once. Both in nanoseconds.
type rate struct{ interval, capacity int64 }

func newRate(requests, burst int, per time.Duration) rate {
	interval := max(1, int64(per)/int64(requests))
	if int64(burst) > math.MaxInt64/4/interval {
		return rate{interval, math.MaxInt64 / 4}
	}
	return rate{interval, interval * int64(burst)}
}

// buckets are token buckets of one rate, by client. What is kept of each is
// when it will be full again, which says all (the generic cell rate algorithm
// of ITU-T I.371). A full one need not be kept.
//
// There are never more than maxBuckets. To make room, of a small sample the
// fullest is forgotten: its client gains what was missing in it, at most one
// bucket and less than what the newcomer's address, of which there must be
// many, has in any case; a bucket that somebody empties stays.
type buckets struct {
	full       map[clientID]instant
	untilSweep int // newcomers
}

func newBuckets() *buckets { return &buckets{full: map[clientID]instant{}, untilSweep: fewBuckets} }

// wait returns how long until a client's bucket holds a request, 0 when it
// does.
func (b *buckets) wait(id clientID, r rate, now instant) time.Duration {
	full := max(b.full[id], now)
	return time.Duration(max(0, int64(full-now)+r.interval-r.capacity))
}

// take takes a request from a client's bucket.
func (b *buckets) take(id clientID, r rate, now instant) {
	full, known := b.full[id]
	if !known {
		b.makeRoom(now)
	}
	b.full[id] = max(full, now) + instant(r.interval)
}

// giveBack puts a request back into a client's bucket.
func (b *buckets) giveBack(id clientID, r rate) {
	if full, known := b.full[id]; known {
		b.full[id] = full - instant(r.interval)
	}
}

// makeRoom makes room for one more.
func (b *buckets) makeRoom(now instant) {
	if b.untilSweep--; b.untilSweep <= 0 {
		b.sweep(now)
	}
	if len(b.full) < maxBuckets {
		return
	}
	var fullest clientID
	at, seen := instant(math.MaxInt64), 0
	for id, full := range b.full { // from a random place
		if full < at {
			fullest, at = id, full
		}
		if seen++; seen == sampledBuckets {
			break
		}
	}
	delete(b.full, fullest)
}

// sweep forgets the full ones, when as many newcomers have come as there were
// others. The rest move to a new map: one that many come to and are deleted
// from never stops growing.
func (b *buckets) sweep(now instant) {
	rest := map[clientID]instant{}
	for id, full := range b.full {
		if full > now {
			rest[id] = full
		}
	}
	b.full, b.untilSweep = rest, max(fewBuckets, len(rest))
}
