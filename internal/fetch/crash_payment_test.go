package fetch

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
)

// newTillShop is a shop that charges for each request by the Payment scheme.
func newTillShop(t *testing.T) (*fetchtest.Till, *shop) {
	t.Helper()
	s := &shop{home: t.TempDir()}
	ledger := filepath.Join(s.home, "ledger")
	if err := os.Mkdir(ledger, 0o700); err != nil {
		t.Fatal(err)
	}
	till := fetchtest.NewTill(fetchtest.Ledger(ledger))
	server := httptest.NewServer(till)
	t.Cleanup(server.Close)
	s.url = server.URL + "/news"
	return till, s
}

// TestPayerKilledAnywhere: whatever the step before the seller has delivered,
// the next run gets the goods, and one payment was made for them.
func TestPayerKilledAnywhere(t *testing.T) {
	for _, step := range []string{"before pending", "after pending", "before paying", "after paying", "before paid", "after paid"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			till, s := newTillShop(t)
			cmd, out, _ := s.buyer(t, step)
			if err := cmd.Run(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("not killed: %v %q", err, out)
			}
			s.mustBuy(t)
			if n := till.Ledger.Payments(); n != 1 {
				t.Errorf("%d payments, want 1", n)
			}
			s.mustBuy(t)
			if n := till.Ledger.Payments(); n != 2 {
				t.Errorf("%d payments for two deliveries", n)
			}
		})
	}
}

// TestPayerKilledWhileDelivered: a buyer that does not know that the seller has
// delivered is told so, and does not pay again by itself.
func TestPayerKilledWhileDelivered(t *testing.T) {
	till, s := newTillShop(t)
	cmd, out, _ := s.buyer(t, "before spent")
	if err := cmd.Run(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("not killed: %v %q", err, out)
	}
	for range 2 {
		cmd, _, errs := s.buyer(t, "")
		if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), "refuses the token") {
			t.Errorf("%v: %s", err, errs)
		}
	}
	if n := till.Ledger.Payments(); n != 1 {
		t.Errorf("%d payments, want 1", n)
	}
}

// TestPayerKilledAtAnyTime kills buyers from outside, wherever they are: at no
// time is more than one payment made that was not delivered for.
func TestPayerKilledAtAnyTime(t *testing.T) {
	till, s := newTillShop(t)
	for i := range 20 {
		cmd, _, _ := s.buyer(t, "")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(i+5)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if paid, used := till.Ledger.Payments(), till.Used(); paid > used+1 {
			t.Fatalf("%d payments for %d deliveries", paid, used)
		}
	}
}

func TestManyProcessesPayEachForItself(t *testing.T) {
	till, s := newTillShop(t)
	var wg sync.WaitGroup
	for range 6 {
		cmd, out, errs := s.buyer(t, "")
		wg.Go(func() {
			if err := cmd.Run(); err != nil || !strings.HasPrefix(out.String(), "goods") {
				t.Errorf("%v: %q %s", err, out, errs)
			}
		})
	}
	wg.Wait()
	if n := till.Ledger.Payments(); n != 6 {
		t.Errorf("%d payments, want 6", n)
	}
}
