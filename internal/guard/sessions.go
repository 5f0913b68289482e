package guard

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
)

// sessionBook is what a call's macaroon is judged by, of every session there has
// been.
type sessionBook struct {
	mu  sync.RWMutex
	all map[account.SessionID]sessionEntry
}

type sessionEntry struct {
	open bool
	kind account.SessionKind
	of   account.ID // of account sessions
}

func (b *sessionBook) get(id account.SessionID) (sessionEntry, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e, ok := b.all[id]
	return e, ok
}

func (b *sessionBook) put(s account.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[s.ID] = sessionEntry{open: s.Open(), kind: s.Kind, of: s.Account}
}

// openOf returns the open sessions of an account.
func (b *sessionBook) openOf(id account.ID) []account.SessionID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []account.SessionID
	for session, e := range b.all {
		if e.open && e.kind == account.SessionAccount && e.of == id {
			list = append(list, session)
		}
	}
	return list
}

// loadSessions reads what the ledger knows of sessions. Those that were being made
// when the last run ended are revoked, if only for this run.
func (g *Guard) loadSessions(ctx context.Context) error {
	list, err := g.opts.Ledger.Sessions(ctx)
	if err != nil {
		return err
	}
	g.sessions.all = make(map[account.SessionID]sessionEntry, len(list))
	for _, s := range list {
		if s.State == account.SessionReserved {
			if _, err := g.opts.Ledger.EndSession(ctx, audit.ByGuard, s.ID, account.SessionRevoked, cutShort); err != nil {
				g.log.Error("a session whose making was cut short is left in the list", "session", s.ID, "error", err)
			}
			s.State = account.SessionRevoked
		}
		g.sessions.put(s)
	}
	return nil
}

// cutShort is why a session ended that was never made.
const cutShort = "its making was cut short"

var errSessionEnded = refuse(codes.PermissionDenied, account.CodeSessionEnded, "", "this session was revoked or has expired")

// judgeSession refuses a macaroon of a session that has ended, or that its session
// was not made for; of is the account of its caveat, if it has one. Macaroons on
// root keys that are no session's of ours are not its matter.
func (g *Guard) judgeSession(cred credential, of *account.ID) error {
	key, err := cred.RootKeyID()
	if err != nil {
		return nil // lnd refuses what it has not written
	}
	id, ok := account.SessionOfRootKey(key)
	if !ok {
		return nil
	}
	session, known := g.sessions.get(id)
	switch {
	case !known && of == nil:
		return nil
	case known && !session.open:
		return errSessionEnded
	case !known || (session.kind == account.SessionAccount) != (of != nil) || of != nil && session.of != *of:
		return refuse(codes.PermissionDenied, "session_macaroon", "", "this macaroon is none of a session of the account")
	}
	return nil
}

// isSession says whether a root key is one of the sessions'.
func isSession(rootKeyID uint64) bool {
	_, ok := account.SessionOfRootKey(rootKeyID)
	return ok
}

// AddSession makes a session with its macaroon, or ends it again. Of n it wants
// what account.Ledger.ReserveSession does. Codes: those of that, node_unreachable,
// node_error, bad_session.
func (g *Guard) AddSession(ctx context.Context, by audit.Actor, n account.Session) (account.Session, error) {
	lnd, err := g.attached()
	if err != nil {
		return account.Session{}, err
	}
	if n.Permissions, err = lnd.sessionPermissions(n.Kind, n.Permissions); err != nil {
		return account.Session{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	if err := lnd.vacant(ctx, n.ID.RootKeyID()); err != nil {
		return account.Session{}, err
	}
	reserved, err := g.opts.Ledger.ReserveSession(ctx, by, n)
	if err != nil {
		return account.Session{}, err
	}
	g.sessions.put(reserved)
	baked, err := lnd.bakeSession(ctx, reserved)
	if err == nil {
		reserved, err = g.opts.Ledger.BeginSession(ctx, n.ID, baked)
	}
	if err != nil {
		lnd.leave() // its root key, where lnd bakes late
		if _, undo := g.EndSession(ctx, by, n.ID, account.SessionRevoked, cutShort); undo != nil {
			g.log.Error("a session without a macaroon was left", "session", n.ID, "error", undo)
			g.sessionsOver(ctx, []account.SessionID{n.ID}) // at lnd, and in this run
		}
		return account.Session{}, err
	}
	return reserved, nil
}

// EndSession ends a session, also while lnd is away: its calls are cut off and its
// macaroon is void when it returns. Codes: those of the ledger's EndSession.
func (g *Guard) EndSession(
	ctx context.Context, by audit.Actor, id account.SessionID, state account.SessionState, reason string,
) (account.Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	ended, err := g.opts.Ledger.EndSession(ctx, by, id, state, reason)
	if err != nil {
		return account.Session{}, err
	}
	g.sessionsOver(ctx, []account.SessionID{id})
	return ended, nil
}

// accountSessionsOver ends what the ledger has ended together with an account or
// its macaroons.
func (g *Guard) accountSessionsOver(ctx context.Context, id account.ID) {
	g.sessionsOver(ctx, g.sessions.openOf(id))
}

// rootKeyPatience is how long the end of sessions waits for lnd: their macaroons are
// void at the front already, and what is left is tried again.
const rootKeyPatience = 5 * time.Second

// sessionsOver makes an end of sessions that the ledger has ended.
func (g *Guard) sessionsOver(ctx context.Context, list []account.SessionID) {
	if len(list) == 0 {
		return
	}
	for _, id := range list {
		entry, _ := g.sessions.get(id)
		g.sessions.put(account.Session{ID: id, Kind: entry.kind, Account: entry.of, State: account.SessionRevoked})
	}
	g.verifier.ForgetAll()
	g.opts.CutOff(*errSessionEnded, func(call *front.Call) bool {
		key, ok := rootKeyOf(call)
		id, isSession := account.SessionOfRootKey(key)
		return ok && isSession && slices.Contains(list, id)
	})
	var ending sync.WaitGroup
	ending.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, rootKeyPatience)
		defer cancel()
		if lnd := g.lnd.Load(); lnd != nil {
			for _, id := range list {
				lnd.deleteRootKey(ctx, g, id.RootKeyID())
			}
		}
	})
	ending.Go(func() { g.opts.SessionsOver(list) })
	ending.Wait()
}

// orphaned ends the sessions whose root keys are not at lnd any more, deleted past
// the front or lost: their macaroons are void. There are those that lnd has, asked
// after the sessions.
func (g *Guard) orphaned(sessions []account.Session, there map[uint64]bool) {
	for _, s := range sessions {
		if s.State == account.SessionCreated && !there[s.ID.RootKeyID()] {
			g.sessionRevoked(audit.ByGuard, s.ID.RootKeyID())
		}
	}
}

// sessionRevoked ends the session whose root key somebody has deleted at lnd.
func (g *Guard) sessionRevoked(by audit.Actor, rootKeyID uint64) {
	id, ok := account.SessionOfRootKey(rootKeyID)
	if _, known := g.sessions.get(id); !ok || !known {
		return
	}
	_, err := g.EndSession(context.Background(), by, id, account.SessionRevoked, "its root key is gone from lnd")
	if err != nil && fault.Code(err) != account.CodeSessionEnded {
		g.log.Error("a session whose root key is gone was left", "session", id, "error", err)
	}
}
