package lnd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/lightningnetwork/lnd/lnrpc"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// KeyFamilies is the number of accounts of purpose 1017 that lnd makes.
const KeyFamilies = 256

// OtherKeys is what the child says of a wallet that has not the signer's keys.
const OtherKeys = "the wallet has other keys than the signer"

// MigrateToWatchOnly takes the private keys out of the wallet, once all its
// accounts are found to be those of the bundle in the folder, and out of the unused
// parts of its file. It cannot be undone, and may be repeated: what was cut short
// is completed. Only the seed restores the keys. The node must not run. Codes:
// other_signer, wrong_password, no_wallet, and those of a start.
func MigrateToWatchOnly(ctx context.Context, r Runner, password []byte, bundleDir string) error {
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	defer r.cleanUp()
	spec := r.spec(true)
	spec.Migrate = bundleDir
	p, err := r.startSpec(ctx, spec)
	if err != nil {
		return err
	}
	defer p.stop(walletStop)
	if err := r.openFor(ctx, p, password); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fault.New("start_timeout", "see logs in the node's folder", "lnd does not end: %w", ctx.Err())
	case <-p.done:
	}
	if p.cmd.ProcessState.ExitCode() != 0 {
		return p.exitError(r.Config)
	}
	return compact(filepath.Join(r.Dir, "data", "chain", "bitcoin", r.Config.network, "wallet.db"))
}

// openFor opens the wallet of a child that then goes its own way.
func (r Runner) openFor(ctx context.Context, p *process, password []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-p.done
		cancel()
	}()
	conn, err := r.Endpoint().awaitSocket(ctx)
	if err == nil {
		defer conn.Close()
		err = unlockOnce(ctx, conn, password)
	}
	if err == nil || fault.Code(err) == "wrong_password" || fault.Code(err) == "no_wallet" {
		return err
	}
	if p.wait(walletStop) { // the child went away under the call: how it ended says more
		return nil
	}
	return fault.New("start_timeout", "see logs in the node's folder", "lnd does not answer: %w", err)
}

func unlockOnce(ctx context.Context, conn *grpc.ClientConn, password []byte) error {
	state, err := awaitState(ctx, conn, NoWallet)
	if err != nil {
		return err
	}
	if state == NoWallet {
		return walletError(errors.New("wallet not found"))
	}
	_, err = lnrpc.NewWalletUnlockerClient(conn).UnlockWallet(ctx, &lnrpc.UnlockWalletRequest{WalletPassword: password})
	return walletError(err)
}

// compact writes the database anew without what it no longer uses, where deleted
// keys would stay, and overwrites the old file. What the disk itself keeps of that
// is out of reach.
func compact(path string) error {
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fault.New("write_failed", "check the file's owner and mode", "compact the wallet: %w", err)
	}
	defer old.Close()
	fresh := path + ".compact"
	err = rewrite(path, fresh)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		err = wipe(old)
	}
	if err != nil {
		return fault.New("write_failed", "leyden node migrate", "compact the wallet: %w", err)
	}
	return nil
}

// rewrite copies what the database holds.
func rewrite(from, to string) (err error) {
	src, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	dst, err := bbolt.Open(to, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(dst, src, 0), dst.Sync(), dst.Close())
}

// wipe overwrites a file that has no name any more.
func wipe(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < info.Size(); at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
