package guardpost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/guard"
)

// Pauses between two attempts to attach; doubled each time.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// codeOtherNode is the code of accounts that belong to another node.
const codeOtherNode = "other_node"

// LND is an lnd to attach to.
type LND struct {
	// Dial connects to it with the macaroon, best with DialOptions; Keep closes
	// the connection.
	Dial func(macaroon []byte) (*grpc.ClientConn, error)

	// Macaroon reads the operator's macaroon, binary.
	Macaroon func() ([]byte, error)

	// Run names this life of lnd; empty gives each attachment a name of its own.
	Run string

	// MayOutlive: see guard.Access.
	MayOutlive bool
}

// Keep attaches the guard to lnd, and again whenever it is lost, until ctx
// ends. It opens the front once the guard is attached and shuts it when it no
// longer is; watch, called by Keep's goroutine alone, is told nil for the first
// and the reason for the second. An error is for the operator to put right:
// other_node.
func (p *Post) Keep(ctx context.Context, lnd LND, watch func(error)) error {
	pause := minPause
	for {
		attached := false
		err := p.attach(ctx, lnd, func() {
			if p.opened(ctx) {
				attached = true
				watch(nil)
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		p.lost(ctx)
		watch(err)
		if fault.Code(err) == codeOtherNode {
			return err
		}
		if attached {
			pause = minPause
		}
		p.opts.Logger.Warn("the guard is not attached to lnd", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// attach attaches the guard once and returns why it was lost.
func (p *Post) attach(ctx context.Context, lnd LND, ready func()) error {
	macaroon, err := lnd.Macaroon()
	if err != nil {
		return err
	}
	conn, err := lnd.Dial(macaroon)
	if err != nil {
		return err
	}
	defer conn.Close()
	run := lnd.Run
	if run == "" {
		run = NewRun()
	}
	keepID, err := p.sameNode(ctx, conn)
	if err != nil {
		return err
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	access := guard.Access{Conn: conn, Macaroon: macaroon, Run: run, MayOutlive: lnd.MayOutlive}
	err = p.guard.Serve(ctx, access, func() {
		if err := keepID(); err != nil {
			giveUp(err)
			return
		}
		ready()
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// sameNode makes sure that the ledger is used before the node it was begun
// with: another one would not know its payments, and reservations would be
// released that are still being paid. Nobody can have used the accounts before
// keepID has noted the node.
func (p *Post) sameNode(ctx context.Context, conn *grpc.ClientConn) (keepID func() error, err error) {
	info, err := lnrpc.NewLightningClient(conn).GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask lnd who it is: %w", err)
	}
	path := filepath.Join(p.opts.Dir, nodeFile)
	known, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return files.Write(path, []byte(info.IdentityPubkey+"\n"), 0o600) }, nil
	}
	if err != nil {
		return nil, err
	}
	if id := strings.TrimSpace(string(known)); id != info.IdentityPubkey {
		return nil, fault.New(codeOtherNode, "use another --home, or move the guard folder away to begin with no accounts",
			"the accounts in %q are those of node %s, this is %s", p.opts.Dir, id, info.IdentityPubkey)
	}
	return func() error { return nil }, nil
}
