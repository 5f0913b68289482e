package fetch

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

// These make the test binary a buyer: it fetches childURL, and kills itself
// as kill -9 does when it comes to the step of childStep.
const (
	childURL  = "FETCH_TEST_URL"
	childHome = "FETCH_TEST_HOME"
	childStep = "FETCH_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := buyInChild(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func buyInChild(url string) error {
	kill := func(step string) {
		if os.Getenv(childStep) == step {
			fetchtest.KillSelf()
		}
	}
	home := os.Getenv(childHome)
	cfg := Default()
	cfg.Tokens.Dir, cfg.LN.LND.Network = filepath.Join(home, "tokens"), "regtest"
	c, err := New(cfg)
	if err != nil {
		return err
	}
	c.transport.Store = &killedStore{c.store, kill}
	c.transport.Wallet = &fetchtest.Wallet{
		Ledger: fetchtest.Ledger(filepath.Join(home, "ledger")),
		Before: func(context.Context) error { kill("before paying"); return nil },
		After:  func(context.Context) error { kill("after paying"); return nil },
	}
	_, err = c.Do(context.Background(), Request{URL: url, Out: os.Stdout})
	return err
}

// killedStore dies before or after what it does.
type killedStore struct {
	l402http.Store
	kill func(string)
}

func (s *killedStore) Save(p l402http.Purchase) error {
	s.kill("before " + string(p.State))
	err := s.Store.Save(p)
	s.kill("after " + string(p.State))
	return err
}

func (s *killedStore) MarkUsed(p l402http.Purchase) error {
	s.kill("before used")
	return s.Store.MarkUsed(p)
}

// shop is a seller, and a home for buyers.
type shop struct {
	*fetchtest.Seller
	url, home string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{home: t.TempDir()}
	ledger := filepath.Join(s.home, "ledger")
	if err := os.Mkdir(ledger, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Seller = fetchtest.NewSeller(fetchtest.Ledger(ledger))
	server := httptest.NewServer(s.Seller)
	t.Cleanup(server.Close)
	s.url = server.URL + "/news"
	return s
}

// buyer is a child that has not started; it kills itself at the step.
func (s *shop) buyer(t *testing.T, step string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childURL+"="+s.url, childHome+"="+s.home, childStep+"="+step)
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, errs
	return cmd, out, errs
}

func (s *shop) mustBuy(t *testing.T) {
	t.Helper()
	cmd, out, errs := s.buyer(t, "")
	if err := cmd.Run(); err != nil || out.String() != "goods of /news\n" {
		t.Fatalf("%v: %q %s", err, out, errs)
	}
}

// TestKilledAnywhere: whatever the step, the next run gets the goods, and one
// payment was made in all.
func TestKilledAnywhere(t *testing.T) {
	for _, step := range []string{"before pending", "after pending", "before paying", "after paying",
		"before paid", "after paid", "before used"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			cmd, out, _ := s.buyer(t, step)
			if err := cmd.Run(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("not killed: %v %q", err, out)
			}
			s.mustBuy(t)
			s.mustBuy(t)
			if n := s.Ledger.Payments(); n != 1 {
				t.Errorf("%d payments, want 1", n)
			}
		})
	}
}

// TestKilledAgainAndAgain kills one buyer after the other, at every step, with
// one purchase between them.
func TestKilledAgainAndAgain(t *testing.T) {
	s := newShop(t)
	for _, step := range []string{"after pending", "before paying", "before paying", "after paying", "before paid",
		"before paid", "after paid", "before used"} {
		cmd, _, _ := s.buyer(t, step)
		_ = cmd.Run()
	}
	s.mustBuy(t)
	if n := s.Ledger.Payments(); n != 1 {
		t.Errorf("%d payments, want 1", n)
	}
}

// TestKilledAtAnyTime kills buyers from outside, wherever they are.
func TestKilledAtAnyTime(t *testing.T) {
	s := newShop(t)
	for i := range 20 {
		cmd, _, _ := s.buyer(t, "")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(i+5)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
	}
	s.mustBuy(t)
	if n := s.Ledger.Payments(); n != 1 {
		t.Errorf("%d payments, want 1", n)
	}
}

func TestManyProcessesBuyOnce(t *testing.T) {
	s := newShop(t)
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
	if n := s.Ledger.Payments(); n != 1 {
		t.Errorf("%d payments, want 1", n)
	}
}
