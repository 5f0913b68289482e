package gate

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/paired"
	"github.com/leydenln/leyden/lnc"
)

// sessionsFolder is where the gate's folder has the keys of its session.
const sessionsFolder = "lnc"

// passphrase is ten words, which do not print.
type passphrase string

// String hides the words.
func (passphrase) String() string { return "<phrase>" }

// GoString hides the words.
func (p passphrase) GoString() string { return p.String() }

// LogValue hides the words.
func (p passphrase) LogValue() slog.Value { return slog.StringValue(p.String()) }

func (a *Authenticator) checkSession() error {
	if _, err := lnc.ParsePhrase(string(a.Passphrase)); err != nil {
		return at("authenticator.passphrase", "%v", err)
	}
	const direct = "and passphrase exclude each other: the session is all that the gate needs"
	switch {
	case a.LndHost != "":
		return at("authenticator.lndhost", direct)
	case a.TLSPath != "":
		return at("authenticator.tlspath", direct)
	case a.MacDir != "":
		return at("authenticator.macdir", direct)
	case a.MailboxAddress == "":
		return at("authenticator.mailboxaddress", "is missing: the relay of the session")
	}
	if err := checkHostPort(a.MailboxAddress, false); err != nil {
		return at("authenticator.mailboxaddress", "%q: %v", a.MailboxAddress, err)
	}
	return nil
}

// session is the session of the words, as the gate's folder has it, or a new
// one.
func (c *Config) session() (paired.Folder, paired.Session, error) {
	folder := paired.Folder(filepath.Join(c.BaseDir, sessionsFolder))
	phrase, err := lnc.ParsePhrase(string(c.Authenticator.Passphrase))
	if err != nil {
		return folder, paired.Session{}, err
	}
	s, found, err := folder.Find(phrase)
	if !found {
		s = paired.New(phrase)
	}
	s.Mailbox, s.DevServer = c.Authenticator.MailboxAddress, c.Authenticator.DevServer
	return folder, s, err
}

// dialSession prepares the connection to the node of the session. Where the
// two have not paired they do at the first call.
func (c *Config) dialSession() (Node, error) {
	folder, s, err := c.session()
	if err != nil {
		return nil, err
	}
	id := s.ID()
	lock := func(ctx context.Context) (func(), error) { return folder.Lock(ctx, id) }
	if id == "" { // the gate is the only one in its folder
		lock = nil
	}
	client, err := lightning.DialSession(folder.Dialer(&s), lock)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// checkPaired is an error where to ask the node would be to pair with it.
func (c *Config) checkPaired() error {
	_, s, err := c.session()
	if err == nil && s.ID() == "" {
		return fault.New(paired.CodeNone, "leyden gate start", "the gate has not been started since it got these words")
	}
	return err
}
