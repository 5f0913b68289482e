package fetch

import (
	"context"
	"encoding/hex"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/paired"
)

// newSessionWallet pays through a session of Lightning Node Connect. Where
// there is none, that is said when there is something to pay.
func newSessionWallet(c *LNConfig) *wallet {
	folder := paired.Folder(c.LNC.SessionsDir)
	s, err := folder.Load(c.LNC.SessionID)
	w := &wallet{brief: true}
	w.connect = func() (*lightning.Client, error) {
		if err != nil {
			return nil, err
		}
		return dialSession(folder, &s, w.waiting)
	}
	w.node = sync.OnceValues(w.askNode)
	if err != nil {
		return w
	}
	c.note(s)
	name := "lnc:" + hex.EncodeToString(s.Identity.Remote.SerializeCompressed())
	w.unnamed = func() (string, error) { return name, nil }
	if s.Node != "" { // the session's keys are as good a proof
		w.node = func() (string, error) { return s.Node, nil }
	}
	return w
}

// note takes over what is known of a session's node.
func (c *LNConfig) note(s paired.Session) {
	c.LNC.SessionID = s.ID()
	if s.Network != "" {
		c.LND.Network = s.Network
	}
}

// lockPatience is how long a session is waited for without a word.
const lockPatience = 3 * time.Second

// dialSession prepares a connection. waiting, if not nil, hears when another
// process has the session.
func dialSession(folder paired.Folder, s *paired.Session, waiting func()) (*lightning.Client, error) {
	id := s.ID()
	return lightning.DialSession(folder.Dialer(s), func(ctx context.Context) (func(), error) {
		if waiting != nil {
			defer time.AfterFunc(lockPatience, waiting).Stop()
		}
		return folder.Lock(ctx, id)
	})
}

// Dial prepares a connection to the configured node, and notes in c what is
// known of it; it sends nothing.
func (c *LNConfig) Dial() (*lightning.Client, error) {
	switch c.Mode {
	case "lnd":
		return Dial(c.LND)
	case "lnc":
		folder := paired.Folder(c.LNC.SessionsDir)
		s, err := folder.Load(c.LNC.SessionID)
		if err != nil {
			return nil, err
		}
		c.note(s)
		return dialSession(folder, &s, nil)
	}
	return nil, NotBuiltIn("ln.mode: " + c.Mode)
}
