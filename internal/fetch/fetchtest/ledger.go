package fetchtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402/l402http"
)

// Ledger is a folder in which sellers leave preimages and wallets leave
// payments. A payment is a file made exclusively, as a node's database does.
type Ledger string

// Publish makes an invoice payable.
func (l Ledger) Publish(p lntypes.Preimage) error {
	return l.write("preimage-"+p.Hash().String(), p.String())
}

// write makes a file exclusively.
func (l Ledger) write(name, text string) error {
	f, err := os.OpenFile(filepath.Join(string(l), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Pay pays a hash once; fs.ErrExist the second time.
func (l Ledger) Pay(hash lntypes.Hash) (lntypes.Preimage, error) {
	preimage, err := l.preimage(hash)
	if err != nil {
		return preimage, err
	}
	return preimage, l.write("paid-"+hash.String(), "")
}

func (l Ledger) preimage(hash lntypes.Hash) (lntypes.Preimage, error) {
	text, err := os.ReadFile(filepath.Join(string(l), "preimage-"+hash.String()))
	if err != nil {
		return lntypes.Preimage{}, fmt.Errorf("no route to %s: %w", hash, err)
	}
	return lntypes.MakePreimageFromStr(string(text))
}

// Track returns the preimage of a payment that was made; fs.ErrNotExist when
// there is none.
func (l Ledger) Track(hash lntypes.Hash) (lntypes.Preimage, error) {
	if _, err := os.Stat(filepath.Join(string(l), "paid-"+hash.String())); err != nil {
		return lntypes.Preimage{}, err
	}
	return l.preimage(hash)
}

// Payments counts the payments that were made.
func (l Ledger) Payments() int {
	entries, _ := os.ReadDir(string(l))
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "paid-") {
			n++
		}
	}
	return n
}

// Wallet pays from a ledger. Before and After, if set, run around each
// payment: what Before returns, Pay returns without paying; what After
// returns, Pay returns although it has paid.
type Wallet struct {
	Ledger        Ledger
	Before, After func(context.Context) error
}

// Pay implements [l402http.Wallet].
func (w *Wallet) Pay(ctx context.Context, p l402http.Payment) (l402http.Receipt, error) {
	if w.Before != nil {
		if err := w.Before(ctx); err != nil {
			return l402http.Receipt{}, err
		}
	}
	preimage, err := w.Ledger.Pay(p.Hash)
	switch {
	case errors.Is(err, fs.ErrExist):
		return l402http.Receipt{}, fmt.Errorf("%w: %s", l402http.ErrPaymentKnown, p.Hash)
	case err != nil:
		return l402http.Receipt{}, fmt.Errorf("%w: %v", l402http.ErrNothingSent, err)
	}
	if w.After != nil {
		if err := w.After(ctx); err != nil {
			return l402http.Receipt{}, err
		}
	}
	return l402http.Receipt{Preimage: preimage, Fee: 1000}, nil
}

// Track implements [l402http.Wallet].
func (w *Wallet) Track(_ context.Context, hash lntypes.Hash) (l402http.Receipt, error) {
	preimage, err := w.Ledger.Track(hash)
	if errors.Is(err, fs.ErrNotExist) {
		return l402http.Receipt{}, fmt.Errorf("%w: %s", l402http.ErrPaymentUnknown, hash)
	}
	return l402http.Receipt{Preimage: preimage, Fee: 1000}, err
}

// KillSelf ends the process as kill -9 does.
func KillSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
