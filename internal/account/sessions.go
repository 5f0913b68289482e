package account

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// listSessions is the hint where a session is not what it was taken for.
const listSessions = "leyden sessions list"

// sessionDetail is what the journal says about a session that was asked for.
type sessionDetail struct {
	Label       string       `json:"label,omitempty"`
	Kind        SessionKind  `json:"kind"`
	Mailbox     string       `json:"mailbox"`
	Expires     time.Time    `json:"expires"`
	Permissions []Permission `json:"permissions,omitempty"`
}

// ReserveSession records a session that is to be made: its ID, Label, Kind,
// Account, Permissions, Mailbox, DevServer, LocalKey, PrivateKey, Phrase and
// Expires. Codes: bad_session, account_unknown.
func (l *Ledger) ReserveSession(ctx context.Context, by audit.Actor, n Session) (Session, error) {
	if err := fitLabel(n.Label, CodeBadSession, "choose another --label"); err != nil {
		return Session{}, err
	}
	permissions, err := json.Marshal(n.Permissions)
	if err != nil {
		return Session{}, err
	}
	return write(ctx, l, func(s *step) (Session, error) {
		if n.Expires.UnixMilli() <= s.now {
			return Session{}, fault.New(CodeBadSession, "choose a later --expiry", "the session would have expired already")
		}
		row := guarddb.SessionInsertParams{
			ID: n.ID[:], Label: n.Label, Kind: string(n.Kind), Permissions: string(permissions),
			Mailbox: n.Mailbox, DevServer: bit(n.DevServer), LocalKey: n.LocalKey[:],
			PrivateKey: n.PrivateKey, Phrase: n.Phrase, CreatedMs: s.now, ExpiresMs: n.Expires.UnixMilli(),
		}
		of := ""
		if n.Kind == SessionAccount {
			owner, err := s.live(n.Account)
			if err != nil {
				return Session{}, err
			}
			row.Account, of = sql.NullInt64{Int64: owner.ID, Valid: true}, n.Account.String()
		}
		_, err := s.log(by, "session.add", of, n.ID.String(), sessionDetail{
			Label: n.Label, Kind: n.Kind, Mailbox: n.Mailbox, Expires: n.Expires, Permissions: n.Permissions,
		})
		if err == nil {
			err = s.SessionInsert(s, row)
		}
		return s.sessionUnless(err, n.ID)
	})
}

// BeginSession gives a reserved session its macaroon. Codes: session_unknown,
// session_ended.
func (l *Ledger) BeginSession(ctx context.Context, id SessionID, macaroon Secret) (Session, error) {
	return write(ctx, l, func(s *step) (Session, error) {
		if _, err := s.openSession(id); err != nil {
			return Session{}, err
		}
		err := s.SessionBegin(s, guarddb.SessionBeginParams{ID: id[:], Macaroon: macaroon})
		return s.sessionUnless(err, id)
	})
}

// PairSession keeps the key of the session's client, and forgets the phrase. A
// session that has a client takes no other. Codes: session_unknown,
// session_ended.
func (l *Ledger) PairSession(ctx context.Context, id SessionID, remoteKey []byte) (Session, error) {
	return write(ctx, l, func(s *step) (Session, error) {
		now, err := s.openSession(id)
		if err != nil || bytes.Equal(now.RemoteKey, remoteKey) {
			return now, err
		}
		if len(now.RemoteKey) > 0 {
			return Session{}, fault.New(CodeBadSession, listSessions, "session %s is paired with another client", id)
		}
		_, err = s.log(audit.ByGuard, "session.pair", now.journalAccount(), id.String(), map[string]string{"remote_key": hex.EncodeToString(remoteKey)})
		if err == nil {
			s.wiped = true
			err = s.SessionPair(s, guarddb.SessionPairParams{ID: id[:], RemoteKey: remoteKey})
		}
		return s.sessionUnless(err, id)
	})
}

// EndSession ends a session, to SessionRevoked or SessionExpired, and forgets its
// secrets. Done again with the same state it does nothing. Codes:
// session_unknown; session_ended, if it has ended in the other way.
func (l *Ledger) EndSession(ctx context.Context, by audit.Actor, id SessionID, state SessionState, reason string) (Session, error) {
	return write(ctx, l, func(s *step) (Session, error) {
		now, err := s.session(id)
		switch {
		case err != nil:
			return Session{}, err
		case now.State == state:
			return now, nil
		case !now.Open():
			return Session{}, fault.New(CodeSessionEnded, listSessions,
				"illegal session state transition from %s to %s: session %s has ended", now.State, state, id)
		}
		return s.sessionUnless(s.endSession(by, now, state, reason), id)
	})
}

func (s *step) endSession(by audit.Actor, now Session, state SessionState, reason string) error {
	kind := "session.revoke"
	if state == SessionExpired {
		kind = "session.expire"
	}
	if _, err := s.log(by, kind, now.journalAccount(), now.ID.String(), map[string]string{"reason": reason}); err != nil {
		return err
	}
	s.wiped = true
	return s.SessionEnd(s, guarddb.SessionEndParams{ID: now.ID[:], State: string(state), Reason: reason, EndedMs: s.now})
}

// endSessionsOf revokes the open sessions of an account.
func (s *step) endSessionsOf(by audit.Actor, account int64, reason string) error {
	rows, err := s.SessionsOpenOf(s, sql.NullInt64{Int64: account, Valid: true})
	if err != nil {
		return err
	}
	for _, row := range rows {
		now, err := sessionOf(row.Session, row.Name)
		if err != nil {
			return err
		}
		if err := s.endSession(by, now, SessionRevoked, reason); err != nil {
			return err
		}
	}
	return nil
}

// Session returns a session, also one that has ended. Code: session_unknown.
func (l *Ledger) Session(ctx context.Context, id SessionID) (Session, error) {
	return read(ctx, l, func(s *step) (Session, error) { return s.session(id) })
}

// SessionByKey returns the session with the local key. Code: session_unknown.
func (l *Ledger) SessionByKey(ctx context.Context, localKey []byte) (Session, error) {
	return read(ctx, l, func(s *step) (Session, error) {
		row, err := s.SessionByKey(s, localKey)
		if err != nil {
			return Session{}, unknownSession(hex.EncodeToString(localKey), err)
		}
		return sessionOf(row.Session, row.Name)
	})
}

// Sessions returns all sessions, oldest first.
func (l *Ledger) Sessions(ctx context.Context) ([]Session, error) {
	return read(ctx, l, func(s *step) ([]Session, error) {
		rows, err := s.SessionsAll(s)
		if err != nil {
			return nil, err
		}
		list := make([]Session, 0, len(rows))
		for _, row := range rows {
			one, err := sessionOf(row.Session, row.Name)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	})
}

func (s *step) session(id SessionID) (Session, error) {
	row, err := s.SessionByID(s, id[:])
	if err != nil {
		return Session{}, unknownSession(id.String(), err)
	}
	return sessionOf(row.Session, row.Name)
}

func (s *step) openSession(id SessionID) (Session, error) {
	now, err := s.session(id)
	if err == nil && !now.Open() {
		err = fault.New(CodeSessionEnded, listSessions, "session %s has ended: it is %s", id, now.State)
	}
	return now, err
}

func (s *step) sessionUnless(err error, id SessionID) (Session, error) {
	if err != nil {
		return Session{}, err
	}
	return s.session(id)
}

// journalAccount is the account that the journal files the session under.
func (s Session) journalAccount() string {
	if s.Kind != SessionAccount {
		return ""
	}
	return s.Account.String()
}

func sessionOf(row guarddb.Session, account []byte) (Session, error) {
	s := Session{
		ID: SessionID(row.ID), Label: row.Label, Kind: SessionKind(row.Kind),
		Mailbox: row.Mailbox, DevServer: row.DevServer != 0,
		State: SessionState(row.State), Reason: row.Reason,
		LocalKey: [33]byte(row.LocalKey), RemoteKey: row.RemoteKey,
		PrivateKey: row.PrivateKey, Phrase: row.Phrase, Macaroon: row.Macaroon,
		Created: clock(row.CreatedMs), Expires: clock(row.ExpiresMs), Ended: clock(row.EndedMs),
	}
	if s.Kind == SessionAccount {
		s.Account = ID(account)
	}
	return s, json.Unmarshal([]byte(row.Permissions), &s.Permissions)
}

func unknownSession(name string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(CodeSessionUnknown, listSessions, "no session %q", name)
	}
	return err
}
