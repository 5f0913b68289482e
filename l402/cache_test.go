package l402

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
)

// cacheID makes the i-th id of one shard.
func cacheID(i int) (id CredentialID) {
	binary.BigEndian.PutUint64(id[:], uint64(i))
	return id
}

func TestCacheForgetsWhatIsNotUsed(t *testing.T) {
	c := newCache(4 * cacheShards)
	for i := range 4 {
		c.put(cacheID(i), Verified{})
	}
	if _, ok := c.get(cacheID(0)); !ok {
		t.Fatal("forgot before it was full")
	}
	for i := 4; i < 7; i++ {
		c.put(cacheID(i), Verified{})
	}
	if _, ok := c.get(cacheID(0)); !ok {
		t.Error("forgot the entry that is in use")
	}
	for i := 1; i < 4; i++ {
		if _, ok := c.get(cacheID(i)); ok {
			t.Errorf("remembers entry %d beyond its size", i)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	const size = 10 * cacheShards
	c := newCache(size)
	for i := range 50 * size {
		id := cacheID(i)
		id[len(id)-1] = byte(i)
		c.put(id, Verified{})
		c.put(id, Verified{})
		if i%3 == 0 {
			c.get(id)
		}
	}
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		n += len(s.entries)
		if len(s.entries) != len(s.ring) {
			t.Errorf("shard %d: %d entries, %d in the ring", i, len(s.entries), len(s.ring))
		}
		for _, e := range s.ring {
			if s.entries[e.id] != e {
				t.Errorf("shard %d: the ring has an entry that the map has not", i)
			}
		}
	}
	if n != size {
		t.Errorf("%d entries, want %d", n, size)
	}
	none := newCache(0)
	none.put(cacheID(1), Verified{})
	if _, ok := none.get(cacheID(1)); ok {
		t.Error("a cache of no size remembers")
	}
}

// TestVerifierInParallel lets several goroutines push each other's entries out
// of a small memory; the race detector watches.
func TestVerifierInParallel(t *testing.T) {
	ring := newKeyring(t)
	verifier := NewVerifier(ring, cacheShards)
	credentials := make([]Credential, 64)
	for i := range credentials {
		credentials[i] = buy(t, ring)
	}
	bad := credentials[0]
	bad.Preimage[0] ^= 1
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				c := credentials[(i*7+worker)%len(credentials)]
				v, err := verifier.Verify(c)
				if err != nil || v.Identifier().PaymentHash != c.Preimage.Hash() {
					t.Errorf("verified another token (%v)", err)
				}
				if _, err := verifier.Verify(bad); ReasonOf(err) != ReasonWrongPreimage {
					t.Errorf("wrong preimage: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestMemory measures 100,000 remembered credentials.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("verifies 100,000 tokens")
	}
	const tokens, limit = 100_000, 100 << 20
	ring := newKeyring(t)
	verifier := NewVerifier(ring, tokens)
	before := heap()
	for range tokens {
		if _, err := verifier.Verify(buy(t, ring, Caveat{Key: "weather_valid_until", Value: "1900000000"})); err != nil {
			t.Fatal(err)
		}
	}
	used := heap() - before
	t.Logf("%d bytes, %d for each token", used, used/tokens)
	if used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	runtime.KeepAlive(verifier)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
