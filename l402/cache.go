package l402

import (
	"sync"
	"sync/atomic"
)

// cacheShards is how many parts the cache has, each with a lock of its own.
const cacheShards = 16

// cache maps credential ids to verified credentials. It is bounded: a full
// shard forgets the first entry in its ring that has not been asked for since
// the hand last passed it (the clock algorithm).
type cache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.RWMutex
	entries map[CredentialID]*cacheEntry
	ring    []*cacheEntry
	size    int
	hand    int
}

type cacheEntry struct {
	id       CredentialID
	verified Verified
	used     atomic.Bool
}

// newCache makes a cache of the given number of entries, rounded up to a whole
// number for each shard.
func newCache(size int) *cache {
	c := new(cache)
	for i := range c.shards {
		c.shards[i].size = (max(size, 0) + cacheShards - 1) / cacheShards
		c.shards[i].entries = make(map[CredentialID]*cacheEntry)
	}
	return c
}

// shard picks by the last byte: ids are hashes, so any byte is even.
func (c *cache) shard(id CredentialID) *cacheShard {
	return &c.shards[id[len(id)-1]%cacheShards]
}

func (c *cache) get(id CredentialID) (Verified, bool) {
	s := c.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[id]
	if !ok {
		return Verified{}, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.verified, true
}

func (c *cache) put(id CredentialID, v Verified) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[id]; ok || s.size == 0 {
		return
	}
	e := &cacheEntry{id: id, verified: v}
	s.entries[id] = e
	if len(s.ring) < s.size {
		s.ring = append(s.ring, e)
		return
	}
	for s.ring[s.hand].used.Swap(false) {
		s.hand = (s.hand + 1) % s.size
	}
	delete(s.entries, s.ring[s.hand].id)
	s.ring[s.hand] = e
	s.hand = (s.hand + 1) % s.size
}
