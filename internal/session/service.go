package session

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/lnc"
)

// look is how often a session's time is looked at: a machine may have slept.
const look = 30 * time.Second

// service is what serves one session.
type service struct {
	tunnel  Tunnel
	stop    func() // closes the tunnel, once
	paired  chan account.Session
	stopped chan struct{}
}

// serve listens for a session's client.
func (m *Manager) serve(s account.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	svc := &service{paired: make(chan account.Session, 1), stopped: make(chan struct{})}
	config, err := m.config(s, svc)
	if err != nil {
		return err
	}
	l, err := m.opts.Listen(config)
	if err != nil {
		return err
	}
	svc.tunnel = m.opts.Open(front.TunnelOptions{
		Name: s.ID.String(), Listener: l, Credentials: lnc.Credentials(), Admit: admit(s.ID),
	})
	svc.stop = sync.OnceFunc(func() {
		close(svc.stopped)
		if err := svc.tunnel.Close(); err != nil {
			m.log.Warn("a session's tunnel did not close well", "session", s.ID, "error", err)
		}
	})
	m.serving[s.ID] = svc
	m.watching.Go(func() { m.watch(s, svc) })
	return nil
}

// config is the listener's side of the session's record.
func (m *Manager) config(s account.Session, svc *service) (lnc.ListenerConfig, error) {
	key, _ := btcec.PrivKeyFromBytes(s.PrivateKey)
	c := lnc.ListenerConfig{
		Mailbox:  lnc.Mailbox{Addr: s.Mailbox},
		Identity: lnc.Identity{Static: key},
		AuthData: []byte("Macaroon: " + hex.EncodeToString(s.Macaroon)),
		Log:      m.log.With("session", s.ID),
		Persist: func(id lnc.Identity) error {
			now, err := m.opts.Ledger.PairSession(context.Background(), s.ID, id.Remote.SerializeCompressed())
			if err != nil {
				return err
			}
			select {
			case svc.paired <- now:
			default: // told already
			}
			return nil
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

// watch ends the session when its time is over.
func (m *Manager) watch(s account.Session, svc *service) {
	for {
		due, how := m.due(s)
		select {
		case <-svc.stopped:
			return
		case s = <-svc.paired:
			continue
		case <-time.After(min(max(0, time.Until(due)), look)):
		}
		over := !time.Now().Before(due)
		if !over {
			continue
		}
		err := m.end(context.Background(), s.ID, how)
		if err == nil {
			m.log.Info("a session has ended", "session", s.ID, "reason", how.reason)
			return
		}
		m.log.Error("a session that is over cannot be ended", "session", s.ID, "error", err)
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
		var parsed *macaroon.Macaroon
		var key uint64
		if err == nil {
			parsed, err = macaroon.Parse(raw)
		}
		if err == nil {
			key, err = parsed.RootKeyID()
		}
		if err != nil || key != id.RootKeyID() {
			return &front.Refusal{Code: codes.PermissionDenied, Reason: "session_macaroon",
				Sentence: "through a session its own macaroon is good, and no other"}
		}
		return nil
	}
}
