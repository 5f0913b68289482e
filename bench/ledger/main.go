// Command ledger measures the ledger alone: what reserving and settling a
// payment costs with ten accounts, and with ten thousand that have a million
// entries between them, the two in turn; and how much memory it takes. It
// prints and never judges: a target is printed beside its figure.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/policy"
)

// Sizes of the two ledgers. Every movement has two entries.
const (
	fewAccounts  = 10
	manyAccounts = 10_000
	perAccount   = 50 // movements
)

// operations of each ledger in a round.
const operations = 400

var bench = audit.Actor{Kind: "operator", Via: "api"}

func main() {
	rounds := flag.Int("rounds", 5, "interleaved rounds; their median counts")
	flag.Parse()
	if err := run(context.Background(), *rounds); err != nil {
		fmt.Fprintf(os.Stderr, "ledger: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int) error {
	dir, err := os.MkdirTemp("", "leyden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	few, err := open(ctx, filepath.Join(dir, "few.db"), fewAccounts)
	if err != nil {
		return err
	}
	defer few.Close()
	begin := time.Now()
	many, err := open(ctx, filepath.Join(dir, "many.db"), manyAccounts)
	if err != nil {
		return err
	}
	defer many.Close()
	fmt.Printf("%d accounts with %d entries made in %.0f s\n", manyAccounts, 2*manyAccounts*perAccount, time.Since(begin).Seconds())

	err = ratio.Comparison{
		Baseline: fmt.Sprintf("reserve and settle, %d accounts", fewAccounts),
		Subject:  fmt.Sprintf("reserve and settle, %d accounts", manyAccounts),
		Target:   "ratio at most 1.50", N: operations,
		RunBaseline: few.timed, RunSubject: many.timed,
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	memory, err := peakMemory()
	if err != nil {
		return err
	}
	fmt.Printf("  memory at most %s; target: less than 100 MB\n", memory)
	return nil
}

// ledger is a ledger with its accounts.
type ledger struct {
	*account.Ledger
	ids  []account.ID
	next uint64 // payment hashes
}

// open makes a ledger of n accounts with their history, payments, nine of ten,
// and credits: the first few by the ledger itself, the rest as copies of them.
func open(ctx context.Context, path string, n int) (*ledger, error) {
	first, err := account.Open(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	for i := range fewAccounts {
		if err := history(ctx, &ledger{Ledger: first, next: uint64(i+1) * perAccount}); err != nil {
			return nil, errors.Join(err, first.Close())
		}
	}
	if err := first.Close(); err != nil {
		return nil, err
	}
	if err := copies(ctx, path, fewAccounts, n); err != nil {
		return nil, err
	}
	l := &ledger{next: uint64(n+1) * perAccount}
	if l.Ledger, err = account.Open(ctx, path, nil); err != nil {
		return nil, err
	}
	list, err := l.List(ctx)
	for _, a := range list {
		l.ids = append(l.ids, a.ID)
	}
	return l, err
}

// history makes an account and its movements.
func history(ctx context.Context, l *ledger) error {
	made, err := l.Create(ctx, bench, account.New{
		Balance: 1_000_000_000, Limits: policy.Limits{Day: 900_000_000, Month: 900_000_000},
	})
	for m := uint64(1); m < perAccount && err == nil; m++ { // the first was Create's own
		if m%10 == 0 {
			_, err = l.Credit(ctx, bench, made.ID, 1000, "")
		} else {
			err = l.pay(ctx, made.ID, l.next+m)
		}
	}
	return err
}

// pay reserves and settles one payment.
func (l *ledger) pay(ctx context.Context, id account.ID, number uint64) error {
	var hash lntypes.Hash
	binary.BigEndian.PutUint64(hash[:], number)
	p, err := l.Reserve(ctx, bench, account.Spend{Account: id, Hash: hash, Amount: 1000, MaxFee: 10, Run: "bench"})
	if err != nil {
		return err
	}
	const fee lnwire.MilliSatoshi = 3
	_, err = l.Settle(ctx, p.ID, account.Outcome{Paid: 1000 + fee, Fee: fee, LndIndex: number})
	return err
}

// timed pays from a random account.
func (l *ledger) timed(ctx context.Context) (time.Duration, error) {
	l.next += perAccount // past the last account's own
	return ratio.Timed(func() error {
		return l.pay(ctx, l.ids[rand.IntN(len(l.ids))], l.next+perAccount)
	})
}

// peakMemory is the process's peak resident memory, as Linux tells it.
func peakMemory() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no VmHWM in /proc/self/status")
}
