package api

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/fault"
)

// fakeGuard does to the ledger what the guard does, without lnd.
type fakeGuard struct {
	ledger *account.Ledger
	away   atomic.Bool // lnd is
}

func (g *fakeGuard) Attached() bool { return !g.away.Load() }

func (g *fakeGuard) reach() error {
	if g.away.Load() {
		return fault.New("node_unreachable", "leyden node status", "lnd is away, and this needs it")
	}
	return nil
}

func (g *fakeGuard) CreateAccount(ctx context.Context, by audit.Actor, n account.New, backed bool) (account.Account, []byte, error) {
	if err := g.reach(); err != nil {
		return account.Account{}, nil, err
	}
	if backed && n.Balance > ownBalance {
		return account.Account{}, nil, fault.New("not_backed", "leyden accounts check", "too much")
	}
	a, err := g.ledger.Create(ctx, by, n)
	return a, []byte("macaroon of " + a.ID.String()), err
}

func (g *fakeGuard) CreditAccount(
	ctx context.Context, by audit.Actor, id account.ID, amount lnwire.MilliSatoshi, key string, _ bool,
) (account.Account, error) {
	return g.ledger.Credit(ctx, by, id, amount, key)
}

func (g *fakeGuard) IssueMacaroon(ctx context.Context, _ audit.Actor, id account.ID) (account.Account, []byte, error) {
	a, err := g.ledger.Get(ctx, id)
	return a, []byte("another"), err
}

func (g *fakeGuard) RotateAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, []byte, error) {
	a, err := g.ledger.Rotate(ctx, by, id)
	return a, []byte("fresh"), err
}

func (g *fakeGuard) RemoveAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, error) {
	return g.ledger.Remove(ctx, by, id)
}

func (g *fakeGuard) Freeze(ctx context.Context, by audit.Actor, id *account.ID, frozen bool) ([]account.Payment, error) {
	if id == nil {
		if err := g.ledger.SetFrozenAll(ctx, by, frozen); err != nil {
			return nil, err
		}
	} else if _, err := g.ledger.Update(ctx, by, *id, account.Change{Frozen: &frozen}); err != nil {
		return nil, err
	}
	return g.ledger.OpenPayments(ctx, id)
}

func (g *fakeGuard) GiveUpPayment(ctx context.Context, by audit.Actor, hash lntypes.Hash) (account.Payment, error) {
	open, err := g.ledger.OpenByHash(ctx, hash)
	if err != nil {
		return account.Payment{}, err
	}
	return g.ledger.GiveUp(ctx, by, open.ID, account.StateFailed, account.Outcome{Reason: "given up"})
}

// ownBalance is what the fake node owns in its channels.
const ownBalance lnwire.MilliSatoshi = 1_000_000_000

func (g *fakeGuard) ChannelBalance(context.Context) (lnwire.MilliSatoshi, error) {
	return ownBalance, g.reach()
}

// bed is a served API and its client's target.
type bed struct {
	guard  *fakeGuard
	ledger *account.Ledger
	server *Server
	at     Target
	dir    string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	dir := t.TempDir()
	ledger, err := account.Open(t.Context(), filepath.Join(dir, "guard.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	certPath := filepath.Join(dir, "tls.cert")
	keeper, err := cert.Open(cert.Options{CertPath: certPath, KeyPath: filepath.Join(dir, "tls.key"), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{guard: &fakeGuard{ledger: ledger}, ledger: ledger, dir: filepath.Join(dir, "guard")}
	b.server, err = New(Options{
		Guard: b.guard, Ledger: ledger, Sessions: fakeSessions{ledger}, Dir: b.dir, TLS: keeper.TLSConfig(), Listener: listener, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.server.Start()
	b.at = Target{Address: b.server.Addr(), CertPath: certPath, MacaroonPath: filepath.Join(b.dir, MacaroonFile)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.server.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bed) client(t *testing.T) *Client {
	t.Helper()
	c, err := Dial(b.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the connection only
	return c
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := fault.Code(err); got != code {
		t.Errorf("code %q, want %q: %v", got, code, err)
	}
}
