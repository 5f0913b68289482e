package backup

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
)

const (
	// lookEvery is how often a follower makes sure that the copy is there and of all
	// channels: a disk may have been away.
	lookEvery = 30 * time.Second

	// tickEvery is how soon a follower sees that it shall use another folder.
	tickEvery = 2 * time.Second

	// renewEvery is how old a copy may become.
	renewEvery = time.Hour

	// leaveTime bounds the last copy of the ledger.
	leaveTime = 5 * time.Second
)

// Following is what a follower has written down about itself. It holds no secrets.
type Following struct {
	PID int `json:"pid"`

	// Checked is when the copies were last known to be up to date, in this run of
	// the node.
	Checked time.Time `json:"checked"`

	// Code and Error say why they are not.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`

	// Restored is how many channels lnd has taken over from a backup that was
	// restored, since the follower began.
	Restored int `json:"restored,omitempty"`
}

func recordFile(h config.Home) string { return filepath.Join(h.Run(), "backup.json") }

// Follower keeps the folder of a home's node up to date, while lnd runs.
type Follower struct {
	home    config.Home
	network string
	record  *daemon.Record[Following]
	log     *slog.Logger
	ledger  ledgerKeeper

	turn chan struct{}             // holds one value while a connection is followed
	busy atomic.Pointer[time.Time] // when what is being done in the folder began; nil: nothing is

	// patience is how long the end of a run is held up by what is being done.
	patience time.Duration
}

// NewFollower starts nothing yet.
func NewFollower(h config.Home, network string, log *slog.Logger) *Follower {
	return &Follower{
		home: h, network: network, log: log, ledger: ledgerKeeper{home: h}, turn: make(chan struct{}, 1), patience: 2 * leaveTime,
		record: daemon.NewRecord(recordFile(h), Following{PID: os.Getpid()}, log),
	}
}

// Dial connects to lnd with the admin macaroon.
type Dial func() (*grpc.ClientConn, error)

// follow follows one connection to its end.
func (f *Follower) follow(ctx context.Context, dial Dial) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := awaitActive(ctx, conn); err != nil {
		return err
	}
	ln := lnrpc.NewLightningClient(conn)
	info, err := ln.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return err
	}
	owner := Owner{Network: f.network, Key: info.IdentityPubkey}
	changes, err := ln.SubscribeChannelBackups(ctx, &lnrpc.ChannelBackupSubscription{})
	if err != nil {
		return err
	}
	changed, ended := make(chan []byte), make(chan error, 1)
	go func() {
		for {
			s, err := changes.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case changed <- s.MultiChanBackup.MultiChanBackup:
			case <-ctx.Done():
				return
			}
		}
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	looked, at := time.Time{}, Folder("")
	for {
		if to, _ := To(f.home); to != at || time.Since(looked) >= lookEvery {
			f.tell(errors.Join(f.restore(ctx, ln, owner), f.timed(func() error { return f.look(ctx, ln, owner) })))
			looked, at = time.Now(), to
		}
		select {
		case multi := <-changed:
			f.tell(f.timed(func() error { return f.keep(ctx, ln, owner, multi) }))
		case <-tick.C:
		case err := <-ended:
			left := func() error { return f.leave(context.WithoutCancel(ctx), owner) }
			if failed := f.timed(left); failed != nil {
				return failed
			}
			return err
		}
	}
}

// leave copies the ledger once more, when a run of lnd ends.
func (f *Follower) leave(ctx context.Context, owner Owner) error {
	to, err := To(f.home)
	if err != nil {
		return notAsked(err)
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	return f.ledger.keep(ctx, to, owner)
}

// awaitActive waits until lnd's server has started.
func awaitActive(ctx context.Context, conn grpc.ClientConnInterface) error {
	states, err := lnrpc.NewStateClient(conn).SubscribeState(ctx, &lnrpc.SubscribeStateRequest{})
	for err == nil {
		var s *lnrpc.SubscribeStateResponse
		if s, err = states.Recv(); err == nil && s.State == lnrpc.WalletState_SERVER_ACTIVE {
			return nil
		}
	}
	return err
}

// keep copies the backup that lnd has sent, and the ledger.
func (f *Follower) keep(ctx context.Context, ln lnrpc.LightningClient, owner Owner, multi []byte) error {
	to, err := To(f.home)
	if err != nil {
		return notAsked(err)
	}
	if _, err := to.Keep(ctx, ln, owner, multi); err != nil {
		return err
	}
	return f.ledger.keep(ctx, to, owner)
}

// look copies what the folder lacks.
func (f *Follower) look(ctx context.Context, ln lnrpc.LightningClient, owner Owner) error {
	to, err := To(f.home)
	if err != nil {
		return notAsked(err)
	}
	if err := to.Look(ctx, ln, owner); err != nil {
		return err
	}
	return f.ledger.keepChanged(ctx, to, owner)
}

// notAsked is no error of a node that shall keep no second copy.
func notAsked(err error) error {
	if fault.Code(err) == CodeNoFolder {
		return nil
	}
	return err
}

// tell writes down how it went, and logs what is new.
func (f *Follower) tell(err error) {
	was := f.record.Get()
	f.record.Update(func(now *Following) {
		now.Code, now.Error = "", ""
		if err == nil {
			now.Checked = time.Now().UTC().Truncate(time.Second)
			return
		}
		now.Code, now.Error = fault.Code(err), err.Error()
	})
	switch {
	case err != nil && was.Error != err.Error():
		f.log.Error("the backup is not up to date", "error", err)
	case err == nil && was.Error != "":
		f.log.Info("the backup is up to date again")
	}
}

// Look makes the folder's copy anew when it is damaged, old, or of other channels than
// lnd has now. Codes: those of Keep.
func (f Folder) Look(ctx context.Context, ln lnrpc.LightningClient, o Owner) error {
	all, err := ln.ExportAllChannelBackups(ctx, &lnrpc.ChanBackupExportRequest{})
	if err != nil {
		return refused("make a backup", err)
	}
	multi := all.MultiChanBackup.MultiChanBackup
	m, err := f.manifest()
	var b *Backup
	if err == nil {
		b, err = f.channels(m)
	}
	if err == nil && b.Node == o.Key && time.Since(b.Channels.Time) < renewEvery {
		now, err := verified(ctx, ln, multi)
		if err != nil || slices.Equal(now, b.Channels.Channels) {
			return err
		}
	}
	_, err = f.Keep(ctx, ln, o, multi)
	return err
}
