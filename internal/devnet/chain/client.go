package chain

import (
	"context"
	"os"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/rpcclient"
	"github.com/btcsuite/btcd/wire"

	"github.com/leydenln/leyden/internal/fault"
)

// mineBatch is how many blocks are asked for at a time, so that a long run
// can be interrupted.
const mineBatch = 50

// Access is how to reach a chain's btcd.
type Access struct {
	RPC  string `json:"rpc"`  // host:port, JSON-RPC over TLS
	P2P  string `json:"p2p"`  // host:port; serves compact filters
	Cert string `json:"cert"` // path of the RPC's certificate, PEM
	User string `json:"user"`
	Pass string `json:"pass"`
}

// Client speaks to a chain's btcd.
type Client struct {
	rpc *rpcclient.Client
}

// Dial connects to the btcd of a chain that another process runs. Code:
// not_running.
func Dial(a Access) (*Client, error) {
	c, err := dial(a, nil)
	if err != nil {
		return nil, fault.New("not_running", "leyden devnet up", "reach btcd at %s: %w", a.RPC, err)
	}
	return c, nil
}

// dial makes one attempt. onBlock, if not nil, is called for each new block.
func dial(a Access, onBlock func()) (*Client, error) {
	cert, err := os.ReadFile(a.Cert)
	if err != nil {
		return nil, err
	}
	var handlers *rpcclient.NotificationHandlers
	if onBlock != nil {
		handlers = &rpcclient.NotificationHandlers{
			OnFilteredBlockConnected: func(int32, *wire.BlockHeader, []*btcutil.Tx) { onBlock() },
		}
	}
	rpc, err := rpcclient.New(&rpcclient.ConnConfig{
		Host: a.RPC, Endpoint: "ws", User: a.User, Pass: a.Pass,
		Certificates: cert, DisableAutoReconnect: true,
	}, handlers)
	if err != nil {
		return nil, err
	}
	if onBlock != nil {
		if err := rpc.NotifyBlocks(); err != nil {
			rpc.Shutdown()
			return nil, err
		}
	}
	return &Client{rpc: rpc}, nil
}

// Close ends the connection.
func (c *Client) Close() {
	c.rpc.Shutdown()
	c.rpc.WaitForShutdown()
}

// Mine mines n blocks.
func (c *Client) Mine(ctx context.Context, n int) error {
	for n > 0 {
		batch := min(n, mineBatch)
		_, err := within(ctx, func() ([]*chainhash.Hash, error) { return c.rpc.Generate(uint32(batch)) })
		if err != nil {
			return chainFault("mine", err)
		}
		n -= batch
	}
	return nil
}

// Height returns the height of the last block.
func (c *Client) Height(ctx context.Context) (int, error) {
	height, err := within(ctx, c.rpc.GetBlockCount)
	if err != nil {
		return 0, chainFault("ask for the height", err)
	}
	return int(height), nil
}

// Mempool returns the ids of the transactions that wait to be mined.
func (c *Client) Mempool(ctx context.Context) ([]*chainhash.Hash, error) {
	ids, err := within(ctx, c.rpc.GetRawMempool)
	if err != nil {
		return nil, chainFault("ask for the mempool", err)
	}
	return ids, nil
}

// Fees returns what the transactions in the blocks above one height, up to
// another, have paid for being mined.
func (c *Client) Fees(ctx context.Context, above, upTo int) (btcutil.Amount, error) {
	var sum int64
	for height := above + 1; height <= upTo; height++ {
		b, err := c.block(ctx, height)
		if err != nil {
			return 0, err
		}
		for _, out := range b.MsgBlock().Transactions[0].TxOut {
			sum += out.Value
		}
		sum -= blockchain.CalcBlockSubsidy(int32(height), Params)
	}
	return btcutil.Amount(sum), nil
}

func (c *Client) block(ctx context.Context, height int) (*btcutil.Block, error) {
	b, err := within(ctx, func() (*wire.MsgBlock, error) {
		hash, err := c.rpc.GetBlockHash(int64(height))
		if err != nil {
			return nil, err
		}
		return c.rpc.GetBlock(hash)
	})
	if err != nil {
		return nil, chainFault("ask for a block", err)
	}
	block := btcutil.NewBlock(b)
	block.SetHeight(int32(height))
	return block, nil
}

func (c *Client) submit(ctx context.Context, b *btcutil.Block) error {
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, c.rpc.SubmitBlock(b, nil) })
	if err != nil {
		return chainFault("replay a block", err)
	}
	return nil
}

func (c *Client) sendTransaction(ctx context.Context, tx *wire.MsgTx) (*chainhash.Hash, error) {
	id, err := within(ctx, func() (*chainhash.Hash, error) { return c.rpc.SendRawTransaction(tx, true) })
	if err != nil {
		return nil, chainFault("send from the faucet", err)
	}
	return id, nil
}

// within gives a call of rpcclient, which knows no contexts, one. A call that
// is left behind ends with the client's Close.
func within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := call()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
