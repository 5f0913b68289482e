package devnet

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/owned"
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
	program

	// Signer holds the node's keys; nil when the node does.
	Signer *Signer

	mu      sync.Mutex // guards what follows
	process *owned.Process
	conn    *grpc.ClientConn
}

func newNode(o Options, info NodeInfo) *Node {
	n := &Node{NodeInfo: info, program: program{name: info.Name, leyden: o.Leyden, home: NodeHome(o.Home, info.Name)}}
	if info.Signer != nil {
		n.Signer = newSigner(o, info.Name, *info.Signer)
	}
	return n
}

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
		return n.failed("end its earlier run", err)
	}
	args := []string{"node", "start"}
	if n.Signer != nil {
		if err := n.Signer.Await(ctx); err != nil {
			return err
		}
		args = append(args, "--signer-host", n.Signer.RPC)
	}
	p, err := n.run(args...)
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

// create makes the wallet. The chain is not needed for that. One that exists
// is left as it is.
func (n *Node) create(ctx context.Context, profiles []string) error {
	if n.hasWallet() {
		return nil
	}
	args := []string{"node", "create", "--network", chain.Params.Name}
	for _, p := range profiles {
		args = append(args, "--profile", p)
	}
	args = append(args, "--mode")
	if n.Signer == nil {
		return n.once(ctx, append(args, "standalone")...)
	}
	err := n.once(ctx, "node", "import", "--network", chain.Params.Name, "--bundle", n.Signer.bundle())
	if err != nil {
		return err
	}
	return n.once(ctx, append(args, "watchonly")...)
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
		"maxpendingchannels=10",
		"bitcoin.node=" + backend,
	}
	if backend == "btcd" {
		lines = append(lines, "btcd.rpchost="+btcd.RPC, "btcd.rpccert="+btcd.Cert,
			"btcd.rpcuser="+btcd.User, "btcd.rpcpass="+btcd.Pass)
	} else {
		// btcd does not answer when it has the transaction, and neutrino, which
		// waits for it, hears of no block meanwhile.
		lines = append(lines, "neutrino.connect="+btcd.P2P, "neutrino.broadcasttimeout=500ms")
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
