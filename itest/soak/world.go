package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// price of a token, in sat.
const price = 3

// world is the network with its shop.
type world struct {
	dir, lnget string
	net        *devnet.Network
	back       *backend
	gate       *shop.Gate
	gatePid    atomic.Int64
	metrics    string // address of the gate's figures

	// What was away, and when.
	gateAway, backAway, nodeAway outages

	mu     sync.Mutex
	tokens []string // values of the Authorization header
}

func newWorld(ctx context.Context, bin string) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "leyden-soak-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, lnget: filepath.Join(bin, "lnget")}
	defer func() {
		if err != nil {
			w.close(true)
		}
	}()
	leyden := filepath.Join(bin, "leyden")
	w.net, err = devnet.Start(ctx, devnet.Options{
		Home: config.Home(dir), Leyden: leyden, Btcd: filepath.Join(bin, "btcd"),
	})
	if err != nil {
		return nil, err
	}
	if w.back, err = newBackend(); err != nil {
		return nil, err
	}
	if w.metrics, err = port.Reserve(); err != nil {
		return nil, err
	}
	w.gate, err = shop.OpenGate(ctx, shop.GateOptions{
		Node: w.seller(), Home: config.Home(filepath.Join(dir, "shop")), Leyden: leyden,
		Payment: true, Metrics: w.metrics,
		Services: []shop.Service{{Name: "goods", PathRegexp: "^/", Address: w.back.addr, Price: price,
			Free: []string{"^" + shop.HealthPath + "$"}}},
	})
	if err != nil {
		return nil, err
	}
	w.gatePid.Store(int64(w.gate.Pid()))
	return w, nil
}

func (w *world) buyer() *devnet.Node  { return w.net.Nodes[0] }
func (w *world) seller() *devnet.Node { return w.net.Nodes[1] }

func (w *world) addToken(authorization string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens = append(w.tokens, authorization)
}

// held are the tokens bought so far; the slice only grows.
func (w *world) held() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tokens
}

// close ends everything; it is fine on a world half made.
func (w *world) close(keep bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if w.gate != nil {
		_ = w.gate.Stop(ctx)
	}
	if w.back != nil {
		w.back.stop()
	}
	if w.net != nil {
		_ = w.net.Stop(ctx)
	}
	if !keep {
		_ = os.RemoveAll(w.dir)
	}
}
