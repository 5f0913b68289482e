package session

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc"
)

var operator = audit.Actor{Kind: "operator", Via: "api"}

// bench is a manager over a real ledger, with a guard that has no lnd and a relay
// that does nothing.
type bench struct {
	*Manager
	ledger *account.Ledger
	before func() // called when a session has been made
	listen func() // called when one is begun to be served

	most int

	mu     sync.Mutex
	fails  error // of listening
	keeps  error // of ending
	opened int

	log    bytes.Buffer                  // of handlers, which write one at a time
	open   map[string]lnc.ListenerConfig // by session
	admits map[string]func(*front.Call) error
}

func newBench(t *testing.T, pairWithin time.Duration) *bench {
	t.Helper()
	return newBenchAt(t, pairWithin, nil)
}

// newBenchAt is a bench whose ledger has a clock of its own.
func newBenchAt(t *testing.T, pairWithin time.Duration, now func() time.Time) *bench {
	t.Helper()
	ledger, err := account.Open(t.Context(), filepath.Join(t.TempDir(), "guard.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	b := &bench{ledger: ledger}
	b.start(t, pairWithin)
	return b
}

// start is a new life of the node.
func (b *bench) start(t *testing.T, pairWithin time.Duration) {
	t.Helper()
	b.open, b.admits = map[string]lnc.ListenerConfig{}, map[string]func(*front.Call) error{}
	b.Manager = New(Options{
		Guard: b, Ledger: b.ledger, PairWithin: pairWithin, Most: b.most, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		Open: b.tunnel,
		Listen: func(c lnc.ListenerConfig) (net.Listener, error) {
			if b.listen != nil {
				b.listen()
			}
			return &silent{config: c}, b.failure()
		},
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Manager.Close)
}

func (b *bench) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fails
}

func (b *bench) AddSession(ctx context.Context, by audit.Actor, n account.Session) (account.Session, error) {
	s, err := b.ledger.ReserveSession(ctx, by, n)
	if err == nil {
		s, err = b.ledger.BeginSession(ctx, s.ID, account.Secret("macaroon of "+s.ID.String()))
	}
	if b.before != nil {
		b.before()
	}
	return s, err
}

func (b *bench) EndSession(ctx context.Context, by audit.Actor, id account.SessionID, to account.SessionState, reason string) (account.Session, error) {
	b.mu.Lock()
	err := b.keeps
	b.mu.Unlock()
	if err != nil {
		return account.Session{}, err
	}
	s, err := b.ledger.EndSession(ctx, by, id, to, reason)
	if err == nil {
		b.Over([]account.SessionID{id})
	}
	return s, err
}

// tunnel notes that a session is served, until it is closed.
func (b *bench) tunnel(o front.TunnelOptions) Tunnel {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	b.open[o.Name], b.admits[o.Name] = o.Listener.(*silent).config, o.Admit
	return closer(func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.open, o.Name)
		return nil
	})
}

type closer func() error

func (c closer) Close() error { return c() }

func (b *bench) served(s account.Session) (lnc.ListenerConfig, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.open[s.ID.String()]
	return c, ok
}

func (b *bench) state(t *testing.T, s account.Session) account.Session {
	t.Helper()
	now, err := b.ledger.Session(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (b *bench) add(t *testing.T, life time.Duration) account.Session {
	t.Helper()
	s, err := b.Add(t.Context(), operator, Order{Kind: account.SessionReadonly, Expires: time.Now().Add(life), Mailbox: "relay:443", DevServer: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// silent is a listener to which nobody comes.
type silent struct {
	net.Listener
	config lnc.ListenerConfig
}

func newClient(t *testing.T) *btcec.PublicKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.PubKey()
}

// TestLife: a session is served as its record says, also by the next run, with the
// client's key once it has paired, until it is revoked.
func TestLife(t *testing.T) {
	b := newBench(t, 0)
	s := b.add(t, time.Hour)
	c, ok := b.served(s)
	if !ok || c.Mailbox.Addr != "relay:443" || !c.Mailbox.TLS.InsecureSkipVerify || c.Identity.Remote != nil ||
		[33]byte(c.Identity.Static.PubKey().SerializeCompressed()) != s.LocalKey || string(s.LocalKey[1:5]) != string(s.ID[:]) ||
		!strings.HasPrefix(string(c.AuthData), "Macaroon: 6d616361") || string(c.Phrase[:]) != string(s.Phrase) || c.Phrase.IsZero() {
		t.Errorf("served %v: %+v", ok, c)
	}
	client := newClient(t)
	if err := c.Persist(lnc.Identity{Remote: client}); err != nil {
		t.Fatal(err)
	}
	if err := c.Persist(lnc.Identity{Remote: newClient(t)}); err == nil {
		t.Error("a second client has paired")
	}
	b.Manager.Close()
	if _, ok := b.served(s); ok || !b.state(t, s).Open() {
		t.Error("a node that stops must close the session's tunnel, and not end the session")
	}
	if _, err := b.Add(t.Context(), operator, Order{Kind: account.SessionAdmin, Expires: time.Now().Add(time.Hour), Mailbox: "relay:1"}); !errors.Is(err, errClosed) {
		t.Errorf("added while stopping: %v", err)
	}

	b.start(t, time.Nanosecond) // which a session that has paired does not heed
	c, ok = b.served(s)
	if !ok || !c.Identity.Remote.IsEqual(client) || !c.Phrase.IsZero() {
		t.Errorf("served again %v: %+v", ok, c)
	}
	for range 2 {
		if _, err := b.Revoke(t.Context(), operator, s.LocalKey[:]); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := b.served(s); ok || b.state(t, s).State != account.SessionRevoked {
		t.Error("the session was revoked, and is served")
	}
	b.start(t, 0)
	if _, ok := b.served(s); ok {
		t.Error("the session was revoked, and is served by the next run")
	}
	if _, err := b.Revoke(t.Context(), operator, []byte("x")); fault.Code(err) != account.CodeSessionUnknown {
		t.Errorf("an unknown one: %v", err)
	}
}

// ends waits for a session's end and says why it should have come.
func (b *bench) ends(t *testing.T, s account.Session, reason string) {
	t.Helper()
	until.True(t, reason, func() bool { return !b.state(t, s).Open() })
	if now := b.state(t, s); now.State != account.SessionRevoked || now.Reason != reason {
		t.Errorf("%s, %q; want %q", now.State, now.Reason, reason)
	}
	until.True(t, "its tunnel is closed", func() bool { _, ok := b.served(s); return !ok })
}

// TestTimes: sessions end when they expire, and when nobody pairs.
func TestTimes(t *testing.T) {
	t.Parallel() // it waits
	b := newBench(t, time.Hour)
	paired := b.add(t, time.Hour)
	c, _ := b.served(paired)
	if err := c.Persist(lnc.Identity{Remote: newClient(t)}); err != nil {
		t.Fatal(err)
	}
	b.Manager.Close()
	b.start(t, 4*time.Second)
	b.ends(t, b.add(t, time.Hour), unpaired)
	if _, ok := b.served(paired); !ok {
		t.Error("a session that has paired is not served")
	}
	b = newBench(t, time.Hour)
	b.ends(t, b.add(t, 4*time.Second), expired)
}

// TestTimesWhileStopped: what expired meanwhile is expired, what nobody paired
// with is revoked.
func TestTimesWhileStopped(t *testing.T) {
	t.Parallel() // it waits
	b := newBench(t, time.Hour)
	short, alone := b.add(t, 8*time.Second), b.add(t, time.Hour)
	c, _ := b.served(short)
	if err := c.Persist(lnc.Identity{Remote: newClient(t)}); err != nil {
		t.Fatal(err)
	}
	b.Manager.Close()
	until.True(t, "its time is over", func() bool { return time.Now().After(short.Expires) })
	b.start(t, time.Second)
	if now := b.state(t, short); now.State != account.SessionExpired {
		t.Errorf("expired: %s, %s", now.State, now.Reason)
	}
	if now := b.state(t, alone); now.State != account.SessionRevoked || now.Reason != unpaired {
		t.Errorf("unpaired: %s, %s", now.State, now.Reason)
	}
	if _, err := b.Revoke(t.Context(), operator, short.LocalKey[:]); fault.Code(err) != account.CodeSessionEnded {
		t.Errorf("revoke an expired one: %v", err)
	}
}

// unkept has every end of a session fail from now on, as a full disk does.
func (b *bench) unkept(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keeps = err
}

// TestFullDisk: what cannot be ended is not served any more all the same, and does
// not keep the node from serving the others.
func TestFullDisk(t *testing.T) {
	b := newBench(t, time.Hour)
	short, long := b.add(t, 2*time.Second), b.add(t, time.Hour)
	b.unkept(errors.New("disk full"))
	until.True(t, "the end of what has expired", func() bool { _, ok := b.served(short); return !ok })
	if !b.state(t, short).Open() || b.state(t, long).Ended != (time.Time{}) {
		t.Error("an end was kept")
	}
	b.Manager.Close()
	b.start(t, time.Hour)
	if _, ok := b.served(short); ok {
		t.Error("an expired session is served by the next run")
	}
	if _, ok := b.served(long); !ok {
		t.Error("the others are not served")
	}
	b.unkept(nil)
	b.Manager.Close()
	b.start(t, time.Hour)
	if now := b.state(t, short); now.State != account.SessionExpired {
		t.Errorf("with space again it is %s", now.State)
	}
}

// TestRevokedWhileStarting: a session that is revoked when the list has been read
// is not served, and one that was added then is served once.
func TestRevokedWhileStarting(t *testing.T) {
	b := newBench(t, 0)
	revoked, kept := b.add(t, time.Hour), b.add(t, time.Hour)
	b.Manager.Close()
	b.listen = sync.OnceFunc(func() {
		if _, err := b.ledger.EndSession(t.Context(), operator, revoked.ID, account.SessionRevoked, "revoked"); err != nil {
			t.Error(err)
		}
	})
	b.opened = 0
	b.start(t, 0)
	if _, ok := b.served(revoked); ok {
		t.Error("a revoked session is served")
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.served(kept); !ok || b.opened != 2 {
		t.Errorf("served: %v; %d tunnels were opened for two sessions", ok, b.opened)
	}
}

// TestClockAhead: the time to pair is not longer because the ledger's clock, which
// never goes back, is ahead.
func TestClockAhead(t *testing.T) {
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	b := newBenchAt(t, 2*time.Second, ahead)
	b.ends(t, b.add(t, 2*time.Hour), unpaired)
}

func TestAddRefused(t *testing.T) {
	b := newBench(t, 0)
	good := Order{Kind: account.SessionReadonly, Expires: time.Now().Add(time.Hour), Mailbox: "relay:443"}
	for name, c := range map[string]struct {
		change func(*Order)
		code   string
	}{
		"fail/past":       {func(o *Order) { o.Expires = time.Now().Add(-time.Second) }, account.CodeBadSession},
		"fail/no relay":   {func(o *Order) { o.Mailbox = "" }, "bad_address"},
		"fail/no port":    {func(o *Order) { o.Mailbox = "relay" }, "bad_address"},
		"fail/port 0":     {func(o *Order) { o.Mailbox = "relay:0" }, "bad_address"},
		"fail/long host":  {func(o *Order) { o.Mailbox = strings.Repeat("x", 254) + ":443" }, "bad_address"},
		"fail/odd host":   {func(o *Order) { o.Mailbox = "relay\x1b[2J:443" }, "bad_address"},
		"fail/path":       {func(o *Order) { o.Mailbox = "https://relay:443" }, "bad_address"},
		"fail/no host":    {func(o *Order) { o.Mailbox = ":443" }, "bad_address"},
		"fail/no account": {func(o *Order) { o.Kind = account.SessionAccount }, account.CodeUnknown},
		"fail/large port": {func(o *Order) { o.Mailbox = "relay:65536" }, "bad_address"},
		"fail/label":      {func(o *Order) { o.Label = "\x00" }, account.CodeBadSession},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			if _, err := b.Add(t.Context(), operator, o); fault.Code(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
	if list, err := b.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

// TestAddUndone: what cannot be served, or ended before it was, is not left.
func TestAddUndone(t *testing.T) {
	b := newBench(t, 0)
	order := Order{Kind: account.SessionReadonly, Expires: time.Now().Add(time.Hour), Mailbox: "relay:443"}
	b.fails = errors.New("no")
	if _, err := b.Add(t.Context(), operator, order); err == nil {
		t.Error("no error")
	}
	b.fails = nil
	b.before = func() {
		for _, s := range must(b.List(t.Context()))(t) {
			_, err := b.ledger.EndSession(t.Context(), operator, s.ID, account.SessionRevoked, "its account was removed")
			if err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := b.Add(t.Context(), operator, order); fault.Code(err) != account.CodeSessionEnded {
		t.Errorf("ended meanwhile: %v", err)
	}
	for _, s := range must(b.List(t.Context()))(t) {
		if _, ok := b.served(s); ok || s.Open() {
			t.Errorf("session %s was left: %s, served %v", s.ID, s.State, ok)
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestMost: sessions that come all at once are no more than may be open, and one
// that ends makes room.
func TestMost(t *testing.T) {
	b := newBench(t, 0)
	b.Manager.Close()
	b.most = 3
	b.start(t, 0)
	order := Order{Kind: account.SessionReadonly, Expires: time.Now().Add(time.Hour), Mailbox: "[::1]:443"}
	var all sync.WaitGroup
	refused := make(chan error, 10)
	for range cap(refused) {
		all.Go(func() {
			if _, err := b.Add(t.Context(), operator, order); err != nil {
				refused <- err
			}
		})
	}
	all.Wait()
	if err := <-refused; len(refused) != 6 || fault.Code(err) != codeMany {
		t.Errorf("%d of 10 were refused: %v", 1+len(refused), err)
	}
	if _, err := b.Revoke(t.Context(), operator, must(b.List(t.Context()))(t)[0].LocalKey[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(t.Context(), operator, order); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestRelayAway: the log says once that a session has no way through its relay, and
// that it has one again, and nothing of one that is revoked.
func TestRelayAway(t *testing.T) {
	b := newBench(t, 0)
	s := b.add(t, time.Hour)
	c, _ := b.served(s)
	for _, status := range []lnc.Status{lnc.StatusIdle, lnc.StatusDisconnected, lnc.StatusNotFound, lnc.StatusInUse, lnc.StatusIdle} {
		c.OnStatus(status)
	}
	if _, err := b.Revoke(t.Context(), operator, s.LocalKey[:]); err != nil {
		t.Fatal(err)
	}
	c.OnStatus(lnc.StatusDisconnected)
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "no way through its relay") || !strings.Contains(lines[0], s.ID.String()) ||
		!strings.Contains(lines[0], "disconnected") || !strings.Contains(lines[1], "has its relay again") {
		t.Errorf("logged: %q", lines)
	}
}

// TestOverOfMany ends several at once, and what it does not know is no matter.
func TestOverOfMany(t *testing.T) {
	b := newBench(t, 0)
	one, two, other := b.add(t, time.Hour), b.add(t, time.Hour), b.add(t, time.Hour)
	b.Over([]account.SessionID{one.ID, {}, two.ID, one.ID})
	for _, s := range []account.Session{one, two, other} {
		if _, ok := b.served(s); ok != slices.Equal(s.ID[:], other.ID[:]) {
			t.Errorf("%s is served: %v", s.ID, ok)
		}
	}
}
