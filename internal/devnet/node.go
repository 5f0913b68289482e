package devnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// pollEvery is the pause between two looks at a node that gets ready.
const pollEvery = 25 * time.Millisecond

// Time that a node's life may take.
const (
	startTime = 2 * time.Minute
	stopTime  = 90 * time.Second
)

// Node is a node of a network: a `leyden node start` of ours.
type Node struct {
	NodeInfo
	leyden string
	home   config.Home

	mu      sync.Mutex // guards what follows
	process *owned.Process
	conn    *grpc.ClientConn
}

// Home is the node's own Leyden home, for --home.
func (n *Node) Home() config.Home { return n.home }

// Conn is a connection to the node's front with the admin macaroon, valid
// after the first Start; it reconnects when the node comes back.
func (n *Node) Conn() *grpc.ClientConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn
}

// Lightning is lnd's main service on Conn.
func (n *Node) Lightning() lnrpc.LightningClient { return lnrpc.NewLightningClient(n.Conn()) }

// Running says whether the node's process lives.
func (n *Node) Running() bool {
	p := n.owned()
	return p != nil && p.Running()
}

func (n *Node) owned() *owned.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Start runs the node and waits until it is active and synced to the chain.
// One left behind by a killed network is awaited first. Code: node_failed.
func (n *Node) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := Poll(ctx, func(context.Context) (bool, error) {
		_, running := daemon.Running(nodePidFile(n.home))
		return !running, nil
	})
	if err != nil {
		return n.failed("is already running", err)
	}
	p, err := n.run("node", "start")
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	if err := n.awaitActive(ctx, p); err != nil {
		return n.failed("start", err)
	}
	return nil
}

// Stop ends the node in order; a node that does not run is no error.
func (n *Node) Stop(ctx context.Context) error {
	p := n.owned()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return p.Stop(ctx)
}

// Kill ends the node's process with SIGKILL; lnd ends in order after it.
func (n *Node) Kill() error { return n.owned().Kill() }

func (n *Node) hasWallet() bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(n.AdminMacaroon), "wallet.db"))
	return err == nil
}

// create makes the wallet. The chain is not needed for that.
func (n *Node) create(ctx context.Context) error {
	p, err := n.run("node", "create", "--mode", "standalone", "--network", chain.Params.Name)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.Kill())
	}
	if !n.hasWallet() {
		return n.failed("create its wallet", p.Exit())
	}
	return nil
}

// Bake writes a macaroon (mode 0600) that allows the given gRPC methods.
func (n *Node) Bake(ctx context.Context, path string, methods []string) error {
	req := &lnrpc.BakeMacaroonRequest{}
	for _, m := range methods {
		req.Permissions = append(req.Permissions, &lnrpc.MacaroonPermission{Entity: "uri", Action: m})
	}
	r, err := n.Lightning().BakeMacaroon(ctx, req)
	if err != nil {
		return n.failed("bake a macaroon", err)
	}
	raw, err := hex.DecodeString(r.Macaroon)
	if err != nil {
		return n.failed("bake a macaroon", err)
	}
	return files.Write(path, raw, 0o600)
}

// run starts our binary on the node's home.
func (n *Node) run(args ...string) (*owned.Process, error) {
	if err := files.MkdirPrivate(string(n.home)); err != nil {
		return nil, err
	}
	return owned.Start(owned.Command{
		Path: n.leyden, Args: append([]string{"--home", string(n.home)}, args...), Env: Environ(),
		LogFile: filepath.Join(string(n.home), "node.log"),
	})
}

// Environ is the environment for our programs on a devnet: ours, without what
// they would take as their own settings.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LEYDEN_") || strings.HasPrefix(v, "LNGET_")
	})
}

// writeConf writes lnd.conf (mode 0600), which also has btcd's password.
func (n *Node) writeConf(backend string, btcd chain.Access) error {
	lines := []string{
		"alias=" + n.Name,
		"listen=" + n.P2P,
		"rpclisten=" + n.RPC,
		"restlisten=" + n.REST,
		"apilisten=" + n.API,
		"nobootstrap=true",
		"trickledelay=50",
		"bitcoin.defaultchanconfs=1",
		"bitcoin.node=" + backend,
	}
	if backend == "btcd" {
		lines = append(lines, "btcd.rpchost="+btcd.RPC, "btcd.rpccert="+btcd.Cert,
			"btcd.rpcuser="+btcd.User, "btcd.rpcpass="+btcd.Pass)
	} else {
		lines = append(lines, "neutrino.connect="+btcd.P2P)
	}
	text := "# Written by leyden devnet at every start.\n" + strings.Join(lines, "\n") + "\n"
	return files.Write(filepath.Join(n.LndDir, "lnd.conf"), []byte(text), 0o600)
}

// awaitActive waits until the node answers and is synced, and learns its key.
func (n *Node) awaitActive(ctx context.Context, p *owned.Process) error {
	return Poll(ctx, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, p.Exit()
		}
		if !n.connect() {
			return false, nil
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		info, err := n.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil || !info.SyncedToChain {
			return false, nil
		}
		state, err := lnrpc.NewStateClient(n.Conn()).GetState(ctx, &lnrpc.GetStateRequest{})
		if err != nil || state.State != lnrpc.WalletState_SERVER_ACTIVE {
			return false, nil
		}
		n.Pubkey = info.IdentityPubkey
		return true, nil
	})
}

// connect makes the connection as soon as certificate and macaroon are there.
func (n *Node) connect() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		if conn, err := n.Dial(); err == nil {
			n.conn = conn
		}
	}
	return n.conn != nil
}

func (n *Node) awaitHeight(ctx context.Context, height int) error {
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		info, err := n.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil {
			return false, err
		}
		return int(info.BlockHeight) >= height && info.SyncedToChain, nil
	})
	if err != nil {
		return n.failed(fmt.Sprintf("reach height %d", height), err)
	}
	return nil
}

func (n *Node) failed(what string, err error) error {
	return fault.New("node_failed", "see "+filepath.Join(string(n.home), "node.log"),
		"node %s did not %s: %w", n.Name, what, err)
}

// Poll asks every 25 ms until the answer is yes, an error, or ctx ends.
func Poll(ctx context.Context, ask func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := ask(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
