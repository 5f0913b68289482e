package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

	// minPause and maxPause bound the pause before a follower connects again;
	// doubled each time.
	minPause = time.Second
	maxPause = time.Minute
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
}

// NewFollower starts nothing yet.
func NewFollower(h config.Home, network string, log *slog.Logger) *Follower {
	return &Follower{
		home: h, network: network, log: log, ledger: ledgerKeeper{home: h},
		record: daemon.NewRecord(recordFile(h), Following{PID: os.Getpid()}, log),
	}
}

// Dial connects to lnd with the admin macaroon.
type Dial func() (*grpc.ClientConn, error)

// Run follows until ctx ends; one Run follows the other. What fails is logged, written
// down, and tried again.
func (f *Follower) Run(ctx context.Context, dial Dial) {
	pause := minPause
	for {
		began := time.Now()
		err := f.follow(ctx, dial)
		if ctx.Err() != nil {
			return
		}
		if !lost(err) {
			f.tell(err)
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// lost says whether it is only lnd that has ended: its supervisor says why.
func lost(err error) bool {
	code := status.Code(err)
	return errors.Is(err, io.EOF) || code == codes.Unavailable || code == codes.Canceled
}

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
			f.tell(errors.Join(f.restore(ctx, ln, owner), f.look(ctx, ln, owner)))
			looked, at = time.Now(), to
		}
		select {
		case multi := <-changed:
			f.tell(f.keep(ctx, ln, owner, multi))
		case <-tick.C:
		case err := <-ended:
			if failed := f.leave(context.WithoutCancel(ctx), owner); failed != nil {
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
	if b, err := f.Read(); err == nil && b.Node == o.Key && time.Since(b.Channels.Time) < renewEvery {
		now, err := verified(ctx, ln, multi)
		if err != nil || slices.Equal(now, b.Channels.Channels) {
			return err
		}
	}
	_, err = f.Keep(ctx, ln, o, multi)
	return err
}
