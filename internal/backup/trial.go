package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// CodeFailed is the code of a backup that does not restore.
const CodeFailed = "backup_unusable"

// trialTimeout bounds a trial: making a wallet, opening it, and a restore.
const trialTimeout = 3 * time.Minute

// Trial is a throw-away lnd that restores a backup.
type Trial struct {
	// Wallet says of which keys to make it: those of a seed, or a signer's. Keep and
	// Password are the trial's.
	Wallet lnd.NewWallet

	// Network is the backup's; Signer is that of a watch-only wallet.
	Network string
	Signer  *lnd.RemoteSigner
}

// Proved is what a trial has found.
type Proved struct {
	Network string `json:"network"`
	Node    string `json:"node"`

	// Channels are the funding outpoints, txid:index, of the channels that were
	// restored.
	Channels []string `json:"channels"`

	// Time is when the backup was made.
	Time time.Time `json:"time"`

	// Books are what is in the copy of the ledger, if there is one.
	Books *Books `json:"ledger,omitempty"`
}

// Run makes a node of the keys in a temporary folder, has it restore the backup b of the
// folder, and deletes it. It follows no chain and reaches no peer. The copy of the
// ledger is recomputed. Codes: backup_of_other_node, backup_unusable, and those of
// making a wallet and of a start.
func (t Trial) Run(ctx context.Context, f Folder, b *Backup, log *slog.Logger) (p *Proved, err error) {
	books, err := f.CheckLedger(ctx, b)
	if err != nil {
		return nil, err
	}
	if p, err = t.restore(ctx, b, log); err != nil {
		return nil, err
	}
	p.Time, p.Books = b.Channels.Time, books
	return p, nil
}

// restore is Run but for the ledger.
func (t Trial) restore(ctx context.Context, b *Backup, log *slog.Logger) (p *Proved, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "leyden-trial-")
	if err != nil {
		return nil, fault.New("write_failed", "check TMPDIR", "folder for a throw-away node: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	built, err := lnd.Build(lnd.Settings{Network: t.Network, NoChain: true, Signer: t.Signer})
	if err != nil {
		return nil, err
	}
	runner, err := lnd.NewRunner(dir, built, log)
	if err != nil {
		return nil, err
	}
	w := t.Wallet
	w.Password = []byte(rand.Text())
	w.Keep = func([]string) error { return nil }
	w.RecoveryWindow = 0
	if err := lnd.CreateWallet(ctx, runner, w); err != nil {
		return nil, err
	}
	node := lnd.NewSupervisor(lnd.SupervisorConfig{
		Runner: runner, Password: func() ([]byte, error) { return w.Password, nil },
	})
	err = node.WhileActive(ctx, func() error {
		macaroon, err := os.ReadFile(filepath.Join(dir, "data", "chain", "bitcoin", t.Network, "admin.macaroon"))
		if err != nil {
			return err
		}
		conn, err := node.Endpoint().Dial(lnd.WithMacaroon(macaroon))
		if err != nil {
			return err
		}
		defer conn.Close()
		p, err = t.try(ctx, conn, b)
		return err
	})
	return p, err
}

// try restores the backup at a node that knows nothing but its keys.
func (t Trial) try(ctx context.Context, conn grpc.ClientConnInterface, b *Backup) (*Proved, error) {
	ln := lnrpc.NewLightningClient(conn)
	info, err := ln.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return nil, refused("say who it is", err)
	}
	if b.Node != "" && b.Node != info.IdentityPubkey {
		return nil, fault.New(CodeOtherNode, "use the seed, or the signer, of that node",
			"the backup is of node %s, and these keys are those of node %s", b.Node, info.IdentityPubkey)
	}
	channels, err := verified(ctx, ln, b.Multi)
	if err != nil {
		return nil, fault.New(CodeFailed, "use the seed, or the signer, of the node that made it; or another copy",
			"these keys do not open the backup: %w", err)
	}
	if b.Node != "" && !slices.Equal(channels, b.Channels.Channels) {
		return nil, fault.New(CodeFailed, "use another copy",
			"the backup has %d channels, and its manifest says %d", len(channels), len(b.Channels.Channels))
	}
	if err := restoreEach(ctx, ln, b.Multi, channels); err != nil {
		return nil, err
	}
	return &Proved{Network: t.Network, Node: info.IdentityPubkey, Channels: channels}, nil
}

// restoreEach has lnd restore until it knows all channels. An lnd without a chain
// restores one at a time: it fails when it has written the channel down and wants to
// watch the chain for it. Those it knows already it leaves alone.
func restoreEach(ctx context.Context, ln lnrpc.LightningClient, multi []byte, channels []string) error {
	for known := 0; ; {
		_, failed := ln.RestoreChannelBackups(ctx, &lnrpc.RestoreChanBackupRequest{
			Backup: &lnrpc.RestoreChanBackupRequest_MultiChanBackup{MultiChanBackup: multi},
		})
		there, err := knownChannels(ctx, ln)
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(channels), func(p string) bool { return there[p] })
		switch {
		case len(missing) == 0:
			return nil
		case len(there) <= known:
			return fault.New(CodeFailed, "use another copy", "channel %s is not restored: %w", missing[0], failed)
		}
		known = len(there)
	}
}

// knownChannels are those that lnd has not closed.
func knownChannels(ctx context.Context, ln lnrpc.LightningClient) (map[string]bool, error) {
	known := make(map[string]bool)
	open, err := ln.ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return nil, refused("list its channels", err)
	}
	for _, c := range open.Channels {
		known[c.ChannelPoint] = true
	}
	pending, err := ln.PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return nil, refused("list its pending channels", err)
	}
	for _, c := range pending.WaitingCloseChannels {
		known[c.Channel.ChannelPoint] = true
	}
	return known, nil
}
