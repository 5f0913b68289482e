package itest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/testbin"
)

// world is the network that all tests of this package share. Tests run one
// after another and leave it as they found it: both nodes up.
type world struct {
	*devnet.Network
	bin string // folder of the programs
	dir string
}

var shared struct {
	once sync.Once
	w    *world
	err  error
}

// TestMain ends the network that the tests left; it is started by the first
// test that needs it.
func TestMain(m *testing.M) {
	status := m.Run()
	if w := shared.w; w != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "stop the network:", err)
			status = 1
		}
		if status == 0 {
			_ = os.RemoveAll(w.dir) // what stays is in a folder for temporary files
		} else {
			fmt.Fprintln(os.Stderr, "the network's logs are in", w.dir)
		}
	}
	os.Exit(status)
}

// theWorld returns the network, starting it if no test has yet.
func theWorld(t *testing.T) *world {
	t.Helper()
	bin := testbin.Dir(t)
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "leyden-itest-")
		if err != nil {
			shared.err = err
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		begin := time.Now()
		n, err := devnet.Start(ctx, devnet.Options{
			Home: config.Home(dir), Leyden: filepath.Join(bin, "leyden"), Btcd: filepath.Join(bin, "btcd"),
			Progress: func(step string, took time.Duration) {
				t.Logf("%6.1f s  %s (%.1f s)", time.Since(begin).Seconds(), step, took.Seconds())
			},
		})
		if err != nil {
			shared.err = fmt.Errorf("%w (logs in %s)", err, dir)
			return
		}
		shared.w = &world{Network: n, bin: bin, dir: dir}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.w
}

func (w *world) buyerNode() *devnet.Node  { return w.Nodes[0] }
func (w *world) sellerNode() *devnet.Node { return w.Nodes[1] }

func (w *world) program(name string) string { return filepath.Join(w.bin, name) }

// buyer returns an lnget with a fresh home.
func (w *world) buyer(t *testing.T) *shop.Buyer {
	t.Helper()
	b, err := shop.NewBuyer(t.Context(), t.TempDir(), w.program("lnget"), w.buyerNode())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// gate opens a gate with a fresh home, which ends with the test.
func (w *world) gate(t *testing.T, tls bool, services ...shop.Service) *shop.Gate {
	t.Helper()
	return w.gateWith(t, shop.GateOptions{TLS: tls, Services: services})
}

// gateWith is gate with more options.
func (w *world) gateWith(t *testing.T, o shop.GateOptions) *shop.Gate {
	t.Helper()
	o.Node, o.Home, o.Leyden = w.sellerNode(), config.Home(t.TempDir()), w.program("leyden")
	g, err := shop.OpenGate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the gate's log:\n%s", g.Log())
		}
	})
	return g
}

// payments returns how many payments the buyer's node has made; call the
// returned function to insist on how many more there are since.
func (w *world) payments(t *testing.T) (expect func(more int)) {
	t.Helper()
	count := func() int {
		n, _, err := shop.Payments(t.Context(), w.buyerNode())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	return func(more int) {
		t.Helper()
		if got := count() - before; got != more {
			t.Fatalf("the buyer's node has made %d payments, want %d", got, more)
		}
	}
}

// stopNode stops the node; the returned function starts it again and waits
// for its channel, as the end of the test does at the latest.
func (w *world) stopNode(t *testing.T, n *devnet.Node) (startAgain func()) {
	t.Helper()
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := sync.OnceFunc(func() {
		if err := n.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.AwaitChannels(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(start)
	return start
}

// await polls cond, for what can only be asked for.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := devnet.Poll(ctx, func(context.Context) (bool, error) { return cond(), nil })
	if err != nil {
		t.Fatalf("waited in vain for %s", what)
	}
}
