package session

import (
	"context"
	"errors"
	"net"
	"strconv"
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

// Add makes a session and listens for its client. Codes: bad_session, bad_address,
// and those of Guard.AddSession.
func (m *Manager) Add(ctx context.Context, by audit.Actor, o Order) (account.Session, error) {
	if err := o.check(time.Now()); err != nil {
		return account.Session{}, err
	}
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

func (o Order) check(now time.Time) error {
	if !now.Before(o.Expires) {
		return fault.New(account.CodeBadSession, "choose a later --expiry", "the session would have expired already")
	}
	host, port, err := net.SplitHostPort(o.Mailbox)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return fault.New("bad_address", "--mailboxserveraddr "+DefaultMailbox, "relay %q: want host:port", o.Mailbox)
	}
	return nil
}
