package account_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

// Environment of the torture: how many rounds, and, for the process that is
// killed, the database and the first number it may use.
const (
	envRounds = "LEYDEN_TORTURE_ROUNDS"
	envVictim = "LEYDEN_TORTURE_DB"
	envFirst  = "LEYDEN_TORTURE_FIRST"
)

const (
	perDatabase = 25        // rounds until the next begins with an empty database
	perRound    = 1_000_000 // numbers of a round
	perWorker   = 10_000
	workers     = 16
)

// TestTorture kills a process that works on a ledger, at a random moment, and
// looks at what it left: the books are right, the journal is whole, and what was
// acknowledged is in effect, once.
func TestTorture(t *testing.T) {
	if os.Getenv(envVictim) != "" {
		t.Skip("this is the victim")
	}
	rounds := 10
	if text := os.Getenv(envRounds); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("%s=%q: want a number of rounds", envRounds, text)
		}
	}
	var path string
	var head audit.Head
	total := 0
	for round := range rounds {
		if round%perDatabase == 0 {
			path, head = filepath.Join(t.TempDir(), "guard.db"), audit.Head{}
			prepare(t, path)
		}
		acks := kill(t, path, round%perDatabase*perRound)
		total += len(acks)
		head = inspect(t, path, head, acks)
		if t.Failed() {
			t.Fatalf("round %d of %d: database %s", round+1, rounds, path)
		}
	}
	fmt.Printf("torture of the ledger: %d rounds, %d acknowledged operations, none lost, none twice\n", rounds, total)
}

func prepare(t *testing.T, path string) {
	l, err := account.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	newAccount(t, l, 1_000_000_000, policy.Limits{})
	newAccount(t, l, 50_000, policy.Limits{})
	newAccount(t, l, 1_000_000_000, policy.Limits{Hour: 100_000, MaxPayments: 40, Per: time.Second})
	newAccount(t, l, 0, policy.Limits{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// ack is what the victim says on its standard output after an operation, or,
// with a question mark, before one.
type ack struct {
	verb    string
	n       int
	amount  uint64
	account int
}

// kill runs a victim for a moment and returns what it acknowledged.
func kill(t *testing.T, path string, first int) []ack {
	cmd := exec.Command(os.Args[0], "-test.run=^TestTortureVictim$")
	cmd.Env = append(os.Environ(), envVictim+"="+path, envFirst+"="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan() // it has begun
	timer := time.AfterFunc(time.Duration(rand.Int64N(int64(250*time.Millisecond))), func() {
		_ = cmd.Process.Kill()
	})
	defer timer.Stop()
	var acks []ack
	for lines.Scan() {
		var a ack
		if _, err := fmt.Sscan(lines.Text(), &a.verb, &a.n, &a.amount, &a.account); err != nil {
			t.Errorf("the victim said %q", lines.Text())
		}
		acks = append(acks, a)
	}
	if state := cmd.Wait(); state == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the victim ended by itself: %v", state)
	}
	return acks
}

// inspect opens what is left and returns the journal's head.
func inspect(t *testing.T, path string, before audit.Head, acks []ack) audit.Head {
	l, err := account.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	wantClean(t, l)
	accounts := must(l.List(t.Context()))(t)
	last := make(map[int]ack)
	for _, a := range acks {
		last[a.n] = a
	}
	for _, a := range last {
		inEffect(t, l, accounts[a.account].ID, a)
	}
	for i, now := range must(l.List(t.Context()))(t) {
		if now.Balance != accounts[i].Balance {
			t.Errorf("repetitions moved %d msat to %d", accounts[i].Balance, now.Balance)
		}
	}
	head, faults, err := l.Journal().Verify(t.Context(), before)
	if err != nil || len(faults) > 0 {
		t.Errorf("journal after the round before: %v, %v", faults, err)
	}
	return head
}

// inEffect looks for an operation that was acknowledged, and repeats it.
func inEffect(t *testing.T, l *account.Ledger, id account.ID, a ack) {
	t.Helper()
	ctx := t.Context()
	payment, paymentErr := l.PaymentByHash(ctx, id, hashOf(a.n))
	invoice, invoiceErr := l.InvoiceByHash(ctx, hashOf(a.n))
	ok, err := false, error(nil)
	switch a.verb {
	case "reserve", "raise":
		ok = paymentErr == nil && (payment.Amount >= lnwire.MilliSatoshi(a.amount))
	case "settle":
		ok = paymentErr == nil && payment.State == account.StateSucceeded && payment.Paid == lnwire.MilliSatoshi(a.amount)
		_, err = l.Settle(ctx, payment.ID, account.Outcome{Paid: payment.Paid})
	case "fail":
		ok = paymentErr == nil && payment.State == account.StateFailed
		_, err = l.Release(ctx, payment.ID, account.StateFailed, account.Outcome{})
	case "void?":
		ok = paymentErr == nil && payment.State == account.StateOpen || fault.Code(paymentErr) == account.CodeNotFound
	case "void":
		ok = fault.Code(paymentErr) == account.CodeNotFound
	case "transfer":
		ok = paymentErr == nil && payment.Transfer && payment.State != account.StateVoid
	case "transferred":
		ok = paymentErr == nil && payment.State == account.StateSucceeded && invoice.State == account.StateSettled &&
			payment.Paid == lnwire.MilliSatoshi(a.amount) && invoice.Received == payment.Paid && payment.Preimage == preimageOf(a.n)
		_, _, err = l.SettleTransfer(ctx, payment.ID, account.Transferred{})
	case "own":
		ok = invoiceErr == nil
	case "made":
		ok = invoiceErr == nil && invoice.State != account.StatePending && invoice.AddIndex == uint64(a.n)
	case "paid":
		ok = invoiceErr == nil && invoice.State == account.StateSettled && invoice.Received == lnwire.MilliSatoshi(a.amount)
		_, err = l.InvoiceSettled(ctx, hashOf(a.n), uint64(a.n), invoice.Received, preimageOf(a.n), nil)
	case "cancel":
		ok = invoiceErr == nil && invoice.State == account.StateCanceled
		_, err = l.InvoiceCanceled(ctx, hashOf(a.n), nil)
	case "credit":
		ok = true // the balances are compared after the repetition
		_, err = l.Credit(ctx, operator, id, lnwire.MilliSatoshi(a.amount), strconv.Itoa(a.n))
	}
	if !ok || err != nil {
		t.Errorf("%+v was acknowledged; now payment %+v (%v), invoice %+v (%v); repeated: %v",
			a, payment, paymentErr, invoice, invoiceErr, err)
	}
}

// TestTortureVictim is the process that is killed. It never ends by itself.
func TestTortureVictim(t *testing.T) {
	path := os.Getenv(envVictim)
	if path == "" {
		t.Skip("run by TestTorture")
	}
	first, err := strconv.Atoi(os.Getenv(envFirst))
	if err != nil {
		t.Fatal(err)
	}
	l, err := account.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{Ledger: l, out: os.Stdout}
	v.say("begin", 0, 0, 0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range perWorker {
				which := rand.IntN(len(accounts))
				err := v.operate(context.Background(), accounts[which].ID, which, first+w*perWorker+i)
				if err != nil && fault.Code(err) == fault.Internal && !denied(err) {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	select {}
}

// victim is a ledger and who is told what it acknowledged.
type victim struct {
	*account.Ledger
	mu  sync.Mutex
	out io.Writer
}

func (v *victim) say(verb string, n int, amount lnwire.MilliSatoshi, which int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.out, verb, n, uint64(amount), which)
}

// operate does a random thing to the end, and often parts of it twice.
func (v *victim) operate(ctx context.Context, id account.ID, which, n int) error {
	amount := lnwire.MilliSatoshi(1 + rand.IntN(5000))
	switch rand.IntN(4) {
	case 0:
		return v.credit(ctx, id, which, n, amount)
	case 1:
		return v.invoice(ctx, id, which, n, amount)
	default:
		return v.pay(ctx, id, which, n, amount)
	}
}

func (v *victim) credit(ctx context.Context, id account.ID, which, n int, amount lnwire.MilliSatoshi) error {
	for range 1 + rand.IntN(2) {
		if _, err := v.Credit(ctx, operator, id, amount, strconv.Itoa(n)); err != nil {
			return err
		}
		v.say("credit", n, amount, which)
	}
	return nil
}

func (v *victim) invoice(ctx context.Context, id account.ID, which, n int, amount lnwire.MilliSatoshi) error {
	preimage := preimageOf(n)
	if _, err := v.OwnInvoice(ctx, agent, account.NewInvoice{Account: id, Hash: hashOf(n), Preimage: &preimage, Amount: amount}); err != nil {
		return err
	}
	v.say("own", n, amount, which)
	if _, err := v.InvoiceMade(ctx, hashOf(n), uint64(n), []byte("made")); err != nil {
		return err
	}
	v.say("made", n, amount, which)
	if rand.IntN(2) == 0 {
		return v.transfer(ctx, n, amount)
	}
	if rand.IntN(3) == 0 {
		_, err := v.InvoiceCanceled(ctx, hashOf(n), []byte("canceled"))
		if err == nil {
			v.say("cancel", n, amount, which)
		}
		return err
	}
	for range 1 + rand.IntN(2) {
		if _, err := v.InvoiceSettled(ctx, hashOf(n), uint64(n), amount, preimageOf(n), []byte("settled")); err != nil {
			return err
		}
		v.say("paid", n, amount, which)
	}
	return nil
}

// transfer has a random account pay the invoice.
func (v *victim) transfer(ctx context.Context, n int, amount lnwire.MilliSatoshi) error {
	accounts, err := v.List(ctx)
	if err != nil {
		return err
	}
	which := rand.IntN(len(accounts))
	p, err := v.Transfer(ctx, agent, spend(accounts[which].ID, n, amount, 0))
	if err != nil {
		return err
	}
	v.say("transfer", n, amount, which)
	if _, err := v.InvoiceCanceled(ctx, hashOf(n), []byte("canceled")); err != nil {
		return err
	}
	if rand.IntN(5) == 0 {
		if _, err = v.Release(ctx, p.ID, account.StateFailed, account.Outcome{Reason: "accepted"}); err == nil {
			v.say("fail", n, amount, which)
		}
		return err
	}
	for range 1 + rand.IntN(2) {
		if _, _, err := v.SettleTransfer(ctx, p.ID, account.Transferred{Final: []byte("final"), Last: []byte("last")}); err != nil {
			return err
		}
		v.say("transferred", n, amount, which)
	}
	return nil
}

func (v *victim) pay(ctx context.Context, id account.ID, which, n int, amount lnwire.MilliSatoshi) error {
	p, err := v.Reserve(ctx, agent, spend(id, n, amount, 50))
	if err != nil {
		return err
	}
	v.say("reserve", n, amount, which)
	if rand.IntN(4) == 0 {
		if p, err = v.Raise(ctx, agent, p.ID, amount, 10); err == nil {
			v.say("raise", n, p.Amount, which)
		} else if !denied(err) {
			return err
		} else if p, err = v.OpenByHash(ctx, hashOf(n)); err != nil {
			return err
		}
	}
	switch rand.IntN(5) {
	case 0:
		if _, err = v.Release(ctx, p.ID, account.StateFailed, account.Outcome{Reason: "no route"}); err == nil {
			v.say("fail", n, p.Amount, which)
		}
		return err
	case 1:
		v.say("void?", n, p.Amount, which)
		if _, err = v.Release(ctx, p.ID, account.StateVoid, account.Outcome{Reason: "refused"}); err == nil {
			v.say("void", n, p.Amount, which)
		}
		return err
	}
	for range 1 + rand.IntN(2) {
		_, err = v.Settle(ctx, p.ID, account.Outcome{Paid: p.Amount + 5, Fee: 5, Preimage: preimageOf(n), LndIndex: uint64(n + 1)})
		if err != nil {
			return err
		}
		v.say("settle", n, p.Amount+5, which)
	}
	return nil
}

func denied(err error) bool {
	_, ok := err.(*policy.Denied)
	return ok
}
