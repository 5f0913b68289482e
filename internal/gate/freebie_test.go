package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestFreeTier(t *testing.T) {
	status := http.StatusOK
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(headerFreeLeft, "1000") // not for a backend to say
		w.WriteHeader(status)
	}))
	defer backend.Close()
	g := openGate(t, t.TempDir(), newFakeNode(), "trustedproxies: [127.0.0.1]\nservices: [{name: a, pathregexp: '^/.*$', auth: freebie 2, address: "+
		strings.TrimPrefix(backend.URL, "http://")+"}]\n")
	ask := func(from string, want int, left string) {
		t.Helper()
		resp := get(t, g, "/x", "X-Forwarded-For", from)
		if got := resp.Header[headerFreeLeft]; resp.StatusCode != want || strings.Join(got, ",") != left {
			t.Errorf("%d, left %q; want %d, %q", resp.StatusCode, got, want, left)
		}
	}
	ask("192.0.2.1", 200, "1")
	status = http.StatusBadGateway
	ask("192.0.2.1", 502, "1")
	status = http.StatusOK
	ask("192.0.2.1", 200, "0")
	ask("192.0.2.1", 402, "")
	ask("192.0.2.2", 200, "1")
	ask("2001:db8::1", 200, "1")
	ask("2001:db8::2", 200, "0")
	ask("2001:db8::3", 402, "")
	if err := g.Reload(t.Context()); err == nil {
		t.Fatal("there is no file to reload")
	}
	next, err := g.build(g.now.Load().cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.replace(next, g.now.Load())
	ask("192.0.2.1", 402, "")
}

// TestFreeNeverMoreThanEach: whatever is taken and given back, no client has
// more than its share in use, nor has its network.
func TestFreeNeverMoreThanEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		each := rapid.IntRange(1, 3).Draw(t, "each")
		share := freeShare{&freeBook{clients: tally{}, networks: tally{}}, each}
		var held []grant
		of := map[grant]string{}
		used := map[string]int{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(held) > 0 && rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				held[i].giveBack()
				used[of[held[i]]]--
				held = append(held[:i], held[i+1:]...)
				continue
			}
			addr := fmt.Sprintf("192.0.2.%d:1", rapid.IntRange(1, 40).Draw(t, "host"))
			g, ok := share.take(from(addr, "/"))
			if want := used[addr] < each && len(held) < each*freeNetworkShare; ok != want {
				t.Fatalf("%s: %v, want %v", addr, ok, want)
			}
			if ok {
				held, of[g] = append(held, g), addr
				used[addr]++
			}
		}
	})
}

// TestFreeTierIsBounded: when there is no room a newcomer pays, and nobody who
// has used up a share gets it again.
func TestFreeTierIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := freeShare{&freeBook{clients: tally{}, networks: tally{}}, 1}
		first := from("10.0.0.1:1", "/")
		share.take(first)
		granted := 1
		for i := range 2 * maxFreeClients {
			if _, ok := share.take(from(fmt.Sprintf("[2001:%x:%x:%x::1]:1", i>>12, i>>4&0xff, i&15), "/")); ok {
				granted++
			}
		}
		if granted != maxFreeClients || len(share.tier.clients) != maxFreeClients || len(share.tier.networks) > maxFreeClients {
			t.Errorf("%d free requests, %d clients", granted, len(share.tier.clients))
		}
		if _, ok := share.take(first); ok {
			t.Error("a share was used twice")
		}
		time.Sleep(freeMemory + 2*time.Hour)
		if _, ok := share.take(from("198.51.100.1:1", "/")); !ok {
			t.Error("those of yesterday are in the way")
		}
	})
}
