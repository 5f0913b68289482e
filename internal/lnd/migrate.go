package lnd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

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
// other_signer, wrong_password, no_wallet, disk_full, write_failed, and those of a
// start.
func MigrateToWatchOnly(ctx context.Context, r Runner, password []byte, bundleDir string) error {
	path := filepath.Join(r.Dir, "data", "chain", "bitcoin", r.Config.network, "wallet.db")
	if err := errors.Join(os.RemoveAll(path+freshSuffix), spaceBeside(path)); err != nil {
		return err
	}
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
	return compact(path)
}

// spaceBeside refuses to begin where there is no space for the file once more.
func spaceBeside(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // lnd says what is wrong with the wallet
	}
	if space, known := freeSpace(filepath.Dir(path)); known && space < info.Size()+minDisk {
		return fault.New("disk_full", "free some space, then leyden node migrate",
			"the wallet's file of %d bytes is written anew, and the disk has %d left; nothing was changed", info.Size(), space)
	}
	return nil
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
// keys would stay, and overwrites the old file. Cut short anywhere, it is begun
// again. What the disk itself keeps of the old file is out of reach.
func compact(path string) error {
	fresh, old := path+freshSuffix, path+".before"
	err := discardOld(old, path)
	if err == nil {
		err = rewrite(path, fresh)
	}
	if err == nil { // a name under which to find it after a crash
		err = os.Link(path, old)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		err = discardOld(old, path)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(fresh)) // it takes space
	}
	return compactFault(err)
}

// freshSuffix ends the name of the database that is being written anew.
const freshSuffix = ".compact"

func compactFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New("disk_full", "free some space, then leyden node migrate",
			"the keys are out of the wallet, and still in unused parts of its file: %w", err)
	default:
		return fault.New("write_failed", "leyden node migrate",
			"the keys are out of the wallet, and still in unused parts of its file: %w", err)
	}
}

// discardOld overwrites and removes the old file, if there is one; if it is only
// another name of the present one, the name.
func discardOld(old, present string) error {
	was, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := os.Stat(present)
	if err != nil {
		return err
	}
	if !os.SameFile(was, now) {
		if err := wipe(old); err != nil {
			return err
		}
	}
	if err := os.Remove(old); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(old))
}

// rewriteWait bounds the wait for whoever has the database open.
const rewriteWait = 10 * time.Second

// rewrite copies what the database holds.
func rewrite(from, to string) (err error) {
	src, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true, Timeout: rewriteWait})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	dst, err := bbolt.Open(to, 0o600, &bbolt.Options{Timeout: rewriteWait})
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(dst, src, 0), dst.Sync(), dst.Close())
}

// wipe overwrites a file.
func wipe(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
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
