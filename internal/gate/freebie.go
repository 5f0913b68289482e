package gate

import (
	"net/http"
	"sync"
	"time"
)

const (
	// maxFreeClients is how many clients of one free tier are kept in mind:
	// about 5 MB. When there is no room, newcomers pay.
	maxFreeClients = 100_000

	// freeNetworkShare is how many clients' worth of free requests one network
	// (/24, /48) has.
	freeNetworkShare = 16

	// freeMemory is for how long a client that does not come is remembered
	// when another needs the room.
	freeMemory = 24 * time.Hour
)

// freeBook counts the free requests of one service's clients. It is in memory:
// a restart forgets it, a reload does not. Whoever has many addresses gets
// what one network has, and from many networks no more than the room for
// clients has in freeMemory.
type freeBook struct {
	mu       sync.Mutex
	clients  tally
	networks tally
}

// newFreeBooks makes the free tiers of a configuration by their services. last
// are those of the one before.
func newFreeBooks(c *Config, last map[string]*freeBook) map[string]*freeBook {
	tiers := map[string]*freeBook{}
	for _, s := range c.Services {
		if s.Auth.free == 0 {
			continue
		}
		name := string(s.Name)
		tiers[name] = last[name]
		if tiers[name] == nil {
			tiers[name] = &freeBook{clients: tally{}, networks: tally{}}
		}
	}
	return tiers
}

// freeShare is a tier as one configuration has it.
type freeShare struct {
	tier *freeBook
	each int
}

func (f freeShare) take(r *http.Request) (grant, bool) {
	t := f.tier
	free := &freeRequest{t, household(r), neighbourhood(r), visitOf(r.Context())}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	used := t.clients.used(free.client)
	if used >= f.each || t.networks.used(free.network) >= f.each*freeNetworkShare ||
		!t.clients.room(free.client, now) || !t.networks.room(free.network, now) {
		return nil, false
	}
	t.clients.add(free.client, now)
	t.networks.add(free.network, now)
	free.tell(f.each - used - 1)
	return free, true
}

// freeRequest is one free request that was used.
type freeRequest struct {
	tier            *freeBook
	client, network clientID
	visit           *visit // nil outside of the edge
}

func (f *freeRequest) giveBack() {
	f.tier.mu.Lock()
	defer f.tier.mu.Unlock()
	f.tier.clients.takeBack(f.client)
	f.tier.networks.takeBack(f.network)
	if f.visit != nil {
		f.visit.freeLeft++
	}
}

// tell has the answer say how many are left.
func (f *freeRequest) tell(left int) {
	if f.visit != nil {
		f.visit.freeLeft = left
	}
}

// tally counts what each client has used.
type tally map[clientID]tallied

type tallied struct {
	used   uint32
	latest uint32 // Unix time in hours
}

func hours(t time.Time) uint32 { return uint32(t.Unix() / 3600) }

func (t tally) used(id clientID) int { return int(t[id].used) }

// room reports whether a client can be counted; it may forget another for it.
func (t tally) room(id clientID, now time.Time) bool {
	if _, known := t[id]; known || len(t) < maxFreeClients {
		return true
	}
	seen := 0
	for other, c := range t { // from a random place
		if hours(now)-c.latest > uint32(freeMemory/time.Hour) {
			delete(t, other)
			return true
		}
		if seen++; seen == sampledBuckets {
			break
		}
	}
	return false
}

func (t tally) add(id clientID, now time.Time) {
	t[id] = tallied{t[id].used + 1, hours(now)}
}

func (t tally) takeBack(id clientID) {
	c, known := t[id]
	switch {
	case !known:
	case c.used <= 1:
		delete(t, id)
	default:
		t[id] = tallied{c.used - 1, c.latest}
	}
}
