package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/files"
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
	gateURL   string
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
	if err := w.openShop(ctx); err != nil {
		return nil, err
	}
	return w, w.makeBuyer()
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

	port, err := freePort()
	if err != nil {
		return err
	}
	w.gateURL = fmt.Sprintf("http://127.0.0.1:%d/data", port)
	if err := w.sellerCommand(ctx, "gate", "init", "--insecure", "--port", fmt.Sprint(port),
		"--network", "regtest", "--address", lis.Addr().String(), "--price", fmt.Sprint(price)); err != nil {
		return err
	}
	return w.sellerCommand(ctx, "gate", "start", "--detach")
}

// makeBuyer writes lnget's configuration.
func (w *world) makeBuyer() error {
	b := w.buyer()
	dir := filepath.Join(w.home, ".lnget")
	if err := files.MkdirPrivate(dir); err != nil {
		return err
	}
	return files.Write(filepath.Join(dir, "config.yaml"), fmt.Appendf(nil,
		"ln:\n  mode: lnd\n  lnd:\n    host: %s\n    tls_cert: %s\n    macaroon: %s\n    network: regtest\ntokens:\n  dir: %s\n",
		b.RPC, b.TLSCert, b.AdminMacaroon, w.tokens()), 0o600)
}

func (w *world) buyer() *devnet.Node { return w.net.Nodes[0] }

func (w *world) seller() *devnet.Node { return w.net.Nodes[1] }

func (w *world) tokens() string { return filepath.Join(w.home, ".lnget", "tokens") }

func (w *world) sellerCommand(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "leyden"),
		append([]string{"--home", string(w.seller().Home())}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("leyden %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// lnget makes the command of one fetch by the buyer.
func (w *world) lnget(ctx context.Context, args ...string) *exec.Cmd {
	config := filepath.Join(w.home, ".lnget", "config.yaml")
	return exec.CommandContext(ctx, filepath.Join(w.bin, "lnget"), append([]string{"--config", config}, args...)...)
}

// close ends everything; it is fine on a world half made.
func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if w.gateURL != "" {
		_ = w.sellerCommand(ctx, "gate", "stop")
	}
	if w.backend != nil {
		_ = w.backend.Close()
	}
	if w.net != nil {
		_ = w.net.Stop(ctx)
	}
	_ = os.RemoveAll(w.home)
}

// freePort returns a port that was free just now.
func freePort() (int, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer lis.Close()
	return lis.Addr().(*net.TCPAddr).Port, nil
}
