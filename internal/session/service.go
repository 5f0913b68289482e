package session

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/lnc"
)

// look is how often a session's time is looked at: a machine may have slept.
const look = 30 * time.Second

// service is what serves one session.
type service struct {
	seen    time.Time // when it began
	shut    func()    // closes the tunnel, once
	stopped chan struct{}
	stop    func() // once: shut, and the session's time is looked at no more
}

// serve listens for a session's client, and returns the session as it is then.
// Code: session_ended.
func (m *Manager) serve(ctx context.Context, s account.Session) (account.Session, error) {
	if err := m.open(s); err != nil {
		return account.Session{}, err
	}
	// Who ended it before there was something to close has closed nothing.
	now, err := m.opts.Ledger.SessionByKey(context.WithoutCancel(ctx), s.LocalKey[:])
	if err == nil && !now.Open() {
		err = fault.New(account.CodeSessionEnded, "leyden sessions list", "session %s has ended already: %s", now.ID, now.Reason)
	}
	if err != nil {
		m.Over([]account.SessionID{s.ID})
	}
	return now, err
}

// open begins to serve a session, unless it is served.
func (m *Manager) open(s account.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	if m.serving[s.ID] != nil {
		return nil
	}
	svc := &service{seen: time.Now(), stopped: make(chan struct{})}
	config, err := m.config(s)
	if err != nil {
		return err
	}
	config.OnStatus = svc.notice(config.Log, s.Mailbox)
	l, err := m.opts.Listen(config)
	if err != nil {
		return err
	}
	tunnel := m.opts.Open(front.TunnelOptions{
		Name: s.ID.String(), Listener: l, Credentials: lnc.Credentials(), Admit: admit(s.ID),
	})
	svc.shut = sync.OnceFunc(func() {
		if err := tunnel.Close(); err != nil {
			m.log.Warn("a session's tunnel did not close well", "session", s.ID, "error", err)
		}
	})
	svc.stop = sync.OnceFunc(func() {
		close(svc.stopped)
		svc.shut()
	})
	m.serving[s.ID] = svc
	m.watching.Go(func() { m.watch(s, svc) })
	return nil
}

// notice logs when the way through the relay is lost, and when it is there again.
func (svc *service) notice(log *slog.Logger, relay string) func(lnc.Status) {
	lost := false
	return func(status lnc.Status) {
		select {
		case <-svc.stopped:
			return // as it should be
		default:
		}
		there := status == lnc.StatusIdle || status == lnc.StatusInUse
		switch {
		case there && lost:
			log.Info("a session has its relay again", "relay", relay)
		case !there && !lost:
			log.Warn("a session has no way through its relay", "relay", relay, "status", status)
		}
		lost = !there
	}
}

// config is the listener's side of the session's record.
func (m *Manager) config(s account.Session) (lnc.ListenerConfig, error) {
	key, _ := btcec.PrivKeyFromBytes(s.PrivateKey)
	c := lnc.ListenerConfig{
		Mailbox:  lnc.Mailbox{Addr: s.Mailbox},
		Identity: lnc.Identity{Static: key},
		AuthData: []byte("Macaroon: " + hex.EncodeToString(s.Macaroon)),
		Log:      m.log.With("session", s.ID),
		Persist: func(id lnc.Identity) error {
			_, err := m.opts.Ledger.PairSession(context.Background(), s.ID, id.Remote.SerializeCompressed())
			return err
		},
	}
	if s.DevServer {
		c.Mailbox.TLS = &tls.Config{InsecureSkipVerify: true} // what passes is encrypted end to end
	}
	if len(s.RemoteKey) == 0 {
		if copy(c.Phrase[:], s.Phrase) != len(c.Phrase) {
			return lnc.ListenerConfig{}, errors.New("the session's phrase is missing")
		}
		return c, nil
	}
	remote, err := btcec.ParsePubKey(s.RemoteKey)
	c.Identity.Remote = remote
	return c, err
}

// watch ends the session when its time is over. While that cannot be kept for good,
// it is not served in any case.
func (m *Manager) watch(s account.Session, svc *service) {
	for {
		due, how := m.due(s, svc.seen)
		select {
		case <-svc.stopped:
			return
		case <-time.After(min(max(0, time.Until(due)), look)):
		}
		if !over(due) {
			continue
		}
		now, err := m.opts.Ledger.SessionByKey(context.Background(), s.LocalKey[:])
		if err == nil {
			if later, _ := m.due(now, svc.seen); !over(later) {
				s = now // it has paired
				continue
			}
			err = m.end(context.Background(), s.ID, how)
		}
		if err == nil {
			m.log.Info("a session has ended", "session", s.ID, "reason", how.reason)
			return
		}
		m.log.Error("a session that is over cannot be ended", "session", s.ID, "error", err)
		svc.shut()
		select {
		case <-svc.stopped:
			return
		case <-time.After(look):
		}
	}
}

// admit holds a session's calls to its own macaroon.
func admit(id account.SessionID) func(*front.Call) error {
	return func(call *front.Call) error {
		raw, err := call.Macaroon()
		if errors.Is(err, front.ErrNoMacaroon) {
			return nil // lnd refuses it, unless the method needs none
		}
		var key uint64
		if err == nil {
			key, err = macaroon.RootKeyID(raw)
		}
		if err != nil || key != id.RootKeyID() {
			return &front.Refusal{Code: codes.PermissionDenied, Reason: "session_macaroon",
				Sentence: "through a session its own macaroon is good, and no other"}
		}
		return nil
	}
}
