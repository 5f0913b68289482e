package child

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lightningnetwork/lnd/chainreg"
	"github.com/lightningnetwork/lnd/lnwallet/btcwallet"

	"github.com/leydenln/leyden/internal/lnd"
)

// watchLifeline calls shutdown when the parent has gone, or asks us to end by
// closing its end of the pipe. If lnd is not down within stopGrace the process
// ends itself: an orphan would hold the databases and the peer port.
func watchLifeline(pipe *os.File, shutdown func()) {
	go func() {
		// Nobody writes: this returns at end of file, or on a broken
		// descriptor, which means the same.
		_, _ = io.Copy(io.Discard, pipe)
		time.AfterFunc(stopGrace, func() { os.Exit(lnd.ExitStuck) })
		shutdown()
	}()
}

// holdSignals keeps caught what lnd lets go of when it begins to end: the
// kernel may send the parent-death signal several times, and the second would
// break off an orderly end.
func holdSignals() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
}

// walletOnly stands in for the builder of lnd's chain control: it waits until
// the parent has its answer, then ends lnd's start.
type walletOnly struct {
	done <-chan struct{}
}

// BuildChainControl is part of lnd's ChainControlBuilder interface.
func (w walletOnly) BuildChainControl(*chainreg.PartialChainControl,
	*btcwallet.Config) (*chainreg.ChainControl, func(), error) {

	<-w.done
	return nil, nil, errWalletOnly
}
