package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// dialTo connects to a run of lnd as the guard does.
func dialTo(to guardpost.LND) backup.Dial {
	return func() (*grpc.ClientConn, error) {
		macaroon, err := to.Macaroon()
		if err != nil {
			return nil, err
		}
		return to.Dial(macaroon)
	}
}

// BackUpTo makes the folder, which must be there, the one that the node keeps a second
// copy of its channel backup in, at once when it runs. Codes: no_wallet, write_failed,
// backup_of_other_node, and those of backup.Folder's Apart and Keep.
func BackUpTo(ctx context.Context, home config.Home, dir string) error {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return noNode(home)
	}
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	to := backup.Folder(dir)
	if err := to.Apart(home); err != nil {
		return err
	}
	if err := to.Begin(backup.Owner{Network: kept.Network}); err != nil {
		return err
	}
	// The running node keeps the folder that it follows by itself.
	if before, err := backup.To(home); err != nil || before != to {
		if err := lookNow(ctx, home, to); err != nil {
			return err
		}
	}
	return backup.Remember(home, to)
}

// lookNow makes the first copy of a node that is active.
func lookNow(ctx context.Context, home config.Home, to backup.Folder) error {
	r, err := Status(home)
	if err != nil || r.State != lnd.Active.String() {
		return nil // the node makes it once it is
	}
	macaroon, err := os.ReadFile(r.Macaroon)
	if err != nil {
		return fault.New("no_macaroon", "leyden node status", "read the admin macaroon: %w", err)
	}
	conn, err := (lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}).Dial(lnd.WithMacaroon(macaroon))
	if err != nil {
		return fault.New("node_unreachable", "leyden node status", "reach lnd: %w", err)
	}
	defer conn.Close()
	ln := lnrpc.NewLightningClient(conn)
	info, err := ln.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return fault.New("node_unreachable", "leyden node status", "ask lnd who it is: %w", err)
	}
	return to.Look(ctx, ln, backup.Owner{Network: r.Network, Key: info.IdentityPubkey})
}

// BackupStatus is how the node's second copy is.
func BackupStatus(home config.Home) (backup.Status, error) {
	pid, running := daemon.Running(pidFile(home))
	if !running {
		pid = 0
	}
	return backup.StatusOf(home, pid)
}

// TryBackup proves on a throw-away lnd that the backup (empty: the one that the node
// follows) restores: with the words in seedFile; without that with those in seed.txt,
// or with the signer of a watch-only node. Codes: no_backup_folder, no_seed_file, and
// those of backup.Trial's Run and of bundle and signer.
func TryBackup(ctx context.Context, home config.Home, from backup.Folder, seedFile string, log *slog.Logger) (*backup.Proved, error) {
	var err error
	if from == "" {
		if from, err = backup.To(home); err != nil {
			return nil, err
		}
	}
	b, err := from.Read()
	if err != nil {
		return nil, err
	}
	trial, err := newTrial(ctx, home, b.Network, seedFile)
	if err != nil {
		return nil, err
	}
	return trial.Run(ctx, from, b, log)
}

// newTrial finds the keys for a throw-away node.
func newTrial(ctx context.Context, home config.Home, network, seedFile string) (t backup.Trial, err error) {
	kept, err := loadRemembered(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	if t.Network = network; network == "" {
		t.Network = kept.Network
	}
	if t.Network == "" {
		return t, noNode(home)
	}
	if kept.watchOnly() && seedFile == "" {
		if t.Signer, err = kept.signer(home, ""); err != nil {
			return t, err
		}
		keys, err := imported(home)
		if err != nil {
			return t, err
		}
		t.Wallet.WatchOnly = watchOnlyKeys(keys, time.Now())
		return t, t.Signer.Check(ctx)
	}
	if seedFile == "" {
		seedFile = DefaultSeedFile(home)
	}
	t.Wallet.Seed, err = wallet.ReadSeed(seedFile)
	if fault.Code(err) == "no_seed_file" {
		err = fault.New("no_seed_file", "leyden node backup verify --seed-file FILE, with the 24 words in it, mode 0600",
			"only the seed can prove that the backup restores: %w", err)
	}
	return t, err
}

// RestoreBackup puts a backup in place for a node that has its wallet again and does
// not run: see backup.Restore. A node that follows no folder follows that one from then
// on. Codes: no_wallet, wallet_unfinished, already_running,
// network_conflict, and those of backup.Restore.
func RestoreBackup(ctx context.Context, home config.Home, from backup.Folder, accounts bool) (*backup.Restored, error) {
	b, err := from.Read()
	if err != nil {
		return nil, err
	}
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noNode(home)
	}
	if err != nil {
		return nil, err
	}
	folder := kept.folder(home, kept.Network)
	if folder.None() == nil {
		return nil, noNode(home)
	}
	if b.Network != "" && b.Network != kept.Network {
		return nil, fault.New("network_conflict", "use another --home for another network",
			"the backup is of a node on %s, the node in this folder is on %s", b.Network, kept.Network)
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	done, err := backup.Restore(ctx, home, from, b, accounts)
	if err != nil || b.Node == "" {
		return done, err
	}
	if _, err := backup.To(home); fault.Code(err) == backup.CodeNoFolder {
		return done, backup.Remember(home, from)
	}
	return done, nil
}
