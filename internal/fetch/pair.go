package fetch

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/paired"
	"github.com/leydenln/leyden/lnc"
)

const (
	// pairTimeout bounds a pairing, in which both sides stretch the phrase.
	pairTimeout = 40 * time.Second
	// confirmTimeout bounds coming back by the keys alone.
	confirmTimeout = 15 * time.Second
)

// Pairing is what is asked of Pair.
type Pairing struct {
	// Words are the ten words, whatever their case and the blanks around them.
	Words string
	// Mailbox is the relay's host:port, DevServer skips the check of its
	// certificate, WebSocket is for networks that let no gRPC through.
	Mailbox              string
	DevServer, WebSocket bool
	// Ephemeral keeps nothing: the session ends with this connection.
	Ephemeral bool
}

// Pair connects to a node with ten words, and keeps what the next connection
// needs: it is durable before the node can know this side's key. Words that
// were begun with before are gone on with. A session that is returned with an
// Identity that is not Confirmed serves as well. Codes: bad_phrase, and those
// of sessions.
func Pair(ctx context.Context, dir string, p Pairing) (paired.Session, error) {
	phrase, err := lnc.ParsePhrase(p.Words)
	if err != nil {
		return paired.Session{}, fault.New("bad_phrase", "type the ten words as the node showed them", "pairing phrase: %w", err)
	}
	if _, _, err := net.SplitHostPort(p.Mailbox); err != nil {
		return paired.Session{}, fault.New("bad_config", "give --mailbox as host:port", "relay %q: %w", p.Mailbox, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pairTimeout)
	defer cancel()
	if p.Ephemeral {
		s := p.session(phrase)
		err := meet(ctx, &s, paired.Ephemeral(&s), nil)
		return s, err
	}
	if !filepath.IsAbs(dir) {
		return paired.Session{}, fault.New("no_home", "set HOME, or ln.lnc.sessions_dir", "the folder %q of the sessions cannot be found", dir)
	}
	return p.keep(ctx, paired.Folder(dir), phrase)
}

func (p Pairing) session(phrase lnc.Phrase) paired.Session {
	s := paired.New(phrase)
	s.Mailbox, s.DevServer, s.WebSocket = p.Mailbox, p.DevServer, p.WebSocket
	return s
}

func (p Pairing) keep(ctx context.Context, folder paired.Folder, phrase lnc.Phrase) (paired.Session, error) {
	s, found, err := folder.Find(phrase)
	if err != nil {
		return s, err
	}
	lock := func(ctx context.Context) (func(), error) { return folder.Lock(ctx, s.ID()) }
	if !found {
		s, lock = p.session(phrase), nil
	}
	if err := meet(ctx, &s, folder.Dialer(&s), lock); err != nil {
		return s, err
	}
	if err := folder.Save(s); err != nil {
		return s, err
	}
	if !s.Identity.Confirmed { // by coming back once, while the phrase still helps
		ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
		defer cancel()
		_ = meet(ctx, &s, folder.Dialer(&s), nil) // the next connection does as well
	}
	return s, nil
}

// meet connects to the session's node and asks it who it is, which it may
// refuse to say.
func meet(ctx context.Context, s *paired.Session, dialer *lnc.Dialer, lock func(context.Context) (func(), error)) error {
	client, err := lightning.DialSession(dialer, lock)
	if err != nil {
		return err
	}
	defer client.Close()
	info, err := client.GetInfo(ctx)
	switch fault.Code(err) {
	case lightning.CodePermissionDenied, lightning.CodeLocked, lightning.CodeStarting:
		return nil
	}
	if err == nil {
		s.Node, s.Network = info.Pubkey, info.Network
	}
	return err
}
