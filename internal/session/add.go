package session

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/lnc"
)

// DefaultMailbox is the relay that litcli names by default.
const DefaultMailbox = "mailbox.terminal.lightning.today:443"

// Order asks for a session.
type Order struct {
	Label   string
	Kind    account.SessionKind
	Account account.ID // of SessionAccount

	// Permissions are those of SessionCustom: see guard.Guard.AddSession.
	Permissions []account.Permission

	Expires time.Time

	// Mailbox is the relay, host:port; DevServer means that its certificate is
	// not verified.
	Mailbox   string
	DevServer bool
}

// codeMany is the code of a session too many.
const codeMany = "too_many_sessions"

// maxHost is the longest name of a relay, in bytes: that of DNS.
const maxHost = 253

// Add makes a session and listens for its client. Codes: bad_session, bad_address,
// too_many_sessions, and those of Guard.AddSession.
func (m *Manager) Add(ctx context.Context, by audit.Actor, o Order) (account.Session, error) {
	if err := o.check(time.Now()); err != nil {
		return account.Session{}, err
	}
	if err := m.enter(); err != nil {
		return account.Session{}, err
	}
	defer m.leave()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return account.Session{}, err
	}
	phrase := lnc.NewPhrase()
	public := [33]byte(key.PubKey().SerializeCompressed())
	made, err := m.opts.Guard.AddSession(ctx, by, account.Session{
		ID: account.SessionID(public[1:5]), Label: o.Label, Kind: o.Kind, Account: o.Account,
		Permissions: o.Permissions, Mailbox: o.Mailbox, DevServer: o.DevServer, Expires: o.Expires,
		LocalKey: public, PrivateKey: key.Serialize(), Phrase: phrase[:],
	})
	if err != nil {
		return account.Session{}, err
	}
	now, err := m.serve(ctx, made)
	if err != nil { // its account may have been removed meanwhile
		return account.Session{}, errors.Join(err, m.end(ctx, made.ID, ending{account.SessionRevoked, "it could not be served"}))
	}
	return now, nil
}

// enter takes the place of a session that is to be made, until leave.
func (m *Manager) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.serving)+m.adding >= m.opts.Most {
		return fault.New(codeMany, "leyden sessions list", "%d sessions are open, as many as may be: revoke one", m.opts.Most)
	}
	m.adding++
	return nil
}

func (m *Manager) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.adding--
}

func (o Order) check(now time.Time) error {
	if !now.Before(o.Expires) {
		return fault.New(account.CodeBadSession, "choose a later --expiry", "the session would have expired already")
	}
	host, port, err := net.SplitHostPort(o.Mailbox)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || !isHost(host) {
		return fault.New("bad_address", "--mailboxserveraddr "+DefaultMailbox, "relay %.300q: want host:port", o.Mailbox)
	}
	return nil
}

// isHost says whether a text can be that of a host, and can be shown.
func isHost(host string) bool {
	if host == "" || len(host) > maxHost {
		return false
	}
	return !strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\?#@"`, r) })
}
