package chain

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/leydenln/leyden/internal/fault"
)

// blockFile holds the chain from height 1, block after block, each as the
// network's magic, its length in bytes (both uint32, little endian) and its
// wire encoding: the format of Bitcoin Core's blk*.dat.
type blockFile struct {
	file   *os.File
	height int            // of the last block
	tip    chainhash.Hash // its hash
	dirty  bool           // something was appended and not synced
}

// maxBlock bounds a record, in bytes.
const maxBlock = 4_000_000

// openBlocks opens or makes the file (mode 0600). each must be called before
// anything is appended.
func openBlocks(path string) (*blockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New("write_failed", "check the folder's owner and mode", "block file: %w", err)
	}
	return &blockFile{file: f, tip: *Params.GenesisHash}, nil
}

// each calls do for every block, in order. What a crash left of a last block
// is dropped; any other damage is an error with the code bad_block_file.
func (f *blockFile) each(do func(*btcutil.Block) error) error {
	r := bufio.NewReader(f.file)
	var good int64
	for {
		b, size, err := readBlock(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err == nil && b.MsgBlock().Header.PrevBlock != f.tip {
			err = fmt.Errorf("it does not follow the one before")
		}
		if err != nil {
			return fault.New("bad_block_file", "leyden devnet down --clean, and start over",
				"%s: block %d: %w", f.file.Name(), f.height+1, err)
		}
		f.advance(b)
		good += size
		if err := do(b); err != nil {
			return err
		}
	}
	if err := f.file.Truncate(good); err != nil {
		return f.failed(err)
	}
	_, err := f.file.Seek(good, io.SeekStart)
	return f.failed(err)
}

// append adds the block after the tip. It is durable after sync.
func (f *blockFile) append(b *btcutil.Block) error {
	if b.MsgBlock().Header.PrevBlock != f.tip {
		return fault.New("chain_failed", "leyden devnet down --clean, and start over",
			"block %s does not follow the one kept at height %d", b.Hash(), f.height)
	}
	raw, err := b.Bytes()
	if err != nil {
		return f.failed(err)
	}
	record := binary.LittleEndian.AppendUint32(nil, uint32(Params.Net))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(raw)))
	if _, err := f.file.Write(append(record, raw...)); err != nil {
		return f.failed(err)
	}
	f.advance(b)
	f.dirty = true
	return nil
}

func (f *blockFile) advance(b *btcutil.Block) {
	f.height++
	f.tip = *b.Hash()
	b.SetHeight(int32(f.height))
}

func (f *blockFile) sync() error {
	if !f.dirty {
		return nil
	}
	f.dirty = false
	return f.failed(f.file.Sync())
}

func (f *blockFile) close() error { return errors.Join(f.sync(), f.file.Close()) }

func (f *blockFile) failed(err error) error {
	if err == nil {
		return nil
	}
	return fault.New("write_failed", "free some space, then try again", "block file: %w", err)
}

// readBlock reads one record and returns its size in bytes. io.EOF: no more;
// io.ErrUnexpectedEOF: the file ends within it.
func readBlock(r io.Reader) (b *btcutil.Block, size int64, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	if magic := binary.LittleEndian.Uint32(head[:4]); magic != uint32(Params.Net) {
		return nil, 0, fmt.Errorf("magic %08x is not regtest's", magic)
	}
	length := binary.LittleEndian.Uint32(head[4:])
	if length > maxBlock {
		return nil, 0, fmt.Errorf("%d bytes are too many for a block", length)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, 0, io.ErrUnexpectedEOF
	}
	b, err = btcutil.NewBlockFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, 0, fmt.Errorf("decode: %v", err)
	}
	return b, int64(len(head)) + int64(length), nil
}
