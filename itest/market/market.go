// Package market is three real nodes on a private network, of which one has
// accounts that pay, are paid, retry, and pay each other, with held invoices and
// the operator's credits among it all; and the proof that every millisatoshi is
// where it must be, once it is quiet. What goes wrong meanwhile is up to the
// caller: calls may fail, the books may not. Torture and faults run on it.
package market

import (
	"context"
	"errors"
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

// NodeName is the node with the accounts.
var NodeName = devnet.NodeName(1)

// initial balances of the accounts, in sat. The last is soon spent, so that
// refusals for want of balance are part of the load.
var initial = []btcutil.Amount{200_000, 100_000, 50_000, 3_000}

// Market is the network with its accounts.
type Market struct {
	Network *devnet.Network

	// Dir holds everything, logs too.
	Dir string

	leyden   string
	accounts []*account
	outcome  outcome
	relinked int
	released map[string]bool // hashes of payments that were given up

	mu      sync.Mutex
	holding map[[32]byte]struct{} // hold invoices of the seller, not decided yet
}

// account is an account of the node and a client that has nothing but its
// macaroon.
type account struct {
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

// Open starts the network, with the programs in the folder bin; of the options,
// home, size and programs are chosen here. The caller closes the market.
func Open(ctx context.Context, bin string, o devnet.Options) (_ *Market, err error) {
	dir, err := os.MkdirTemp("", "leyden-market-")
	if err != nil {
		return nil, err
	}
	m := &Market{
		Dir: dir, leyden: filepath.Join(bin, "leyden"),
		released: map[string]bool{}, holding: map[[32]byte]struct{}{},
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("logs in %s: %w", dir, err)
			m.Close(true)
		}
	}()
	o.Home, o.Nodes, o.Leyden, o.Btcd = config.Home(dir), 3, m.leyden, filepath.Join(bin, "btcd")
	if m.Network, err = devnet.Start(ctx, o); err != nil {
		return nil, err
	}
	for i, sat := range initial {
		a, err := m.newAccount(ctx, i, sat)
		if err != nil {
			return nil, err
		}
		m.accounts = append(m.accounts, a)
	}
	return m, nil
}

// Node has the accounts; its payments reach the seller through the middle.
func (m *Market) Node() *devnet.Node { return m.Network.Nodes[1] }

// Middle forwards, and pays the accounts' invoices.
func (m *Market) Middle() *devnet.Node { return m.Network.Nodes[0] }

// Seller makes the invoices that the accounts pay.
func (m *Market) Seller() *devnet.Node { return m.Network.Nodes[2] }

func (m *Market) sellerInvoices() invoicesrpc.InvoicesClient {
	return invoicesrpc.NewInvoicesClient(m.Seller().Conn())
}

func (m *Market) newAccount(ctx context.Context, n int, sat btcutil.Amount) (*account, error) {
	file := filepath.Join(m.Dir, fmt.Sprintf("account-%d.macaroon", n))
	made, err := shop.NewAccount(ctx, m.leyden, m.Node(), sat, file)
	if err != nil {
		return nil, err
	}
	conn, err := m.Node().DialAs(made.Macaroon)
	if err != nil {
		return nil, err
	}
	return &account{
		id: made.ID, sat: int64(sat), conn: conn,
		ln: lnrpc.NewLightningClient(conn), router: routerrpc.NewRouterClient(conn),
		invoices: invoicesrpc.NewInvoicesClient(conn),
	}, nil
}

// Serves asks once, within five seconds, whether the node serves an account and
// its channel is active; the error says why not.
func (m *Market) Serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := m.accounts[0].ln.GetInfo(ctx, &lnrpc.GetInfoRequest{}); err != nil {
		return err
	}
	info, err := m.Node().Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err == nil && info.NumActiveChannels == 0 {
		return ErrInactive
	}
	return err
}

// ErrInactive means that the node answers, and its channel is not active.
var ErrInactive = errors.New("its channel is not active")

// Reconnect has the middle connect to the node, for which by itself its lnd waits
// longer from one break to the next. That it cannot, or is connected already, will
// show.
func (m *Market) Reconnect(ctx context.Context) {
	to := &lnrpc.LightningAddress{Pubkey: m.Node().Pubkey, Host: m.Node().P2P}
	_, _ = m.Middle().Lightning().ConnectPeer(ctx, &lnrpc.ConnectPeerRequest{Addr: to})
	_ = pause(ctx, 500*time.Millisecond)
}

// command runs leyden on the node's home and decodes its JSON, if into is not
// nil.
func (m *Market) command(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return shop.Operate(ctx, m.leyden, m.Node(), into, args...)
}

// Close ends everything, and keeps the folder if told to; it is fine on a market
// half made.
func (m *Market) Close(keep bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, a := range m.accounts {
		_ = a.conn.Close()
	}
	if m.Network != nil {
		_ = m.Network.Stop(ctx)
	}
	if !keep {
		_ = os.RemoveAll(m.Dir)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
