// Package chain is a private Bitcoin regtest chain: a btcd on the loopback
// interface, a miner, and a faucet that owns what was mined. btcd deletes its
// regtest database at every start, so every block is also kept in a file of
// ours and handed back to it: the chain survives stops and crashes. The chain
// starts with SegWit active and coins that can be spent. One miner, no
// reorganisations, no fees to speak of: it is no model of the real network.
package chain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Params are the rules of the chain.
var Params = &chaincfg.RegressionNetParams

// firstBlocks is how many blocks a new chain gets: SegWit becomes active at
// height 432 on btcd's regtest, and most of these coins are then 100 deep.
const firstBlocks = 450

// stopGrace bounds btcd's orderly end.
const stopGrace = 10 * time.Second

// Options say where a chain lives.
type Options struct {
	// Dir holds everything, 0700: blocks.dat, faucet.key, btcd's files.
	Dir string

	// Btcd is the path of the btcd program.
	Btcd string

	// RPC and P2P are the addresses (host:port) btcd listens on.
	RPC, P2P string

	// Keeper is the command, if any, that runs btcd by way of Keep; it gets
	// Dir and Btcd as two more arguments.
	Keeper []string
}

// Chain is a running chain. Safe for concurrent use.
type Chain struct {
	*Client
	access  Access
	process *owned.Process
	faucet  *faucet

	mu     sync.Mutex // guards blocks
	blocks *blockFile

	connected chan struct{} // a block was connected; capacity 1
	quit      context.CancelFunc
	follower  chan struct{} // closed when the follower has ended
	stop      sync.Once
}

// Start runs btcd, replays the chain and mines: 450 blocks the first time,
// one block later, so that nodes find the chain current. btcd dies with this
// process. Codes: start_failed, chain_failed, bad_block_file.
func Start(ctx context.Context, o Options) (*Chain, error) {
	if err := files.MkdirPrivate(o.Dir); err != nil {
		return nil, err
	}
	faucet, err := openFaucet(filepath.Join(o.Dir, "faucet.key"))
	if err != nil {
		return nil, err
	}
	c := &Chain{faucet: faucet, connected: make(chan struct{}, 1), follower: make(chan struct{})}
	if err := awaitKeeper(ctx, o.Dir); err != nil {
		return nil, err
	}
	if c.process, c.access, err = startBtcd(o, faucet.address); err != nil {
		return nil, err
	}
	if c.Client, err = connect(ctx, c.access, c.process, c.noteBlock); err != nil {
		return nil, errors.Join(err, c.process.Kill())
	}
	if err := c.restore(ctx, filepath.Join(o.Dir, "blocks.dat")); err != nil {
		c.Close()
		return nil, errors.Join(err, c.process.Kill())
	}
	following, quit := context.WithCancel(context.Background())
	c.quit = quit
	go c.follow(following)
	return c, nil
}

// Access says how to reach the chain's btcd.
func (c *Chain) Access() Access { return c.access }

// Done is closed when btcd has ended, by itself or stopped.
func (c *Chain) Done() <-chan struct{} { return c.process.Done() }

// Exit says how btcd ended. Call it after Done.
func (c *Chain) Exit() error { return c.process.Exit() }

// Stop keeps the last blocks and ends btcd. Safe to call twice.
func (c *Chain) Stop(ctx context.Context) error {
	var err error
	c.stop.Do(func() {
		c.quit()
		<-c.follower
		if c.process.Running() {
			err = c.keepNewBlocks(ctx)
		}
		c.Close()
		ctx, cancel := context.WithTimeout(ctx, stopGrace)
		defer cancel()
		err = errors.Join(err, c.process.Stop(ctx), c.blocks.close())
	})
	return err
}

// Send pays amount (sat) to each of the addresses from the faucet, in one
// transaction, and returns its id. It is not mined yet.
func (c *Chain) Send(ctx context.Context, amount btcutil.Amount, to ...btcutil.Address) (*chainhash.Hash, error) {
	if err := c.keepNewBlocks(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	tx, err := c.faucet.pay(amount, to)
	if err != nil {
		return nil, err
	}
	return c.sendTransaction(ctx, tx)
}

// restore opens the block file, hands its blocks to btcd and mines what is
// missing.
func (c *Chain) restore(ctx context.Context, path string) error {
	blocks, err := openBlocks(path)
	if err != nil {
		return err
	}
	c.blocks = blocks
	err = blocks.each(func(b *btcutil.Block) error {
		c.faucet.see(b)
		return c.submit(ctx, b)
	})
	if err == nil {
		err = c.Mine(ctx, max(1, firstBlocks-blocks.height))
	}
	if err != nil {
		return errors.Join(err, blocks.close())
	}
	return c.keepNewBlocks(ctx)
}

// noteBlock is called by the client's own goroutine and must not call it.
func (c *Chain) noteBlock() {
	select {
	case c.connected <- struct{}{}:
	default:
	}
}

// follow keeps every new block, whoever mined it.
func (c *Chain) follow(ctx context.Context) {
	defer close(c.follower)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.process.Done():
			return
		case <-c.connected:
			// What fails here is tried again with the next block and at the end.
			_ = c.keepNewBlocks(ctx)
		}
	}
}

// keepNewBlocks appends the blocks btcd has and the file lacks.
func (c *Chain) keepNewBlocks(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip, err := c.Height(ctx)
	if err != nil {
		return err
	}
	for height := c.blocks.height + 1; height <= tip; height++ {
		b, err := c.block(ctx, height)
		if err != nil {
			return err
		}
		if err := c.blocks.append(b); err != nil {
			return err
		}
		c.faucet.see(b)
	}
	return c.blocks.sync()
}

func chainFault(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fault.New("chain_failed", "see btcd.log in the devnet's folder", "%s: %w", what, err)
}
