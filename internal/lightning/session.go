package lightning

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/lnc"
)

// Codes of sessions of Lightning Node Connect.
const (
	CodeSessionNotFound  = "lnc_session_not_found"
	CodeSessionInUse     = "lnc_session_in_use"
	CodeAnotherNode      = "lnc_another_node"
	CodeRelayUnreachable = "relay_unreachable"
)

// sessionPatience is how long one attempt to reach the node through the relay
// goes on. It is shorter than what callers wait, so that they hear the reason.
const sessionPatience = 8 * time.Second

// sessionGrace is how long an attempt goes on that the relay has no session for,
// or in which it cannot be reached: either may be over in a moment.
const sessionGrace = 5 * time.Second

// pairingPatience is the same as sessionPatience for the first time, when both stretch the phrase.
const pairingPatience = 25 * time.Second

// DialSession prepares a connection to the node of a session of Lightning Node
// Connect, made when the first call needs it and again whenever it has ended.
// The node is known by the key in the session, and its macaroon is what the
// node gives at each connection. The Dialer is the client's from here on, and
// ends with it. lock, if not nil, is waited for before the relay hears of the
// session, for as long as the call that needs it, and what it returns is called
// when the client is closed: a session serves one connection at a time.
func DialSession(dialer *lnc.Dialer, lock func(context.Context) (unlock func(), err error)) (*Client, error) {
	s := &session{dialer: dialer, lock: lock}
	s.paired = dialer.Identity.Remote != nil
	s.turn = make(chan struct{}, 1)
	s.life, s.end = context.WithCancel(context.Background())
	dialer.OnStatus = s.heard
	patience := sessionPatience
	if dialer.Identity.Remote == nil {
		patience = pairingPatience
	}
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 200*time.Millisecond, 5*time.Second
	conn, err := dialer.NewClient(
		grpc.WithContextDialer(s.dial),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: patience}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, err
	}
	return &Client{host: dialer.Mailbox.Addr, conn: conn, session: s}, nil
}

// session is the way to a node through a relay, and what is wrong with it.
type session struct {
	dialer *lnc.Dialer
	lock   func(context.Context) (func(), error)
	turn   chan struct{} // held by the one that waits for lock
	life   context.Context
	end    context.CancelFunc

	mu      sync.Mutex
	trouble error  // nil: none that is known
	paired  bool   // before, or by now
	unlock  func() // nil: not locked
	closed  bool
	giveUp  func()      // ends the attempt
	timer   *time.Timer // until which it goes on; nil: as long as it may
}

// dial is called by gRPC, once at a time, when the session is locked.
func (s *session) dial(ctx context.Context, _ string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.attempt(cancel)
	if key := s.dialer.Identity.Static; key != nil {
		go key.PubKey() // the curve's tables take 10 ms, in which the relay is reached
	}
	conn, err := s.dialer.Dial(ctx)
	s.attempt(nil)
	s.met(err)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paired = true
	return conn, nil
}

// Enter waits until this process may use the session through which the node is
// reached; where it is reached directly there is nothing to wait for. Calls do
// so by themselves. Code lnc_session_in_use.
func (c *Client) Enter(ctx context.Context) error {
	if c.session == nil {
		return nil
	}
	return c.session.enter(ctx)
}

// enter takes the lock, unless it has it.
func (s *session) enter(ctx context.Context) error {
	if s.entered() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return s.kept(ctx)
	}
	if s.entered() { // by who had the turn before
		return nil
	}
	unlock, err := s.lock(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return s.kept(ctx)
	case err != nil:
		return files.Fault("the session's lock", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		unlock()
		return net.ErrClosed
	}
	s.unlock = unlock
	return nil
}

func (s *session) entered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlock != nil || s.lock == nil
}

// kept is the error of who has waited for the lock in vain.
func (s *session) kept(ctx context.Context) error {
	if s.life.Err() != nil {
		return net.ErrClosed
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	code, hint, _ := diagnose(lnc.ErrOccupied)
	return fault.New(code, hint, "node through %s: another process here has the connection", s.dialer.Mailbox.Addr)
}

// close ends the connection, and only then lets the next process have it.
func (s *session) close() error {
	s.end()
	err := s.dialer.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
	return err
}

func (s *session) met(trouble error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = trouble
}

// heard is told by the relay what is wrong while an attempt goes on, which is
// given up if that stays so.
func (s *session) heard(status lnc.Status) {
	switch status {
	case lnc.StatusNotFound:
		s.met(lnc.ErrNotFound)
		s.doubt()
	case lnc.StatusDisconnected:
		s.doubt()
	case lnc.StatusOccupied:
		s.met(lnc.ErrOccupied)
		s.hopeful()
	default:
		s.hopeful()
	}
}

// attempt begins an attempt that giveUp ends, nil: none goes on.
func (s *session) attempt(giveUp func()) {
	s.hopeful()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp = giveUp
}

func (s *session) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && s.giveUp != nil {
		s.timer = time.AfterFunc(sessionGrace, s.giveUp)
	}
}

func (s *session) hopeful() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// explain is the fault of a call that has not reached the node, nil of any
// other.
func (s *session) explain(name string, st *status.Status) error {
	s.mu.Lock()
	trouble, paired := s.trouble, s.paired
	s.mu.Unlock()
	if _, refused := frontRefusal(st.Message()); refused || trouble == nil ||
		st.Code() != codes.Unavailable && st.Code() != codes.DeadlineExceeded {
		return nil
	}
	code, hint, text := diagnose(trouble)
	if code == CodeSessionNotFound && !paired {
		hint = "check the words and the relay's address; words serve once, for ten minutes: on the node: leyden sessions add"
		text = "no node waits there for these words"
	}
	return fault.New(code, hint, "node through %s: %s: %w", s.dialer.Mailbox.Addr, name, &rpcError{st, text})
}

// diagnose says why a node is not reached through a relay.
func diagnose(trouble error) (code, hint, text string) {
	kept, ours := errors.AsType[*fault.Error](trouble)
	switch {
	case ours: // the session's keys could not be kept
		return kept.Code, kept.Hint, kept.Error()
	case errors.Is(trouble, lnc.ErrNotFound):
		return CodeSessionNotFound, "is the node up, and the session not revoked or over? on the node: leyden sessions list",
			"the relay knows no such session"
	case errors.Is(trouble, lnc.ErrOccupied):
		return CodeSessionInUse, "end the other program that uses the session, or give each its own: leyden sessions add, on the node",
			lnc.ErrOccupied.Error()
	case errors.Is(trouble, lnc.ErrAnotherNode):
		return CodeAnotherNode, "pair anew, with words of the node that you mean", lnc.ErrAnotherNode.Error()
	case errors.Is(trouble, lnc.ErrUnreachable) && strings.Contains(trouble.Error(), "x509:"):
		return CodeRelayUnreachable, "its certificate is of no authority that is known here; if the relay is yours, say that it is a dev server",
			unreachable(trouble)
	case errors.Is(trouble, lnc.ErrUnreachable):
		return CodeRelayUnreachable, "check the network and the relay's address", unreachable(trouble)
	}
	return CodeUnreachable, "is the node up? on the node: leyden node status", trouble.Error()
}

// unreachable is why a relay cannot be reached, without what was begun before
// and given up for it.
func unreachable(trouble error) string {
	why := lnc.ErrUnreachable.Error()
	_, cause, _ := strings.Cut(trouble.Error(), why)
	cause, _, _ = strings.Cut(cause, ": interrupted")
	return why + cause
}
