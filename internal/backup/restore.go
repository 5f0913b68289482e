package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/guardpost"
)

// pending is a backup that lnd has yet to take over: leyden-restore.json in the
// node's folder.
type pending struct {
	Node  string `json:"node"`
	Multi []byte `json:"channel_backup"`
}

func pendingFile(h config.Home) string { return filepath.Join(h.Node(), "leyden-restore.json") }

// Restored says what Restore has put in place.
type Restored struct {
	Network  string   `json:"network"`
	Node     string   `json:"node"`
	Channels []string `json:"channels"`

	// Ledger describes the ledger that was put in place; all accounts are frozen.
	Ledger *Copy `json:"ledger,omitempty"`
}

// Restore puts the backup in place for the home's node, which must not run: lnd takes
// the channels over once it is active, and the accounts are those of the ledger,
// frozen. It can be repeated. Codes: accounts_exist, guard_running, backup_damaged.
func Restore(ctx context.Context, h config.Home, f Folder, b *Backup, accounts bool) (*Restored, error) {
	done := &Restored{Network: b.Network, Node: b.Node, Channels: b.Channels.Channels}
	var ledger []byte
	if accounts && b.LedgerFault != nil {
		return nil, fault.New(CodeDamaged, "another copy; or the same with --channels-only, for the channels alone",
			"%w", b.LedgerFault)
	}
	if accounts && b.Ledger != nil {
		var err error
		if ledger, _, err = f.intact(LedgerFile, []Copy{*b.Ledger}); err != nil {
			return nil, err
		}
		if err := guardpost.Unused(ctx, h.Guard()); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(pending{Node: b.Node, Multi: b.Multi})
	if err != nil {
		return nil, err
	}
	if err := files.Write(pendingFile(h), append(data, '\n'), 0o600); err != nil {
		return nil, err
	}
	if ledger == nil {
		return done, nil
	}
	done.Ledger = b.Ledger
	return done, guardpost.Adopt(ctx, h.Guard(), ledger, b.Node)
}

// restore has lnd take over a backup that waits for it.
func (f *Follower) restore(ctx context.Context, ln lnrpc.LightningClient, o Owner) error {
	data, err := os.ReadFile(pendingFile(f.home))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var p pending
	if err := json.Unmarshal(data, &p); err != nil {
		return fault.New(CodeDamaged, "leyden node backup restore --from DIR", "%q: %w", pendingFile(f.home), err)
	}
	if p.Node != "" && p.Node != o.Key {
		return fault.New(CodeOtherNode, "make the wallet of that node's seed, or of its signer, in another --home",
			"the backup to restore is of node %s, and this is node %s", p.Node, o.Key)
	}
	r, err := ln.RestoreChannelBackups(ctx, &lnrpc.RestoreChanBackupRequest{
		Backup: &lnrpc.RestoreChanBackupRequest_MultiChanBackup{MultiChanBackup: p.Multi},
	})
	if err != nil {
		return refused("restore the backup", err)
	}
	f.log.Info("channels restored: lnd is started again, to reach the peers that close them", "channels", r.NumRestored)
	f.record.Update(func(now *Following) { now.Restored += int(r.NumRestored) })
	if err := os.Remove(pendingFile(f.home)); err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "the backup is restored: %w", err)
	}
	if err := files.SyncDir(f.home.Node()); err != nil {
		return err
	}
	// lnd loses a peer that it restores a second channel of, and looks for it only
	// when it starts. Its supervisor starts it again.
	if _, err := ln.StopDaemon(ctx, &lnrpc.StopRequest{}); err != nil {
		return refused("start again", err)
	}
	return nil
}
