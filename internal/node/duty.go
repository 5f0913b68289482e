package node

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/lnd"
)

// duty keeps guard, front and record in step with the child: the guard is
// attached to each run of lnd that serves.
type duty struct {
	node    *Node
	report  func()
	backups *backup.Follower

	// run is the run of lnd that the guard is kept on, if any; name is that of
	// the last one, named. Only follow and end touch them.
	run   *run
	name  string
	named int

	mu       sync.Mutex // guards what follows
	status   lnd.Status
	attached bool
	grace    *time.Timer
}

// run is the guard's duty at one run of the child.
type run struct {
	restarts int
	giveUp   context.CancelFunc
	kept     chan struct{} // closed once the guard has ended
}

func newDuty(n *Node, ready func(Running)) *duty {
	return &duty{
		node: n, report: sync.OnceFunc(func() { ready(n.record.Get()) }),
		backups: backup.NewFollower(n.home, n.record.Get().Network, n.log),
	}
}

// follow acts on a status of the child. The front is shut before anything else,
// and the guard has let go of a run before it is attached to the next.
func (d *duty) follow(s lnd.Status) {
	serving := s.State.Serving() && s.SignerErr == nil
	over := d.run != nil && (!serving || d.run.restarts != s.Restarts)
	if over {
		d.run.giveUp()
	}
	if over || !serving {
		d.node.post.Shut(away(s))
	}
	if over {
		<-d.run.kept
		d.run = nil
		d.node.record.guard(false, nil)
	}
	d.node.record.lnd(s)
	d.judge(func() {
		d.status = s
		d.attached = d.attached && !over
	})
	if serving && d.run == nil {
		d.run = d.keep(s.Restarts)
	}
}

// keep attaches the guard to a run of the child and keeps it there.
func (d *duty) keep(restarts int) *run {
	ctx, giveUp := context.WithCancel(context.Background())
	r := &run{restarts: restarts, giveUp: giveUp, kept: make(chan struct{})}
	to := guardpost.LND{
		Run:      d.nameOf(restarts),
		Macaroon: func() ([]byte, error) { return os.ReadFile(d.node.record.Get().Macaroon) },
		Dial: func(macaroon []byte) (*grpc.ClientConn, error) {
			return d.node.supervisor.Endpoint().Dial(guardpost.DialOptions(macaroon, d.node.dialer(restarts))...)
		},
	}
	go func() {
		defer close(r.kept)
		var beside sync.WaitGroup
		beside.Go(func() { d.backups.Run(ctx, dialTo(to)) })
		defer beside.Wait()
		if err := d.node.post.Keep(ctx, to, d.watch); err != nil {
			select {
			case d.node.failed <- err:
			default: // an earlier one ends the node already
			}
		}
	}()
	return r
}

// nameOf names a run of the child, which has one name also when the guard is
// attached to it again after the signer was away.
func (d *duty) nameOf(restarts int) string {
	if d.name == "" || d.named != restarts {
		d.name, d.named = guardpost.NewRun(), restarts
	}
	return d.name
}

// dialer connects to one run of the child: a child that is started later counts
// as another before it listens.
func (n *Node) dialer(restarts int) guardpost.Dialer {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", n.supervisor.Endpoint().Socket)
		if err == nil && n.supervisor.Status().Restarts != restarts {
			err = errors.Join(errors.New("this run of lnd has ended"), conn.Close())
		}
		return conn, err
	}
}

// watch is told when the guard is attached (nil) and when it is not.
func (d *duty) watch(err error) {
	d.node.record.guard(err == nil, err)
	d.judge(func() { d.attached = err == nil })
}

// judge reports that the node is up, once it is.
func (d *duty) judge(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	switch {
	case d.status.AwaitsPassword, d.status.SignerAway(), d.attached && d.status.State == lnd.Active:
		d.report()
	case d.attached && d.grace == nil:
		d.grace = time.AfterFunc(d.node.syncGrace, d.report)
	}
}

// end lets the guard go. It follows the last follow.
func (d *duty) end() {
	if d.run != nil {
		d.run.giveUp()
		<-d.run.kept
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.grace != nil {
		d.grace.Stop()
	}
}

// away is what clients are told while lnd does not serve.
func away(s lnd.Status) front.Refusal {
	r := front.Refusal{Code: codes.Unavailable, Reason: "starting", Sentence: "lnd is starting", Hint: "leyden node status"}
	switch {
	case s.SignerAway():
		return signerAway(fault.Code(s.SignerErr))
	case s.AwaitsPassword:
		r.Reason, r.Sentence, r.Hint = "wallet_locked", "the wallet is locked", "leyden node unlock"
	case s.Err != nil && s.State == lnd.Down:
		// Anybody who reaches the port sees this: the code, not the details.
		r.Reason, r.Sentence = "lnd_down", "lnd is down and will be started again: "+fault.Code(s.Err)
	}
	return r
}
