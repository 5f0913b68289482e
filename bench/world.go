package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// price of a fetch and of a payment, in sat.
const price = 100

// bodySize is what the seller's service answers, in bytes.
const bodySize = 1 << 10

// world is a private network with a shop on it.
type world struct {
	bin, home string
	net       *devnet.Network
	backend   *http.Server
	gate      *shop.Gate
	gateURL   string
	lnget     *shop.Buyer
	accounts  int // made so far
}

// newWorld starts nodes, service and gate.
func newWorld(ctx context.Context, bin string) (_ *world, err error) {
	home, err := os.MkdirTemp("", "leyden-bench-")
	if err != nil {
		return nil, err
	}
	w := &world{bin: bin, home: home}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	start := time.Now()
	w.net, err = devnet.Start(ctx, devnet.Options{
		Home: config.Home(home), Leyden: filepath.Join(bin, "leyden"), Btcd: filepath.Join(bin, "btcd"),
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("two nodes and a channel: %.1f s\n", time.Since(start).Seconds())
	return w, w.openShop(ctx)
}

// openShop serves bodySize bytes behind a gate on the seller's node.
func (w *world) openShop(ctx context.Context) error {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := []byte(strings.Repeat("x", bodySize))
	w.backend = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(body)
	})}
	go func() { _ = w.backend.Serve(lis) }()

	w.gate, err = shop.OpenGate(ctx, shop.GateOptions{
		Node: w.seller(), Leyden: filepath.Join(w.bin, "leyden"),
		Services: []shop.Service{{Name: "data", PathRegexp: "^/data$", Address: lis.Addr().String(),
			Price: price, Free: []string{"^" + shop.HealthPath + "$"}}},
	})
	if err != nil {
		return err
	}
	w.gateURL = w.gate.URL + "/data"
	w.lnget, err = shop.NewBuyer(ctx, filepath.Join(w.home, "buyer"), filepath.Join(w.bin, "lnget"), w.buyer())
	return err
}

func (w *world) buyer() *devnet.Node { return w.net.Nodes[0] }

func (w *world) seller() *devnet.Node { return w.net.Nodes[1] }

func (w *world) tokens() string { return filepath.Join(w.lnget.Home, ".lnget", "tokens") }

// close ends everything; it is fine on a world half made.
func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if w.gate != nil {
		_ = w.gate.Stop(ctx)
	}
	if w.backend != nil {
		_ = w.backend.Close()
	}
	if w.net != nil {
		_ = w.net.Stop(ctx)
	}
	_ = os.RemoveAll(w.home)
}
