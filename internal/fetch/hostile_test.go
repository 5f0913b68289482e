package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402/l402http"
)

// newClient is a client on regtest that pays from a ledger of its own.
func newClient(t *testing.T, change func(*Config)) (*Client, *fetchtest.Wallet) {
	t.Helper()
	cfg := Default()
	cfg.Tokens.Dir, cfg.LN.LND.Network = filepath.Join(t.TempDir(), "tokens"), "regtest"
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &fetchtest.Wallet{Ledger: fetchtest.Ledger(t.TempDir())}
	c.transport.Wallet = w
	return c, w
}

// TestServerThatStopsReading: a body that the server does not take is given up.
func TestServerThatStopsReading(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // held, never read
		}
	}()
	c, _ := newClient(t, func(c *Config) { c.HTTP.Timeout = 50 * time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = c.Do(ctx, Request{URL: "http://" + lis.Addr().String(), Body: make([]byte, 64<<20), Out: io.Discard})
	if fault.Code(err) != CodeNetwork || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

// TestBodyThatIsTakenSlowly: what moves is not given up, and the answer may
// come before the body has gone.
func TestBodyThatIsTakenSlowly(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 4<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			fmt.Fprint(w, "no need")
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	defer server.Close()
	c, _ := newClient(t, nil)
	for path, want := range map[string]string{"/": fmt.Sprint(len(body)), "/early": "no need"} {
		var out bytes.Buffer
		if _, err := c.Do(t.Context(), Request{URL: server.URL + path, Body: body, Out: &out}); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", path, out.String(), err)
		}
	}
}

// TestRedirectThatNeverEnds follows a redirect whose body stays open.
func TestRedirectThatNeverEnds(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			fmt.Fprint(w, "there")
			return
		}
		w.Header().Set("Location", "/there")
		w.WriteHeader(http.StatusFound)
		_ = http.NewResponseController(w).Flush()
		<-done
	}))
	defer server.Close()
	defer close(done)
	c, _ := newClient(t, nil)
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.Do(ctx, Request{URL: server.URL, Follow: true, Out: &out}); err != nil || out.String() != "there" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// TestLimitOverRedirects: what was bought counts, and what may have been; what
// was not does not.
func TestLimitOverRedirects(t *testing.T) {
	c, _ := newClient(t, func(c *Config) { c.L402.MaxCostSats = 250 })
	purchase := &l402http.Purchase{Amount: 100_000}
	offer := l402http.Offer{Amount: 100_000, URL: "http://shop.example/"}
	for i, step := range []struct {
		err  error
		code string
	}{
		{l402http.ErrNothingSent, ""}, {nil, ""}, {l402http.ErrNothingSent, ""}, {errors.New("unknown"), ""},
		{nil, l402http.CodeOverMaxCost},
	} {
		if err := c.approve(t.Context(), offer); err != nil && fault.Code(err) != step.code || err == nil && step.code != "" {
			t.Fatalf("%d: %v, want %q", i, err, step.code)
		}
		c.trace(l402http.Event{Step: "payment", Purchase: purchase, Err: step.err})
	}
}

// TestOutputKeepsWhatItReplaces: a link stays a link, a private file private,
// and a device what it is.
func TestOutputKeepsWhatItReplaces(t *testing.T) {
	write := func(t *testing.T, path string) {
		t.Helper()
		o, err := openOutput(path, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if err := o.keep(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old and longer"), 0o600), os.Symlink("file", link)); err != nil {
		t.Fatal(err)
	}
	write(t, link)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	info, err := os.Stat(file)
	if text, _ := os.ReadFile(file); err != nil || string(text) != "new" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q of mode %v, %v", text, info.Mode(), err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, fmt.Sprintf("/dev/fd/%d", w.Fd()))
	w.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d files left, %v", len(entries), err)
	}
}

// TestOutputThatCannotBeNamed: what came, and may have been paid for, stays.
func TestOutputThatCannotBeNamed(t *testing.T) {
	for _, source := range []string{"", "http://a/"} {
		path := filepath.Join(t.TempDir(), "file")
		o, err := openOutput(path, nil, source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Write([]byte("bought")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		err = o.keep()
		o.discard()
		where := strings.TrimPrefix(fault.Hint(err), "all of it is in ")
		if text, readErr := os.ReadFile(where); fault.Code(err) != CodeOutput || string(text) != "bought" {
			t.Errorf("%v, hint %q: %q, %v", err, fault.Hint(err), text, readErr)
		}
	}
}

// TestPartIsLockedUntilItIsNamed: nobody else gets hold of a part that is whole.
func TestPartIsLockedUntilItIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for range 100 {
		first, err := openOutput(path, nil, "http://a/")
		if err != nil {
			t.Fatal(err)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				second, err := openOutput(path, nil, "http://a/")
				if err != nil {
					continue
				}
				if named, err := os.Stat(path); err == nil {
					if info, _ := second.file.Stat(); os.SameFile(info, named) {
						t.Error("two write the file")
					}
				}
				second.discard()
			}
		}()
		if _, err := first.Write([]byte("whole")); err != nil {
			t.Error(err)
		}
		if err := first.keep(); err != nil {
			t.Error(err)
		}
		close(stop)
		<-done
	}
}

// TestHintWithoutTracking: to try again is no use where the macaroon is too weak.
func TestHintWithoutTracking(t *testing.T) {
	node, _, _, _ := newNode(t)
	shop := newShop(t)
	c, _ := newClient(t, nil)
	c.transport.Wallet = untracked{newWallet(LNDConfig{Host: node.Addr, TLSCert: filepath.Join(node.Dir, "tls.cert"),
		Macaroon: filepath.Join(node.Dir, "data/chain/bitcoin/regtest/zz-pay.macaroon")})}
	_, err := c.Do(t.Context(), Request{URL: shop.url, Out: io.Discard})
	if fault.Code(err) != l402http.CodePaymentUnresolved || !strings.Contains(fault.Hint(err), "macaroon") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

// untracked is a wallet whose outcome its macaroon may not ask for.
type untracked struct{ *wallet }

func (untracked) Pay(context.Context, l402http.Payment) (l402http.Receipt, error) {
	return l402http.Receipt{}, fault.New(lightning.CodePermissionDenied, "use a macaroon that allows this call", "TrackPaymentV2: permission denied")
}

// TestOwnAuthorizationIsNeverPaidFor, not even where a redirect leads.
func TestOwnAuthorizationIsNeverPaidFor(t *testing.T) {
	shop := newShop(t)
	server := httptest.NewServer(http.RedirectHandler(shop.url, http.StatusFound))
	defer server.Close()
	c, w := newClient(t, nil)
	w.Ledger = shop.Ledger
	for name, r := range map[string]Request{
		"header": {URL: server.URL, Header: http.Header{"Authorization": {"Bearer x"}}},
		"user":   {URL: strings.Replace(server.URL, "://", "://u:p@", 1)},
	} {
		r.Follow, r.Out = true, io.Discard
		_, err := c.Do(t.Context(), r)
		if fault.Code(err) != CodePaymentRequired || shop.Ledger.Payments() != 0 {
			t.Errorf("%s: %v, %d payments", name, err, shop.Ledger.Payments())
		}
	}
	for _, seen := range shop.Requests() {
		if seen.Authorization != "" {
			t.Errorf("the other origin saw %q", seen.Authorization)
		}
	}
	if _, err := c.Do(t.Context(), Request{URL: server.URL, Follow: true, Out: io.Discard}); err != nil || shop.Ledger.Payments() != 1 {
		t.Errorf("without: %v, %d payments", err, shop.Ledger.Payments())
	}
}
