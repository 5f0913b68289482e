package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
)

// initial balances of the accounts, in sat. The last is soon spent, so that
// refusals for want of balance are part of the load.
var initial = []int64{200_000, 100_000, 50_000, 3_000}

// world is the network with its accounts.
type world struct {
	leyden, dir string
	net         *devnet.Network
	accounts    []*acct

	mu      sync.Mutex
	holding map[[32]byte]struct{} // hold invoices of the seller, not decided yet
}

// acct is an account of the victim's node and a client that has nothing but
// its macaroon.
type acct struct {
	id      string
	sat     int64 // initial balance
	conn    *grpc.ClientConn
	ln      lnrpc.LightningClient
	router  routerrpc.RouterClient
	credits credits
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
	w := &world{leyden: filepath.Join(bin, "leyden"), dir: dir, holding: map[[32]byte]struct{}{}}
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

func (w *world) newAccount(ctx context.Context, n int, sat int64) (*acct, error) {
	file := filepath.Join(w.dir, fmt.Sprintf("account-%d.macaroon", n))
	var made struct {
		Account struct {
			ID string `json:"id"`
		} `json:"account"`
	}
	if err := w.command(ctx, &made, "accounts", "create", fmt.Sprint(sat), "--save_to", file); err != nil {
		return nil, err
	}
	conn, err := w.victim().DialAs(file)
	if err != nil {
		return nil, err
	}
	return &acct{
		id: made.Account.ID, sat: sat, conn: conn,
		ln: lnrpc.NewLightningClient(conn), router: routerrpc.NewRouterClient(conn),
	}, nil
}

// command runs leyden on the victim's home and decodes its JSON, if into is
// not nil.
func (w *world) command(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.leyden, append([]string{"--home", string(w.victim().Home()), "--json"}, args...)...)
	cmd.Env = devnet.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("leyden %q: %w: %s%s", args, err, out.String(), errs.String())
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(out.Bytes(), into)
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
