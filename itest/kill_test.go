package itest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/node"
)

// TestKilledAfterPaying: lnget is killed (-9) when its node has paid and it
// does not know yet. Run again, it gets what was bought.
func TestKilledAfterPaying(t *testing.T) {
	w := theWorld(t)
	k := w.startKillable(t)
	expect := w.payments(t)
	k.wire.freeze()
	k.resumeSeller()
	await(t, "the payment's success", func() bool { return len(w.inFlight(t)) == 0 })
	expect(1)
	k.kill(t)
	k.wire.thaw()
	gets(t, k.buyer, answer("GET", "/a", ""), "-q", k.url)
	expect(1)
}

// TestKilledWhilePaying: lnget is killed while the payment is in flight. Run
// again, it waits for the end of the first payment.
func TestKilledWhilePaying(t *testing.T) {
	w := theWorld(t)
	k := w.startKillable(t)
	expect := w.payments(t)
	k.kill(t)
	second := k.buyer.Command(t.Context(), "-q", k.url)
	out, err := second.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	k.wire.awaitClient(t, 2)
	k.resumeSeller()
	body, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil || string(body) != answer("GET", "/a", "") {
		t.Fatalf("the second run: %v, %q", err, body)
	}
	expect(1)
}

// killable is an lnget whose payment is in flight and stays so until the
// seller's lnd is resumed.
type killable struct {
	buyer        *shop.Buyer
	url          string
	cmd          *exec.Cmd
	wire         *wire
	resumeSeller func()
}

func (k *killable) kill(t *testing.T) {
	t.Helper()
	if err := k.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Wait(); err == nil {
		t.Fatal("lnget had ended before it was killed")
	}
}

// startKillable starts lnget on a gate, and stops the seller's lnd (SIGSTOP)
// between the challenge and the payment.
func (w *world) startKillable(t *testing.T) *killable {
	t.Helper()
	back := startBackend(t)
	gate := w.gate(t, false, back.services()...)
	running, err := node.Status(w.sellerNode().Home())
	if err != nil {
		t.Fatal(err)
	}
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(running.LndPID, s); err != nil {
			t.Errorf("signal the seller's lnd: %v", err)
		}
	}
	resume := sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	t.Cleanup(resume)
	stop := sync.OnceFunc(func() { signal(syscall.SIGSTOP) })

	k := &killable{buyer: w.buyer(t), wire: startWire(t, w.buyerNode().RPC), resumeSeller: resume,
		url: tapped(t, gate.URL, stop) + "/a"}
	k.buyer.Env = []string{"LNGET_LN_LND_HOST=" + k.wire.addr}
	k.cmd = k.buyer.Command(context.Background(), "-q", k.url)
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.cmd.Process.Kill() })
	await(t, "a payment in flight", func() bool { return len(w.inFlight(t)) == 1 })
	return k
}

// inFlight are the payments of the buyer's node that have not ended.
func (w *world) inFlight(t *testing.T) (list []*lnrpc.Payment) {
	t.Helper()
	r, err := w.buyerNode().Lightning().ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{
		IncludeIncomplete: true, Reversed: true, MaxPayments: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Payments {
		if p.Status == lnrpc.Payment_IN_FLIGHT {
			list = append(list, p)
		}
	}
	return list
}

// tapped is a proxy before the gate that calls onChallenge before it passes a
// 402 on.
func tapped(t *testing.T, gateURL string, onChallenge func()) string {
	t.Helper()
	target, err := url.Parse(gateURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusPaymentRequired {
				onChallenge()
			}
			return nil
		},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// wire is a TCP proxy before a node that can hold back what the node says.
type wire struct {
	addr string

	mu      sync.Mutex
	cond    *sync.Cond
	frozen  bool
	clients int
}

func startWire(t *testing.T, target string) *wire {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String()}
	w.cond = sync.NewCond(&w.mu)
	t.Cleanup(func() { l.Close(); w.thaw() })
	go func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			server, err := net.Dial("tcp4", target)
			if err != nil {
				client.Close()
				continue
			}
			w.mu.Lock()
			w.clients++
			w.mu.Unlock()
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(held{client, w}, server); client.Close() }()
		}
	}()
	return w
}

func (w *wire) freeze() { w.set(true) }
func (w *wire) thaw()   { w.set(false) }

func (w *wire) set(frozen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = frozen
	w.cond.Broadcast()
}

// awaitClient waits until n clients have connected.
func (w *wire) awaitClient(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := devnet.Poll(ctx, func(context.Context) (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.clients >= n, nil
	})
	if err != nil {
		t.Fatalf("only %d of %d clients came", w.clients, n)
	}
}

// held writes while the wire is not frozen.
type held struct {
	net.Conn
	wire *wire
}

func (h held) Write(b []byte) (int, error) {
	h.wire.mu.Lock()
	for h.wire.frozen {
		h.wire.cond.Wait()
	}
	h.wire.mu.Unlock()
	return h.Conn.Write(b)
}
