package doctor

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/policy"
)

func TestDaemons(t *testing.T) {
	node := func(r running) func(*bench) { return func(b *bench) { b.runs(aNode, r) } }
	checked{
		"ok/runs":                {node(running{State: "starting"}), []want{{OK, "the node runs"}}},
		"ok/gate":                {func(b *bench) { b.runs(aGate, running{}) }, []want{{OK, "the gate runs"}}},
		"fail/nothing":           {func(*bench) {}, []want{{Info, "nothing runs"}}},
		"ok/being opened":        {node(running{State: "locked"}), []want{{Info, "is being opened"}}},
		"fail/signer locked":     {func(b *bench) { b.runs(aSigner, running{State: "locked"}) }, []want{{Fail, "the signer's wallet is locked"}}},
		"fail/locked":            {node(running{State: "locked", AwaitsPassword: true}), []want{{Fail, "locked"}}},
		"fail/signer away":       {node(running{State: "down", SignerError: "no answer"}), []want{{Fail, "signer is away"}}},
		"fail/lnd ended":         {node(running{State: "down", Error: "disk full"}), []want{{Fail, "disk full"}}},
		"fail/guard":             {node(running{State: "active", GuardError: "lnd refuses"}), []want{{Fail, "not attached"}}},
		"fail/nobody answers":    {node(running{State: "active", Network: "regtest", RPC: []string{"127.0.0.1:1"}}), []want{{OK, "the node runs"}, {Fail, "does not answer"}}},
		"fail/nothing, a signer": {func(b *bench) { b.mkdir(b.Home.Signer(), 0o700) }, []want{{Info, "nothing runs"}}},
		"fail/conf": {func(b *bench) {
			b.runs(aNode, running{State: "active"})
			b.write(".leyden/node/lnd.conf", "alias\n", 0o600)
			b.write(".leyden/signer/signer-lnd.conf", "alias\n", 0o600)
		}, []want{{OK, "the node runs"}, {Fail, "the node will not start again"}, {Fail, "the signer will not start again"}}},
		"fail/record of another": {func(b *bench) {
			b.runs(aNode, running{State: "locked"})
			b.write(".leyden/run/node.json", `{"pid":1,"state":"locked"}`, 0o600)
		}, []want{{OK, "the node runs"}}},
	}.run(t, checkDaemons)
}

// answers makes the node one that was asked.
func (b *bench) answers(l live) {
	l.asked = true
	if l.info == nil {
		l.info = &lnrpc.GetInfoResponse{SyncedToChain: true, BestHeaderTimestamp: now.Unix(), Version: "0.21"}
	}
	b.live = l
}

func TestSync(t *testing.T) {
	node := func(synced bool, age time.Duration, network string) func(*bench) {
		return func(b *bench) {
			b.made("standalone", network, "")
			b.answers(live{info: &lnrpc.GetInfoResponse{SyncedToChain: synced, BestHeaderTimestamp: now.Add(-age).Unix(), BlockHeight: 9}})
		}
	}
	checked{
		"ok/nobody answers": {func(*bench) {}, nil},
		"ok/synced":         {node(true, time.Hour, "mainnet"), []want{{OK, "to block 9"}}},
		"ok/nobody mines":   {node(true, 100*time.Hour, "regtest"), []want{{OK, "to block 9"}}},
		"fail/behind":       {node(false, time.Hour, "mainnet"), []want{{Warn, "not caught up"}}},
		"fail/cut off":      {node(true, 100*time.Hour, "mainnet"), []want{{Warn, "100 hours old"}}},
	}.run(t, checkSync)
}

func TestHot(t *testing.T) {
	checked{
		"ok/nobody answers": {func(*bench) {}, nil},
		"ok/at the bound":   {func(b *bench) { b.answers(live{onChain: DefaultHotBalance - 5, inChannel: 5}) }, []want{{OK, "holds 1000000 sat"}}},
		"fail/above":        {func(b *bench) { b.answers(live{onChain: DefaultHotBalance, inChannel: 1}) }, []want{{Warn, "holds 1000001 sat"}}},
		"fail/cannot pay":   {func(b *bench) { b.answers(live{onChain: 1}) }, []want{{OK, ""}, {Info, "cannot pay"}}},
		"fail/cannot be paid": {func(b *bench) {
			b.gate(b.paid())
			b.answers(live{inChannel: 1})
		}, []want{{OK, ""}, {Warn, "nobody can buy"}}},
		"ok/can be paid": {func(b *bench) {
			b.gate(b.paid())
			b.answers(live{inChannel: 1, theirs: 1})
		}, []want{{OK, ""}}},
	}.run(t, checkHot)
}

func TestClock(t *testing.T) {
	b := newBench(t)
	b.answers(live{})
	before := checkClock(t.Context(), b.Env)
	b.Now = now.Add(-maxHeaderAhead - time.Hour)
	after := checkClock(t.Context(), b.Env)
	for _, f := range before {
		if f.Severity == Fail {
			t.Errorf("right clock: %s", told(before))
		}
	}
	if len(after) == 0 || after[0].Severity != Fail {
		t.Errorf("clock behind the chain: %s", told(after))
	}
}

func TestRoom(t *testing.T) {
	for name, c := range map[string]struct {
		free uint64
		want Severity
	}{
		"ok/much":     {diskLow, OK},
		"fail/little": {diskLow - 1, Warn},
		"fail/none":   {diskFull - 1, Fail},
	} {
		t.Run(name, func(t *testing.T) {
			if f := room("/x", c.free); f.Severity != c.want {
				t.Errorf("found %s", told([]Finding{f}))
			}
		})
	}
	b := newBench(t)
	if found := checkDisk(t.Context(), b.Env); len(found) != 1 || found[0].Unseen {
		t.Errorf("found %s", told(found))
	}
}

func TestConf(t *testing.T) {
	with := func(lines string) func(*bench) {
		return func(b *bench) {
			b.made("standalone", "mainnet", "")
			b.write(".leyden/node/lnd.conf", lines, 0o600)
		}
	}
	t.Run("watchtower", func(t *testing.T) {
		checked{
			"ok/no node":             {func(*bench) {}, nil},
			"ok/on":                  {with("wtclient.active=1\n"), []want{{OK, "uses watchtowers"}}},
			"ok/on the command line": {func(b *bench) { with("wtclient.active=0\n")(b); b.started("--wtclient.active") }, []want{{OK, "uses watchtowers"}}},
			"ok/asked":               {func(b *bench) { with("")(b); b.answers(live{towersKnown: true, towers: 2}) }, []want{{OK, "uses 2 watchtowers"}}},
			"fail/no tower":          {func(b *bench) { with("wtclient.active=1\n")(b); b.answers(live{towersKnown: true}) }, []want{{Warn, "its list is empty"}}},
			"fail/off on the command line": {func(b *bench) { with("wtclient.active=1\n")(b); b.started("--wtclient.active=false") },
				[]want{{Warn, "no watchtower"}}},
			"fail/off":  {with("wtclient.active=0\n"), []want{{Warn, "no watchtower"}}},
			"fail/none": {with(""), []want{{Warn, "no watchtower"}}},
		}.run(t, checkWatchtower)
	})
	t.Run("privacy", func(t *testing.T) {
		checked{
			"ok/no node":          {func(*bench) {}, nil},
			"ok/tor":              {with("tor.active=true\n"), []want{{OK, "over Tor"}}},
			"ok/started with tor": {func(b *bench) { with("")(b); b.started("--alias=x", "--tor.active=true") }, []want{{OK, "over Tor"}}},
			"fail/none":           {with(""), []want{{Info, "does not use Tor"}}},
		}.run(t, checkPrivacy)
	})
}

// started makes the node run, with these options of lnd after --.
func (b *bench) started(options ...string) {
	b.Helper()
	b.runs(aNode, running{})
	line := append([]string{"leyden", "node", "start", "--home=/x", "--"}, options...)
	b.write("proc/"+strconv.Itoa(os.Getpid())+"/cmdline", strings.Join(line, "\x00")+"\x00", 0o600)
}

func TestStart(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*bench)
		want string
	}{
		"ok/node":   {func(b *bench) { b.made("standalone", "mainnet", "") }, "leyden node start --detach"},
		"ok/signer": {func(b *bench) { b.mkdir(b.Home.Signer(), 0o700) }, "leyden signer start --detach"},
		"ok/gate":   {func(b *bench) { b.gate("") }, "leyden gate start --detach"},
		"ok/empty":  {func(*bench) {}, "leyden node import --bundle FILE, or leyden signer init"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.make(b)
			if got := b.start(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	runs := func(target string) func(*bench) {
		return func(b *bench) {
			b.runs(aNode, running{})
			dir := filepath.Join(b.Proc, strconv.Itoa(os.Getpid()))
			b.mkdir(dir, 0o700)
			if err := os.Symlink(target, filepath.Join(dir, "exe")); err != nil {
				b.Fatal(err)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	checked{
		"ok/nothing runs": {func(*bench) {}, nil},
		"ok/this one":     {runs(self), []want{{OK, "runs this program"}}},
		"fail/replaced":   {runs(self + " (deleted)"), []want{{Warn, "has been replaced"}}},
		"fail/another":    {runs("/bin/sh"), []want{{Info, "/bin/sh"}}},
		"fail/no proc":    {func(b *bench) { b.runs(aNode, running{}) }, []want{{Info, "cannot see which program"}}},
	}.run(t, checkVersions)
}

// accounts makes accounts.
func (b *bench) accounts(all ...account.New) {
	b.Helper()
	b.accountsAt(time.Now, all...)
}

// accountsAt makes accounts by another clock.
func (b *bench) accountsAt(clock func() time.Time, all ...account.New) {
	b.Helper()
	l, err := account.Open(context.Background(), filepath.Join(b.Home.Guard(), "guard.db"), clock)
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range all {
		if _, err := l.Create(context.Background(), audit.Actor{Kind: "operator", Via: "api"}, a); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

const sat = lnwire.MilliSatoshi(1000)

func TestAccounts(t *testing.T) {
	held := account.New{Label: "held", Balance: 50 * sat, Expires: time.Now().Add(year),
		Limits: policy.Limits{Day: 10 * sat, DenyPayees: []policy.PubKey{{2}}}}
	free := account.New{Label: "free", Balance: 50 * sat}
	checked{
		"ok/none":       {func(*bench) {}, nil},
		"ok/held":       {func(b *bench) { b.accounts(held) }, []want{{OK, "all 1 accounts"}}},
		"ok/backed":     {func(b *bench) { b.accounts(held); b.answers(live{inChannel: 50}) }, []want{{OK, "all 1 accounts"}, {OK, "50 sat"}}},
		"fail/nobody":   {func(b *bench) { b.accounts() }, []want{{Info, "no accounts"}}},
		"fail/free":     {func(b *bench) { b.accounts(free, held) }, []want{{Warn, "account free may spend its whole balance of 50 sat"}, {Info, "may pay everybody: free"}, {Info, "never expire: free"}}},
		"fail/unbacked": {func(b *bench) { b.accounts(held); b.answers(live{inChannel: 49}) }, []want{{OK, "all 1 accounts"}, {Warn, "have 50 sat together, the node has 49"}}},
		"fail/another's": {func(b *bench) {
			b.accounts(held)
			b.Self.UID++
		}, []want{{Info, "only the owner"}}},
		"fail/no database": {func(b *bench) { b.write(".leyden/guard/guard.db", "x", 0o600) }, []want{{Info, "cannot read the accounts"}}},
	}.run(t, checkAccounts)
}

func TestBooks(t *testing.T) {
	checked{
		"ok/none":          {func(*bench) {}, nil},
		"ok/whole":         {func(b *bench) { b.accounts(account.New{Balance: sat}) }, []want{{OK, "consistent"}}},
		"ok/killed":        {func(b *bench) { b.accounts(account.New{Balance: sat}); b.killed() }, []want{{OK, "consistent"}}},
		"fail/no database": {func(b *bench) { b.write(".leyden/guard/guard.db", strings.Repeat("x", 4096), 0o600) }, []want{{Fail, "lets nobody pay"}}},
		"fail/another's":   {func(b *bench) { b.accounts(); b.Self.UID++ }, []want{{Info, "only the owner"}}},
		"fail/older": {func(b *bench) {
			b.accounts()
			b.sql("PRAGMA user_version = 1")
		}, []want{{Info, "of an older version"}}},
		"fail/clock": {func(b *bench) {
			b.accountsAt(func() time.Time { return time.Now().Add(time.Hour) }, account.New{Balance: sat})
		}, []want{{Warn, "ahead of the clock"}}},
		"fail/balance": {func(b *bench) {
			b.accounts(account.New{Balance: sat})
			b.sql("UPDATE ledger SET balances_msat = 1")
		}, []want{{Fail, "not consistent"}}},
		"fail/journal": {func(b *bench) {
			b.accounts(account.New{Balance: sat})
			b.sql("DROP TRIGGER journal_no_update", "UPDATE journal SET subject = 'x' WHERE seq = 1")
		}, []want{{Fail, "not consistent"}, {Fail, "journal was altered"}}},
	}.run(t, checkBooks)
}

// sql changes the books behind the ledger's back.
func (b *bench) sql(statements ...string) {
	b.Helper()
	db, err := sql.Open("sqlite-kept", filepath.Join(b.Home.Guard(), "guard.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			b.Fatal(err)
		}
	}
}
