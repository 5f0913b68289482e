// Package devnet is a private Lightning network on regtest: one btcd and any
// number of real `leyden node` processes on the loopback interface, funded,
// with active channels from the first node to each other. It promises that
// all of it ends when the process that started it ends, also when that is
// killed; and that a network started again in the same home has the same
// nodes, channels and chain. It is what the demo, the tests and the benchmarks
// run on. It keeps nothing secret from its user: never use it for real money.
package devnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// DefaultNodes is how many nodes a new network gets.
const DefaultNodes = 2

// maxNodes keeps a slip of the keyboard from filling the machine.
const maxNodes = 20

// Backends are the chain backends that a network's nodes can run on.
var Backends = []string{"btcd", "neutrino"}

// Options say what network to start.
type Options struct {
	// Home is a Leyden home; the network lives in its devnet folder.
	Home config.Home

	// Nodes is the number of nodes; 0 means as many as there are, else
	// DefaultNodes. A network can grow, not shrink.
	Nodes int

	// Backend is one of Backends; empty means the one used last, else btcd.
	Backend string

	// Signer is the name of a node that is made watch-only, with a signer of
	// its own; empty for none.
	Signer string

	// SignerHost is the signer's IP address when it is in another network than
	// the nodes, who reach it there. SignerRun is then what runs a command in
	// that network when put before it.
	SignerHost string
	SignerRun  []string

	// Profiles are those of new nodes, as for leyden node create.
	Profiles []string

	// Leyden and Btcd are the programs to run. Empty: our own binary, and
	// what chain.FindBtcd finds beside it.
	Leyden, Btcd string

	// Progress, if not nil, is told of every step that is done and what it
	// took. Steps overlap. It must be safe for concurrent use.
	Progress func(step string, took time.Duration)
}

// Network is a running network.
type Network struct {
	// Nodes are the nodes in order; the first has the funds.
	Nodes []*Node

	opts  Options
	state state
	lock  *daemon.Lock
	chain *chain.Chain
	stop  sync.Once
}

// Start starts the network in the home, making what is missing, and returns
// when every channel is active. What had been started is stopped again when
// it fails. Codes: already_running, btcd_missing, bad_nodes, unknown_backend,
// bad_signer, node_failed, and those of package chain.
func Start(ctx context.Context, o Options) (_ *Network, err error) {
	o, s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	n := &Network{opts: o}
	if n.lock, err = daemon.Acquire(pidFile(o.Home)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if n.state, err = s.reservePorts(); err != nil {
		return nil, err
	}
	if err := n.state.save(); err != nil {
		return nil, err
	}
	for _, info := range n.state.Nodes {
		n.Nodes = append(n.Nodes, newNode(o, info))
	}
	if err := n.startAll(ctx); err != nil {
		return nil, err
	}
	if err := n.timed("channels active", func() error { return n.ensureChannels(ctx) }); err != nil {
		return nil, err
	}
	return n, n.state.save()
}

// startAll brings chain and nodes up, side by side where they do not need
// each other: wallets are made while the chain is mined.
func (n *Network) startAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	chainReady := make(chan struct{})
	g.Go(func() error {
		if err := n.timed("chain ready", func() error { return n.startChain(ctx) }); err != nil {
			return err
		}
		close(chainReady)
		return nil
	})
	for i, node := range n.Nodes {
		g.Go(func() error {
			if err := n.createWallet(ctx, node); err != nil {
				return err
			}
			select {
			case <-chainReady:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := node.writeConf(n.state.Backend, n.chain.Access()); err != nil {
				return err
			}
			err := n.timed(node.Name+" started", func() error { return node.Start(ctx) })
			n.state.Nodes[i] = node.NodeInfo
			return err
		})
	}
	return g.Wait()
}

func (n *Network) startChain(ctx context.Context) (err error) {
	n.chain, err = chain.Start(ctx, chain.Options{
		Dir: filepath.Join(n.opts.Home.Devnet(), "chain"), Btcd: n.opts.Btcd,
		RPC: n.state.Btcd.RPC, P2P: n.state.Btcd.P2P,
		Keeper: []string{n.opts.Leyden, "--home", string(n.opts.Home), "devnet", KeepCommand},
	})
	if err == nil {
		n.state.Btcd = n.chain.Access()
	}
	return err
}

// createWallet makes what a node's keys need; its signer runs from then on.
func (n *Network) createWallet(ctx context.Context, node *Node) error {
	if node.Signer != nil {
		err := n.timed(node.Name+"'s signer made", func() error { return node.Signer.create(ctx) })
		if err != nil {
			return err
		}
		if err := node.Signer.Start(ctx); err != nil {
			return err
		}
	}
	return n.timed(node.Name+" wallet made", func() error { return node.create(ctx, n.opts.Profiles) })
}

// Chain is the running network's, to look at it and to mine without waiting for
// the nodes.
func (n *Network) Chain() *chain.Client { return n.chain.Client }

// Info describes the running network, with the nodes' balances.
func (n *Network) Info(ctx context.Context) (Info, error) { return n.state.withBalances(ctx) }

// Done is closed when the chain has ended, without which nothing works; Err
// then says why.
func (n *Network) Done() <-chan struct{} { return n.chain.Done() }

// Err says how the chain ended. Call it after Done.
func (n *Network) Err() error { return n.chain.Exit() }

// Mine mines blocks and waits until every running node has seen them.
func (n *Network) Mine(ctx context.Context, blocks int) error {
	if err := n.chain.Mine(ctx, blocks); err != nil {
		return err
	}
	height, err := n.chain.Height(ctx)
	if err != nil {
		return err
	}
	for _, node := range n.Nodes {
		if !node.Running() {
			continue
		}
		if err := node.awaitHeight(ctx, height); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the nodes, then the chain, and lets go of the home. It is bounded
// in time and safe to call twice.
func (n *Network) Stop(ctx context.Context) error {
	var err error
	n.stop.Do(func() {
		var g errgroup.Group
		for _, node := range n.Nodes {
			g.Go(func() error {
				err := node.Stop(ctx)
				if node.Signer != nil {
					err = errors.Join(err, node.Signer.Stop(ctx))
				}
				return err
			})
		}
		err = g.Wait()
		if n.chain != nil {
			err = errors.Join(err, n.chain.Stop(ctx))
		}
		err = errors.Join(err, n.lock.Release())
	})
	return err
}

func (n *Network) timed(step string, do func() error) error {
	start := time.Now()
	err := do()
	if err == nil && n.opts.Progress != nil {
		n.opts.Progress(step, time.Since(start))
	}
	return err
}

// Check says whether Start would refuse the options, without starting
// anything. Codes: as Start.
func Check(o Options) error {
	if Running(o.Home) {
		return fault.New("already_running", "leyden devnet status", "a devnet runs in %q already", string(o.Home))
	}
	_, _, err := prepare(o)
	return err
}

// prepare resolves the options against what is there and makes the folder.
func prepare(o Options) (Options, state, error) {
	if err := files.MkdirPrivate(o.Home.Devnet()); err != nil {
		return o, state{}, err
	}
	if o.Leyden == "" {
		self, err := os.Executable()
		if err != nil {
			return o, state{}, fault.New("start_failed", "", "find our own binary: %w", err)
		}
		o.Leyden = self
	}
	if o.Btcd == "" {
		btcd, err := chain.FindBtcd(filepath.Dir(o.Leyden))
		if err != nil {
			return o, state{}, err
		}
		o.Btcd = btcd
	}
	s, err := loadState(o.Home)
	if err != nil && fault.Code(err) != codeNone {
		return o, s, err
	}
	return o, s, s.adapt(o)
}

func pidFile(h config.Home) string { return filepath.Join(h.Run(), "devnet.pid") }

// LogFile is where a network in the background writes its progress.
func LogFile(h config.Home) string { return filepath.Join(h.Devnet(), "devnet.log") }

// NodeHome is the Leyden home of a network's node.
func NodeHome(h config.Home, name string) config.Home {
	return config.Home(filepath.Join(h.Devnet(), name))
}

// reservePorts keeps the ports of last time where they are free.
func (s state) reservePorts() (state, error) {
	addrs := []*string{&s.Btcd.RPC, &s.Btcd.P2P}
	for i := range s.Nodes {
		addrs = append(addrs, &s.Nodes[i].RPC, &s.Nodes[i].REST, &s.Nodes[i].P2P, &s.Nodes[i].API)
		if signer := s.Nodes[i].Signer; signer != nil && !signer.elsewhere() {
			addrs = append(addrs, &signer.RPC)
		}
	}
	for _, addr := range addrs {
		kept, err := port.Keep(*addr)
		if err != nil {
			return s, fault.New("no_port", "", "%w", err)
		}
		*addr = kept
	}
	return s, nil
}
