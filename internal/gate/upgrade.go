package gate

import (
	"context"
	"net/http"
	"strings"
	"sync"
)

// upgrades are the connections that have become WebSockets. The server gives
// these away and neither ends them nor waits for them.
type upgrades struct {
	closing context.Context
	hangUp  context.CancelFunc
	open    sync.WaitGroup
}

func newUpgrades() *upgrades {
	u := &upgrades{}
	u.closing, u.hangUp = context.WithCancel(context.Background())
	return u
}

// enter gives a request a context that also ends with close. Call leave after
// the request.
func (u *upgrades) enter(r *http.Request) (_ *http.Request, leave func()) {
	u.open.Add(1)
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(u.closing, cancel)
	return r.WithContext(ctx), func() {
		stop()
		cancel()
		u.open.Done()
	}
}

// close ends all and waits for their ends.
func (u *upgrades) close() {
	u.hangUp()
	u.open.Wait()
}

// isWebSocket reports whether a request asks for the one protocol that is
// passed through. Any other, h2c above all, would let requests through that
// nobody looks at.
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Method == http.MethodGet && len(r.Header["Upgrade"]) == 1 &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
