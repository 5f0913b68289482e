package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet"
)

const (
	// askEvery is the pause between two questions of one sort.
	askEvery = 20 * time.Millisecond

	// longest is what a call may take while the signer is silent: the node waits
	// 10 seconds for an answer, of which it asks every 2, and the machine is busy.
	longest = 15 * time.Second

	// giveUp is when a question counts as never answered.
	giveUp = 40 * time.Second
)

// answer is how one question to the node ended.
type answer struct {
	question     string
	began, ended time.Time
	err          error
}

// refused says whether the node said that its signer is away.
func (a answer) refused() bool {
	return a.err != nil && strings.HasPrefix(status.Convert(a.err).Message(), "leyden: signer_unreachable:")
}

// says is the beginning of the error, or the code of our refusal.
func (a answer) says() string {
	text := status.Convert(a.err).Message()
	if strings.HasPrefix(text, "leyden: ") {
		parts := strings.SplitN(text, ":", 3)
		return strings.TrimSpace(parts[1])
	}
	return text
}

// asker asks a node again and again, for what needs a signature and for what does
// not.
type asker struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	answers []answer
}

const signMessage = "SignMessage"

func ask(ctx context.Context, n *devnet.Node) *asker {
	ctx, cancel := context.WithCancel(ctx)
	a := &asker{cancel: cancel}
	a.keepAsking(ctx, "GetInfo", func(ctx context.Context) error {
		_, err := n.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		return err
	})
	a.keepAsking(ctx, signMessage, func(ctx context.Context) error {
		_, err := n.Lightning().SignMessage(ctx, &lnrpc.SignMessageRequest{Msg: []byte("kettle")})
		return err
	})
	return a
}

func (a *asker) keepAsking(ctx context.Context, question string, call func(context.Context) error) {
	a.all.Go(func() {
		for pause(ctx, askEvery) == nil {
			began := time.Now()
			one, cancel := context.WithTimeout(ctx, giveUp)
			err := call(one)
			cancel()
			if ctx.Err() != nil {
				return
			}
			a.mu.Lock()
			a.answers = append(a.answers, answer{question, began, time.Now(), err})
			a.mu.Unlock()
		}
	})
}

// stop ends the questions and returns all answers.
func (a *asker) stop() []answer {
	a.cancel()
	a.all.Wait()
	return a.answers
}

// signedSince says whether a signature was asked for and given since then.
func (a *asker) signedSince(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.answers) - 1; i >= 0 && a.answers[i].ended.After(t); i-- {
		if x := a.answers[i]; x.question == signMessage && x.err == nil && x.began.After(t) {
			return true
		}
	}
	return false
}

// times are when a fault began, when mending it began, when the signer was whole,
// and when the last call had failed.
type times struct{ struck, mending, whole, back time.Time }

// verdict is what the answers say of a fault.
type verdict struct {
	refusedAfter time.Duration // unknown when nothing was refused
	slowest      time.Duration
	others       map[string]int // what else was said, while the node came back
}

const unknown = -1

// judge holds the answers against what the node promises, and sets when it was
// back.
func judge(answers []answer, b blow, t *times) (v verdict, err error) {
	t.back = t.whole
	v = verdict{refusedAfter: unknown, others: map[string]int{}}
	var faults []error
	for _, a := range answers {
		if a.ended.Before(t.struck) {
			continue
		}
		if a.err != nil && a.ended.After(t.back) {
			t.back = a.ended
		}
		took := a.ended.Sub(a.began)
		v.slowest = max(v.slowest, took)
		if took > longest {
			faults = append(faults, a.fault(t, "took too long"))
		}
		away := v.refusedAfter != unknown && a.began.After(t.struck.Add(v.refusedAfter)) && a.ended.Before(t.mending)
		switch {
		case a.err != nil && b.expect == mustServe:
			faults = append(faults, a.fault(t, "failed, and the signer was only slow"))
		case a.refused() && v.refusedAfter == unknown:
			v.refusedAfter = a.ended.Sub(t.struck)
		case a.err == nil && away:
			faults = append(faults, a.fault(t, "was answered while the signer was away"))
		case a.err != nil && !a.refused() && a.ended.Before(t.mending):
			faults = append(faults, a.fault(t, "was refused with other words"))
		case a.err != nil && !a.refused():
			v.others[a.says()]++
		}
	}
	if b.expect == mustRefuse && v.refusedAfter == unknown {
		faults = append(faults, errors.New("the node never said that its signer is away"))
	}
	return v, firstOf(faults)
}

func (a answer) fault(t *times, what string) error {
	return fmt.Errorf("%s, asked %.2f s after the fault, %s: %.2f s, %v",
		a.question, a.began.Sub(t.struck).Seconds(), what, a.ended.Sub(a.began).Seconds(), a.err)
}

// firstOf tells the first few.
func firstOf(faults []error) error {
	if n := len(faults); n > 3 {
		return errors.Join(append(faults[:3:3], fmt.Errorf("and %d more", n-3))...)
	}
	return errors.Join(faults...)
}
