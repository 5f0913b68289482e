package fetch

import (
	"strings"
	"testing"

	"github.com/leydenln/leyden/l402/l402http"
)

// TestWaitingIsSaid: a run that waits for another, which may be stopped for good,
// is not silent.
func TestWaitingIsSaid(t *testing.T) {
	const at = l402http.Origin("http://shop.example:80")
	c, _ := newClient(t, nil)
	c.store.patience = 0
	unlock, err := c.store.Lock(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	c.begin(new(Result), func(text string) { said <- text })
	got := make(chan error)
	go func() {
		unlock, err := c.store.Lock(t.Context(), at)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	if text := <-said; !strings.Contains(text, "another lnget buys from "+string(at)) {
		t.Error(text)
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
