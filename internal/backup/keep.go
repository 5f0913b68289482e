package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fault"
)

// Owner is the node whose backup it is.
type Owner struct {
	// Network is the chain by lncli's name, Key the identity key, hex.
	Network, Key string
}

// Keep makes lnd's backup of all channels the folder's, once lnd has opened it
// again, and describes it. Codes: backup_refused, backup_of_other_node,
// backup_would_lose, backup_damaged, write_failed, disk_full.
func (f Folder) Keep(ctx context.Context, ln lnrpc.LightningClient, o Owner, multi []byte) (Copy, error) {
	c := copyOf(multi, time.Now())
	var err error
	if c.Channels, err = verified(ctx, ln, multi); err != nil {
		return c, err
	}
	m, err := f.ownedBy(o)
	if err != nil {
		return c, err
	}
	if err := f.losesNone(ctx, ln, m, c); err != nil {
		return c, err
	}
	m.Channels = f.prepend(ChannelsFile, m.Channels, c)
	return c, f.replace(m, ChannelsFile, multi)
}

// Begin makes the folder, which must be there, one for the node's backups; Key may be
// empty. What is there of this node stays. Codes: write_failed, disk_full,
// backup_of_other_node.
func (f Folder) Begin(o Owner) error {
	info, err := os.Stat(string(f))
	if err != nil {
		return fault.New("write_failed", "mkdir "+string(f), "folder for backups: %w", err)
	}
	if !info.IsDir() {
		return fault.New("write_failed", "name a folder, best on another disk", "%q is no folder", string(f))
	}
	m, err := f.ownedBy(o)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = Manifest{Network: o.Network, Node: o.Key}, nil
	}
	if err != nil {
		return err
	}
	return f.write(m)
}

// ownedBy returns the manifest of the node's folder, or a new one in place of one that
// is damaged. Without one the folder may be the place where a disk is missing.
func (f Folder) ownedBy(o Owner) (Manifest, error) {
	m, err := f.manifest()
	if fault.Code(err) == CodeDamaged {
		return Manifest{Network: o.Network, Node: o.Key}, nil
	}
	if err != nil {
		return m, err
	}
	if m.Network != o.Network || o.Key != "" && m.Node != "" && m.Node != o.Key {
		return m, fault.New(CodeOtherNode, "choose another folder",
			"the backup in %q is of node %s on %s", string(f), m.Node, m.Network)
	}
	if m.Node == "" {
		m.Node = o.Key
	}
	return m, nil
}

// losesNone refuses a copy that lacks a channel of the present one, unless lnd
// knows that channel to be closed. A node that was made again from its seed knows
// no channels: its backup is empty.
func (f Folder) losesNone(ctx context.Context, ln lnrpc.LightningClient, m Manifest, c Copy) error {
	missing, err := f.present(ctx, ln, m)
	if err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(p string) bool { return slices.Contains(c.Channels, p) })
	if len(missing) == 0 {
		return nil
	}
	closed, err := closedChannels(ctx, ln)
	if err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(p string) bool { return closed[p] })
	if len(missing) == 0 {
		return nil
	}
	return fault.New(CodeLoses, "leyden node backup restore --from "+string(f)+", or choose another folder",
		"the node does not know channel %s, which is in the backup in %q: has it been restored yet?", missing[0], string(f))
}

// present returns the channels of the copy that is there. Where its file is damaged
// the manifest says what they were, and where that is, lnd can open the file.
func (f Folder) present(ctx context.Context, ln lnrpc.LightningClient, m Manifest) ([]string, error) {
	_, c, err := f.intact(ChannelsFile, m.Channels)
	if err == nil {
		return slices.Clone(c.Channels), nil
	}
	if len(m.Channels) > 0 {
		return slices.Clone(m.Channels[0].Channels), nil
	}
	data, err := os.ReadFile(f.path(ChannelsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(CodeDamaged, "check the file's owner and mode", "backup: %w", err)
	}
	channels, err := verified(ctx, ln, data)
	if err != nil {
		return nil, fault.New(CodeDamaged, "move it away, or choose another folder",
			"%q is there already, and is no backup of this node: %w", f.path(ChannelsFile), err)
	}
	return channels, nil
}

// verified has lnd open the backup, and returns the channels in it.
func verified(ctx context.Context, ln lnrpc.LightningClient, multi []byte) ([]string, error) {
	r, err := ln.VerifyChanBackup(ctx, &lnrpc.ChanBackupSnapshot{MultiChanBackup: &lnrpc.MultiChanBackup{MultiChanBackup: multi}})
	if err != nil {
		return nil, refused("open the backup", err)
	}
	channels := append([]string{}, r.ChanPoints...) // never nil, for JSON
	slices.Sort(channels)
	return channels, nil
}

// closedChannels are those that lnd knows to be closed, or to be closing on the
// chain.
func closedChannels(ctx context.Context, ln lnrpc.LightningClient) (map[string]bool, error) {
	closed := make(map[string]bool)
	done, err := ln.ClosedChannels(ctx, &lnrpc.ClosedChannelsRequest{})
	if err != nil {
		return nil, refused("list the closed channels", err)
	}
	for _, c := range done.Channels {
		closed[c.ChannelPoint] = true
	}
	pending, err := ln.PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return nil, refused("list the closing channels", err)
	}
	for _, c := range pending.PendingForceClosingChannels {
		closed[c.Channel.ChannelPoint] = true
	}
	return closed, nil
}

// refused makes a fault of lnd's answer.
func refused(what string, err error) error {
	return fault.New(CodeRefused, "see lnd's log", "lnd does not %s: %w", what, err)
}
