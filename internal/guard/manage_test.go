package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// mintLnd bakes macaroons, cancels invoices and has 1,000 sat in its channels.
type mintLnd struct {
	lnrpc.UnimplementedLightningServer
	invoicesrpc.UnimplementedInvoicesServer
	t *testing.T

	mu       sync.Mutex
	broken   error         // the answer to BakeMacaroon
	stuck    error         // the answer to DeleteMacaroonID
	patience time.Duration // of the last one
	baked    func()        // called when BakeMacaroon has made one
	late     bool          // BakeMacaroon is not answered, and done by bakeLate
	owed     uint64
	rootKeys map[uint64]bool
	asked    []*lnrpc.MacaroonPermission
	canceled []lntypes.Hash
}

func (l *mintLnd) BakeMacaroon(_ context.Context, req *lnrpc.BakeMacaroonRequest) (*lnrpc.BakeMacaroonResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late {
		l.owed = req.GetRootKeyId()
		return nil, status.Error(codes.DeadlineExceeded, "slow")
	}
	if l.broken != nil {
		return nil, l.broken
	}
	l.rootKeys[req.GetRootKeyId()], l.asked = true, req.GetPermissions()
	if l.baked != nil {
		l.baked()
	}
	return &lnrpc.BakeMacaroonResponse{Macaroon: hex.EncodeToString(mint(l.t, req.GetRootKeyId()))}, nil
}

func (l *mintLnd) DeleteMacaroonID(ctx context.Context, req *lnrpc.DeleteMacaroonIDRequest) (*lnrpc.DeleteMacaroonIDResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		l.patience = time.Until(deadline)
	}
	if l.stuck != nil {
		return nil, l.stuck
	}
	delete(l.rootKeys, req.GetRootKeyId())
	return &lnrpc.DeleteMacaroonIDResponse{Deleted: true}, nil
}

func (l *mintLnd) setStuck(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = err
}

func (l *mintLnd) bakeLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rootKeys[l.owed] = true
}

func (l *mintLnd) ListMacaroonIDs(context.Context, *lnrpc.ListMacaroonIDsRequest) (*lnrpc.ListMacaroonIDsResponse, error) {
	return &lnrpc.ListMacaroonIDsResponse{RootKeyIds: l.keys()}, nil
}

func (l *mintLnd) keys() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.rootKeys))
}

func (l *mintLnd) ChannelBalance(context.Context, *lnrpc.ChannelBalanceRequest) (*lnrpc.ChannelBalanceResponse, error) {
	return &lnrpc.ChannelBalanceResponse{LocalBalance: &lnrpc.Amount{Msat: 1_000_000}}, nil
}

func (l *mintLnd) CancelInvoice(_ context.Context, req *invoicesrpc.CancelInvoiceMsg) (*invoicesrpc.CancelInvoiceResp, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.canceled = append(l.canceled, lntypes.Hash(req.GetPaymentHash()))
	return &invoicesrpc.CancelInvoiceResp{}, nil
}

// manageBench is a guard that can be attached to a mintLnd.
type manageBench struct {
	*Guard
	lnd *mintLnd
	cut int // how often open calls were cut off
}

func newManageBench(t *testing.T) *manageBench {
	t.Helper()
	ledger, err := account.Open(t.Context(), filepath.Join(t.TempDir(), "guard.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { ledger.Close() })
	b := &manageBench{lnd: &mintLnd{t: t, rootKeys: map[uint64]bool{0: true}}}
	b.Guard, err = New(Options{Ledger: ledger, Logger: slog.New(slog.DiscardHandler),
		CutOff: func(front.Refusal, func(*front.Call) bool) int { b.cut++; return 0 }})
	require.NoError(t, err)
	return b
}

// come attaches to lnd, which looks for what was left behind; leave detaches.
func (b *manageBench) come(t *testing.T) (leave func()) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	lnrpc.RegisterLightningServer(server, b.lnd)
	invoicesrpc.RegisterInvoicesServer(server, b.lnd)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:lnd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	a := newAttachment(context.Background(), Access{Conn: conn, Run: "run"})
	t.Cleanup(func() { a.end(errors.New("the test is over")) })
	a.permissions = map[string][]permission{infoMethod: {{"info", "read"}}}
	close(a.reconciled)
	b.retire(t.Context(), a)
	b.Guard.lnd.Store(a)
	return func() { b.Guard.lnd.Store(nil) }
}

func (b *manageBench) create(t *testing.T) account.Account {
	t.Helper()
	a, _, err := b.CreateAccount(t.Context(), operator, account.New{Label: "agent", Balance: 5000}, false)
	require.NoError(t, err)
	return a
}

// wantMacaroon checks that a macaroon is the account's, on its root key now.
func wantMacaroon(t *testing.T, raw []byte, a account.Account) {
	t.Helper()
	m, err := macaroon.Parse(raw)
	require.NoError(t, err)
	id, ok, err := m.Account()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, a.ID, account.ID(id))
	key, err := m.RootKeyID()
	require.NoError(t, err)
	require.Equal(t, a.RootKeyID(), key)
	require.NotZero(t, key)
}

func TestCreateAccount(t *testing.T) {
	b := newManageBench(t)
	n := account.New{Label: "agent", Balance: 5000}
	none := func(code string) {
		t.Helper()
		_, raw, err := b.CreateAccount(t.Context(), operator, n, false)
		require.Equal(t, code, fault.Code(err), "%v", err)
		require.Empty(t, raw)
		list, err := b.opts.Ledger.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list, "an account without a macaroon was left")
	}
	none("node_unreachable")
	b.come(t)
	b.lnd.broken = errors.New("no key store")
	none("node_error")

	b.lnd.broken = nil
	a, raw, err := b.CreateAccount(t.Context(), operator, n, false)
	require.NoError(t, err, "the label is free again")
	wantMacaroon(t, raw, a)
	var asked []string
	for _, p := range b.lnd.asked {
		asked = append(asked, p.Entity+":"+p.Action)
	}
	require.Equal(t, "info:read invoices:read invoices:write offchain:read offchain:write onchain:read", strings.Join(asked, " "))
}

// TestBacked: of balances that must be backed together, one passes.
func TestBacked(t *testing.T) {
	b := newManageBench(t)
	b.come(t)
	errs := make(chan error)
	for range 4 {
		go func() {
			_, _, err := b.CreateAccount(context.Background(), operator, account.New{Balance: 600_000}, true)
			errs <- err
		}()
	}
	made := 0
	for range 4 {
		if err := <-errs; err == nil {
			made++
		} else {
			require.Equal(t, codeNotBacked, fault.Code(err), "%v", err)
		}
	}
	require.Equal(t, 1, made)
	list, err := b.opts.Ledger.List(t.Context())
	require.NoError(t, err)
	_, err = b.CreditAccount(t.Context(), operator, list[0].ID, 400_001, "", true)
	require.Equal(t, codeNotBacked, fault.Code(err))
	_, err = b.CreditAccount(t.Context(), operator, list[0].ID, 400_000, "", true)
	require.NoError(t, err)
	_, err = b.CreditAccount(t.Context(), operator, list[0].ID, 9_000_000, "", false)
	require.NoError(t, err, "not asked to be backed")
}

// TestRotateAccount: the old macaroons are void from then on, whatever lnd does.
func TestRotateAccount(t *testing.T) {
	for name, lndIs := range map[string]string{"lnd is away": "away", "bake fails": "broken", "lnd is there": ""} {
		t.Run(name, func(t *testing.T) {
			b := newManageBench(t)
			leave := b.come(t)
			before := b.create(t)
			want := map[string]string{"away": "node_unreachable", "broken": "node_error", "": ""}[lndIs]
			switch lndIs {
			case "away":
				leave()
			case "broken":
				b.lnd.broken = errors.New("no key store")
			}
			rotated, raw, err := b.RotateAccount(t.Context(), operator, before.ID)
			require.Equal(t, want, fault.Code(err), "%v", err)
			require.Equal(t, 1, b.cut, "open calls were not cut off")
			now, err2 := b.opts.Ledger.Get(t.Context(), before.ID)
			require.NoError(t, err2)
			require.EqualValues(t, 1, now.Generation)
			if err != nil {
				require.Empty(t, raw)
				require.Equal(t, "leyden accounts macaroon "+before.ID.String(), fault.Hint(err))
				b.lnd.broken = nil
				if lndIs == "away" {
					require.Equal(t, sorted(0, before.RootKeyID()), b.lnd.keys(), "lnd was away")
					b.come(t)
				}
				require.Equal(t, []uint64{0}, b.lnd.keys(), "the old root key is still there")
				rotated, raw, err = b.IssueMacaroon(t.Context(), operator, before.ID)
				require.NoError(t, err)
			}
			wantMacaroon(t, raw, rotated)
			require.Equal(t, sorted(0, rotated.RootKeyID()), b.lnd.keys())
		})
	}
}

func sorted(list ...uint64) []uint64 {
	slices.Sort(list)
	return list
}

// TestRemoveAccount: its macaroons and open invoices go, when lnd is back at the
// latest, also if only the first had gone before.
func TestRemoveAccount(t *testing.T) {
	for name, change := range map[string]func(*manageBench, account.Account){
		"lnd is there":           nil,
		"lnd is away":            func(*manageBench, account.Account) {},
		"its key is gone before": func(b *manageBench, a account.Account) { delete(b.lnd.rootKeys, a.RootKeyID()) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newManageBench(t)
			leave := b.come(t)
			a, hash := b.create(t), lntypes.Hash{1}
			_, err := b.opts.Ledger.OwnInvoice(t.Context(), operator, account.NewInvoice{Account: a.ID, Hash: hash, Amount: 5, Expires: time.Now().Add(time.Hour), Run: "run"})
			require.NoError(t, err)
			if change != nil {
				leave()
				change(b, a)
			}
			_, err = b.RemoveAccount(t.Context(), operator, a.ID)
			require.NoError(t, err)
			require.Equal(t, 1, b.cut)
			if change != nil {
				require.Empty(t, b.lnd.canceled)
				b.come(t)
			}
			require.Equal(t, []uint64{0}, b.lnd.keys())
			require.Equal(t, []lntypes.Hash{hash}, b.lnd.canceled)
			_, _, err = b.IssueMacaroon(t.Context(), operator, a.ID)
			require.Equal(t, account.CodeUnknown, fault.Code(err))
			_, err = b.RemoveAccount(t.Context(), operator, a.ID)
			require.Equal(t, account.CodeUnknown, fault.Code(err))
		})
	}
}

// TestRemoveWhileInFlight: nothing is taken from an account that is refused.
func TestRemoveWhileInFlight(t *testing.T) {
	b := newManageBench(t)
	b.come(t)
	a := b.create(t)
	_, err := b.opts.Ledger.Reserve(t.Context(), audit.Actor{Kind: "account"}, account.Spend{Account: a.ID, Hash: lntypes.Hash{1}, Amount: 5, Run: "run"})
	require.NoError(t, err)
	_, err = b.RemoveAccount(t.Context(), operator, a.ID)
	require.Equal(t, account.CodeInFlight, fault.Code(err))
	require.Contains(t, b.lnd.keys(), a.RootKeyID())
	require.Zero(t, b.cut)
}
