package chain

import (
	"cmp"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Sizes in bytes of a P2PKH spend, with a signature of the longest kind, and
// of outputs up to P2TR; the fee is 20 sat a byte.
const (
	feeRate      = 20
	overheadSize = 10
	inputSize    = 149
	outputSize   = 43
)

// dust is the smallest change worth an output, in sat.
const dust = 1000

// faucet is the key that every block pays and the coins it can spend. Not
// safe for concurrent use.
type faucet struct {
	key     *btcec.PrivateKey
	address btcutil.Address
	script  []byte
	coins   map[wire.OutPoint]coin
	height  int32
}

type coin struct {
	value    btcutil.Amount
	spendsAt int32 // the first height of a block that may spend it
}

// openFaucet reads the key (hex, mode 0600) or makes one.
func openFaucet(path string) (*faucet, error) {
	text, err := files.ReadSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		var key *btcec.PrivateKey
		if key, err = btcec.NewPrivateKey(); err != nil {
			return nil, err
		}
		text = []byte(hex.EncodeToString(key.Serialize()))
		err = files.Write(path, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != btcec.PrivKeyBytesLen {
		return nil, fault.New("bad_key_file", "leyden devnet down --clean, and start over", "%s holds no key", path)
	}
	key, public := btcec.PrivKeyFromBytes(raw)
	address, err := btcutil.NewAddressPubKeyHash(btcutil.Hash160(public.SerializeCompressed()), Params)
	if err != nil {
		return nil, err
	}
	script, err := txscript.PayToAddrScript(address)
	if err != nil {
		return nil, err
	}
	return &faucet{key: key, address: address, script: script, coins: map[wire.OutPoint]coin{}}, nil
}

// see learns from the next block what came and what went.
func (f *faucet) see(b *btcutil.Block) {
	f.height = b.Height()
	for i, tx := range b.Transactions() {
		for _, in := range tx.MsgTx().TxIn {
			delete(f.coins, in.PreviousOutPoint)
		}
		spendsAt := f.height
		if i == 0 {
			spendsAt += int32(Params.CoinbaseMaturity)
		}
		for n, out := range tx.MsgTx().TxOut {
			if string(out.PkScript) == string(f.script) {
				f.coins[wire.OutPoint{Hash: *tx.Hash(), Index: uint32(n)}] =
					coin{value: btcutil.Amount(out.Value), spendsAt: spendsAt}
			}
		}
	}
}

// spendable returns the coins that the next block may spend, largest first.
func (f *faucet) spendable() []wire.OutPoint {
	outs := slices.Collect(maps.Keys(f.coins))
	outs = slices.DeleteFunc(outs, func(o wire.OutPoint) bool { return f.coins[o].spendsAt > f.height+1 })
	slices.SortFunc(outs, func(a, b wire.OutPoint) int { return cmp.Compare(f.coins[b].value, f.coins[a].value) })
	return outs
}

// pay makes a signed transaction that pays amount to each address. Its coins
// are spent from then on. Code: faucet_empty.
func (f *faucet) pay(amount btcutil.Amount, to []btcutil.Address) (*wire.MsgTx, error) {
	tx := wire.NewMsgTx(2)
	need := btcutil.Amount(feeRate * (overheadSize + outputSize))
	for _, address := range to {
		script, err := txscript.PayToAddrScript(address)
		if err != nil {
			return nil, err
		}
		tx.AddTxOut(wire.NewTxOut(int64(amount), script))
		need += amount + feeRate*outputSize
	}
	var have btcutil.Amount
	for _, out := range f.spendable() {
		if have >= need {
			break
		}
		tx.AddTxIn(wire.NewTxIn(&out, nil, nil))
		have += f.coins[out].value
		need += feeRate * inputSize
	}
	if have < need {
		return nil, fault.New("faucet_empty", "leyden devnet mine 100",
			"the faucet has %v to spend, %v are needed", have, need)
	}
	if change := have - need; change > dust {
		tx.AddTxOut(wire.NewTxOut(int64(change), f.script))
	}
	for i, in := range tx.TxIn {
		sig, err := txscript.SignatureScript(tx, i, f.script, txscript.SigHashAll, f.key, true)
		if err != nil {
			return nil, err
		}
		in.SignatureScript = sig
	}
	for _, in := range tx.TxIn {
		delete(f.coins, in.PreviousOutPoint)
	}
	return tx, nil
}
