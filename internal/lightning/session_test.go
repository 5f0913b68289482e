package lightning_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/lightning/lnctest"
	"github.com/leydenln/leyden/internal/rpc/lndwire"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc"
)

func startRelay(t *testing.T) *lnctest.Relay {
	t.Helper()
	r, err := lnctest.StartRelay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() })
	return r
}

// serveAlice serves a node's session whose calls need the macaroon.
func serveAlice(t *testing.T, r *lnctest.Relay) *lnctest.Session {
	t.Helper()
	s, err := r.Serve([]byte("macaroon"), func(_ any, stream grpc.ServerStream) error {
		if got := metadata.ValueFromIncomingContext(stream.Context(), "macaroon"); strings.Join(got, ",") != "6d616361726f6f6e" {
			return status.Errorf(codes.Unknown, "macaroon %q", got)
		}
		return stream.SendMsg(&lndwire.GetInfoResponse{Alias: "alice", Chains: []*lndwire.Chain{{Network: "regtest"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func dialSession(t *testing.T, d *lnc.Dialer, lock func(context.Context) (func(), error)) *lightning.Client {
	t.Helper()
	c, err := lightning.DialSession(d, lock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSession: calls carry the macaroon that the node gave, over one connection
// at a time that is made again after the relay or the node was away.
func TestSession(t *testing.T) {
	r := startRelay(t)
	node := serveAlice(t, r)
	var locked atomic.Int64
	c := dialSession(t, &lnc.Dialer{Mailbox: r.Mailbox(), Phrase: node.Phrase}, func(context.Context) (func(), error) {
		locked.Add(1)
		return func() { locked.Add(-1) }, nil
	})
	answers := func() bool {
		info, err := c.GetInfo(t.Context())
		return err == nil && info.Alias == "alice"
	}
	until.True(t, "an answer", answers) // both stretch the phrase, which a busy machine may not do in time
	before := node.Accepted()
	for range 3 {
		if !answers() {
			t.Fatal("no answer")
		}
	}
	if n := node.Accepted(); n != before {
		t.Errorf("%d more connections for three calls", n-before)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	until.True(t, "an answer after the relay was away", answers)
	node.Stop()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	until.True(t, "an answer after the node was away", answers)
	if locked.Load() != 1 {
		t.Errorf("locked %d times", locked.Load())
	}
	_ = c.Close()
	if locked.Load() != 0 {
		t.Error("the session stays locked")
	}
}

func TestSessionTroubles(t *testing.T) {
	r := startRelay(t)
	node := serveAlice(t, r)
	busy := dialSession(t, &lnc.Dialer{Mailbox: r.Mailbox(), Phrase: node.Phrase}, nil)
	if _, err := busy.GetInfo(t.Context()); err != nil {
		t.Fatal(err)
	}
	strange := r.Mailbox()
	strange.TLS = nil
	away := r.Mailbox()
	away.Addr = "127.0.0.1:1"
	broken := fault.New("disk_full", "free some space", "write: full")
	for name, test := range map[string]struct {
		dialer *lnc.Dialer
		lock   func(context.Context) (func(), error)
		code   string
	}{
		"not found":     {&lnc.Dialer{Mailbox: r.Mailbox(), Phrase: lnc.NewPhrase()}, nil, lightning.CodeSessionNotFound},
		"unreachable":   {&lnc.Dialer{Mailbox: away, Phrase: node.Phrase}, nil, lightning.CodeRelayUnreachable},
		"certificate":   {&lnc.Dialer{Mailbox: strange, Phrase: node.Phrase}, nil, lightning.CodeRelayUnreachable},
		"in use":        {&lnc.Dialer{Mailbox: r.Mailbox(), Phrase: node.Phrase}, nil, lightning.CodeSessionInUse},
		"in use nearby": {&lnc.Dialer{Mailbox: r.Mailbox(), Identity: node.Identity()}, locked, lightning.CodeSessionInUse},
		"not kept": {&lnc.Dialer{Mailbox: r.Mailbox(), Phrase: serveAlice(t, r).Phrase,
			Persist: func(lnc.Identity) error { return broken }}, nil, "disk_full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialSession(t, test.dialer, test.lock)
			patience := 5 * time.Second
			until.True(t, "the reason", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				patience *= 2 // a busy machine may need longer to come to it
				_, err := c.GetInfo(ctx)
				return fault.Code(err) == test.code && fault.Hint(err) != ""
			})
		})
	}
}

// TestSessionTurns: a call waits for its turn as long as it likes, and is not
// sent where that does not come.
func TestSessionTurns(t *testing.T) {
	r := startRelay(t)
	node := serveAlice(t, r)
	turn := make(chan struct{}, 1)
	take := func(ctx context.Context) (func(), error) {
		if _, hurried := ctx.Deadline(); hurried {
			t.Error("the wait for the turn is cut short")
		}
		select {
		case turn <- struct{}{}:
			return func() { <-turn }, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	kept := make(chan lnc.Identity, 2)
	first := dialSession(t, &lnc.Dialer{Mailbox: r.Mailbox(), Phrase: node.Phrase,
		Persist: func(i lnc.Identity) error { kept <- i; return nil }}, take)
	if _, err := first.GetInfo(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := dialSession(t, &lnc.Dialer{Mailbox: r.Mailbox(), Phrase: node.Phrase, Identity: <-kept}, take)
	answered := make(chan error, 1)
	second.Connect()
	go func() {
		_, err := second.GetInfo(t.Context())
		answered <- err
	}()
	_ = first.Close()
	if err := <-answered; err != nil {
		t.Errorf("in its turn: %v", err)
	}

	third := dialSession(t, &lnc.Dialer{Mailbox: r.Mailbox(), Identity: node.Identity()}, locked)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := third.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/routerrpc.Router/SendPaymentV2")
	if fault.Code(err) != lightning.CodeSessionInUse || !lightning.NotSent(err) {
		t.Errorf("out of turn: %v", err)
	}
	third.Connect()
	_ = third.Close() // also while it waits
}

func locked(ctx context.Context) (func(), error) {
	<-ctx.Done()
	return nil, errors.New("waited for a lock")
}
