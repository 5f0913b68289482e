package gate

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/leydenln/leyden/l402"
)

// TestBucketsAreTokenBuckets compares them with the textbook's: a level that
// rises with time up to the capacity, from which a request takes its interval.
func TestBucketsAreTokenBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRate(rapid.IntRange(1, 50).Draw(t, "requests"), rapid.IntRange(1, 50).Draw(t, "burst"),
			time.Duration(rapid.Int64Range(1, 1_000_000).Draw(t, "per")))
		b, id := newBuckets(), clientID{1}
		now, level, got := instant(0), r.capacity, int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			pause := rapid.Int64Range(0, 2*r.interval).Draw(t, "pause")
			now += instant(pause)
			level = min(r.capacity, level+pause)
			if got > 0 && rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				b.giveBack(id, r)
				level, got = min(r.capacity, level+r.interval), got-1
				continue
			}
			wait := b.wait(id, r, now)
			if want := max(0, r.interval-level); int64(wait) != want {
				t.Fatalf("wait %d, want %d", wait, want)
			}
			if wait == 0 {
				b.take(id, r, now)
				level, got = level-r.interval, got+1
			}
			if most := (r.capacity + int64(now)) / r.interval; got > most {
				t.Fatalf("%d requests by %d, at most %d", got, now, most)
			}
		}
	})
}

func TestRateBounds(t *testing.T) {
	for _, c := range []struct {
		requests, burst int
		per             time.Duration
	}{{1, 1_000_000, 1 << 62}, {1_000_000, 1, 1}, {1, 1, 1 << 62}} {
		r, b := newRate(c.requests, c.burst, c.per), newBuckets()
		if r.interval <= 0 || r.capacity < r.interval && c.per < 1<<61 {
			t.Errorf("%+v: %+v", c, r)
		}
		for now := range instant(3) {
			if b.wait(clientID{}, r, now) < 0 {
				t.Errorf("%+v: negative wait", c)
			}
			b.take(clientID{}, r, now)
		}
	}
}

func number(n int) (id clientID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// TestBucketsAreBounded: however many clients come, the number of buckets is
// bounded, an empty bucket among them is not what makes room, and the idle are
// forgotten.
func TestBucketsAreBounded(t *testing.T) {
	r, b := newRate(100, 100, time.Hour), newBuckets()
	heavy := clientID{0xff}
	for range 100 {
		b.take(heavy, r, 0)
	}
	for i := range 3 * maxBuckets {
		b.take(number(i), r, 1)
		if len(b.full) > maxBuckets {
			t.Fatalf("%d buckets", len(b.full))
		}
	}
	if b.wait(heavy, r, 1) == 0 {
		t.Error("strangers have filled the bucket of one who had emptied it")
	}
	later := instant(3 * time.Hour)
	for i := range maxBuckets {
		b.take(number(i), r, later)
		later += instant(time.Hour)
	}
	if len(b.full) > 2*fewBuckets {
		t.Errorf("%d buckets, long after a flood", len(b.full))
	}
	quick := newRate(1, 1, time.Second)
	b = newBuckets()
	for i := range 10 * fewBuckets {
		b.take(number(i), quick, instant(i)*instant(time.Second))
	}
	if len(b.full) > 2*fewBuckets {
		t.Errorf("%d buckets of which one is not full", len(b.full))
	}
}

func parse(t testing.TB, text string) *Config {
	t.Helper()
	dir := t.TempDir()
	c, err := Parse(filepath.Join(dir, "gate.yaml"), []byte("authenticator: {tlspath: t, macdir: m}\n"+text), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func from(addr, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = addr
	return r
}

const limitedServices = `
ratelimits: [{requests: 4, per: 1m}]
services:
- {name: a, address: "localhost:1", pathregexp: "^/a", ratelimits: [{pathregexp: "^/a/dear$", requests: 1, per: 1m}, {requests: 3, per: 1m}]}
- {name: b, address: "localhost:1", pathregexp: "^/b"}
`

func TestEveryRuleMustAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := parse(t, limitedServices)
		l := newLimits(c, nil)
		a, b := l.of(c, c.Services[0]), l.of(c, c.Services[1])
		allow := func(s limiter, path string, want time.Duration) grant {
			t.Helper()
			g, wait, ok := s.allowAddress(from("192.0.2.1:1", path))
			if ok != (want == 0) || wait != want {
				t.Fatalf("%s: wait %v, want %v", path, wait, want)
			}
			return g
		}
		allow(a, "/a/dear", 0)
		allow(a, "/a/dear", time.Minute) // takes nothing from the other rules
		allow(a, "/a/dear;x", time.Minute)
		allow(a, "/a;x/dear", time.Minute)
		allow(a, "/a/x", 0)
		last := allow(a, "/a/x", 0)
		allow(a, "/a/x", 20*time.Second)
		last.giveBack()
		allow(a, "/a/x", 0)
		allow(b, "/b", 0) // the fourth for all services
		allow(b, "/b", 15*time.Second)
		if _, _, ok := b.allowAddress(from("192.0.2.2:1", "/b")); !ok {
			t.Error("another address is limited, too")
		}
		var same l402.TokenID // counted by the same bytes as the address
		id := household(from("192.0.2.1:1", "/b"))
		copy(same[:], id[:])
		if _, _, ok := b.allowToken(from("192.0.2.1:1", "/b"), same); !ok {
			t.Error("a token is limited by what an address did")
		}
		time.Sleep(15 * time.Second)
		allow(b, "/b", 0)
	})
}

func TestLimitsOutliveAReload(t *testing.T) {
	c := parse(t, limitedServices)
	l := newLimits(c, nil)
	for range 4 {
		l.of(c, c.Services[1]).allowAddress(from("192.0.2.1:1", "/b"))
	}
	c = parse(t, strings.Replace(limitedServices, "requests: 3,", "requests: 30,", 1))
	l = newLimits(c, l)
	if _, _, ok := l.of(c, c.Services[1]).allowAddress(from("192.0.2.1:1", "/b")); ok {
		t.Error("a reload has filled a bucket")
	}
	c = parse(t, strings.Replace(limitedServices, "requests: 4,", "requests: 5,", 1))
	if _, _, ok := newLimits(c, l).of(c, c.Services[1]).allowAddress(from("192.0.2.1:1", "/b")); !ok {
		t.Error("a new rule begins with what the old one had counted")
	}
}

func TestHouseholds(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"", "@", true},
	} {
		if same := household(from(c.a, "/")) == household(from(c.b, "/")); same != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, same)
		}
	}
}

func TestRateLimited(t *testing.T) {
	b := newBackend(t)
	node := newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(
		"services: [{name: a, pathregexp: '^/.*$', address: %q, ratelimits: [{requests: 2, per: 1h}]}]\n", b.addr()))
	token := buy(t, node, get(t, g, "/x"))
	get(t, g, "/x")
	resp := get(t, g, "/x")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1800" ||
		resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(text(t, resp), `"rate_limited"`) {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if len(node.invoices) != 2 {
		t.Errorf("%d invoices, want 2", len(node.invoices))
	}
	call := get(t, g, "/x", "Content-Type", "application/grpc")
	if call.StatusCode != http.StatusOK || call.Header.Get("Grpc-Status") != "8" || call.Header.Get("Retry-After") != "1800" {
		t.Errorf("a gRPC call: %d %v", call.StatusCode, call.Header)
	}
	for i, want := range []int{200, 200, 429} {
		resp := get(t, g, "/x", token...)
		if resp.StatusCode != want || (resp.Header.Get(l402.HeaderCharged) == l402.ChargedNo) != (want == 429) {
			t.Errorf("paid request %d: %d, %v", i, resp.StatusCode, resp.Header)
		}
	}
}
