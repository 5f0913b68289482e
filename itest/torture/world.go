package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// initial balances of the accounts, in sat. The last is soon spent, so that
// refusals for want of balance are part of the load.
var initial = []btcutil.Amount{200_000, 100_000, 50_000, 3_000}

// world is the network with its accounts.
type world struct {
	leyden, dir string
	net         *devnet.Network
	accounts    []*acct

	released map[string]bool // hashes of payments that were given up

	mu      sync.Mutex
	holding map[[32]byte]struct{} // hold invoices of the seller, not decided yet
}

// acct is an account of the victim's node and a client that has nothing but
// its macaroon.
type acct struct {
	id       string
	sat      int64 // initial balance
	conn     *grpc.ClientConn
	ln       lnrpc.LightningClient
	router   routerrpc.RouterClient
	invoices invoicesrpc.InvoicesClient
	credits  credits
}

// credits counts the operator's credits: those that were asked for and those
// that were confirmed.
type credits struct {
	mu               sync.Mutex
	asked, confirmed int64
}

func newWorld(ctx context.Context, bin string) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "leyden-torture-")
	if err != nil {
		return nil, err
	}
	w := &world{
		leyden: filepath.Join(bin, "leyden"), dir: dir,
		released: map[string]bool{}, holding: map[[32]byte]struct{}{},
	}
	defer func() {
		if err != nil {
			w.close(true)
		}
	}()
	w.net, err = devnet.Start(ctx, devnet.Options{
		Home: config.Home(dir), Nodes: 3, Leyden: w.leyden, Btcd: filepath.Join(bin, "btcd"),
	})
	if err != nil {
		return nil, err
	}
	for i, sat := range initial {
		a, err := w.newAccount(ctx, i, sat)
		if err != nil {
			return nil, err
		}
		w.accounts = append(w.accounts, a)
	}
	return w, nil
}

// victim is the node that is killed; its payments reach the seller through
// the middle.
func (w *world) victim() *devnet.Node { return w.net.Nodes[1] }
func (w *world) middle() *devnet.Node { return w.net.Nodes[0] }
func (w *world) seller() *devnet.Node { return w.net.Nodes[2] }

func (w *world) sellerInvoices() invoicesrpc.InvoicesClient {
	return invoicesrpc.NewInvoicesClient(w.seller().Conn())
}

func (w *world) newAccount(ctx context.Context, n int, sat btcutil.Amount) (*acct, error) {
	file := filepath.Join(w.dir, fmt.Sprintf("account-%d.macaroon", n))
	made, err := shop.NewAccount(ctx, w.leyden, w.victim(), sat, file)
	if err != nil {
		return nil, err
	}
	conn, err := w.victim().DialAs(made.Macaroon)
	if err != nil {
		return nil, err
	}
	return &acct{
		id: made.ID, sat: int64(sat), conn: conn,
		ln: lnrpc.NewLightningClient(conn), router: routerrpc.NewRouterClient(conn),
		invoices: invoicesrpc.NewInvoicesClient(conn),
	}, nil
}

// command runs leyden on the victim's home and decodes its JSON, if into is
// not nil.
func (w *world) command(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return shop.Operate(ctx, w.leyden, w.victim(), into, args...)
}

// close ends everything; it is fine on a world half made.
func (w *world) close(keep bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, a := range w.accounts {
		_ = a.conn.Close()
	}
	if w.net != nil {
		_ = w.net.Stop(ctx)
	}
	if !keep {
		_ = os.RemoveAll(w.dir)
	}
}
