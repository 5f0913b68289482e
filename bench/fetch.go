package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/l402"
)

// benchSize prints what the agent's program weighs.
func benchSize(_ context.Context, w *world, _ int) error {
	for _, c := range []struct{ name, target string }{{"lnget", "at most 16.0 MB"}, {"leyden", "none"}} {
		info, err := os.Stat(filepath.Join(w.bin, c.name))
		if err != nil {
			return err
		}
		fmt.Printf("  %s, stripped: %.1f MB; target: %s\n", c.name, float64(info.Size())/1e6, c.target)
	}
	return nil
}

// benchCached compares curl and lnget, whole processes, fetching the same
// bytes through the same gate with the same token.
func benchCached(ctx context.Context, w *world, rounds int) error {
	if _, err := w.fetch(ctx); err != nil {
		return err
	}
	authorization, err := w.authorization(ctx)
	if err != nil {
		return err
	}
	curl := func(ctx context.Context) (time.Duration, error) {
		return body(exec.CommandContext(ctx, "curl", "-s", "-H", "Authorization: "+authorization, w.gateURL))
	}
	return ratio.Comparison{
		Baseline: "curl with the token", Subject: "lnget, cached token",
		Target: "ratio at most 1.00", N: 40,
		RunBaseline: curl, RunSubject: w.fetch,
	}.Measure(ctx, rounds)
}

// benchPaid compares a whole paid fetch with the payment alone.
func benchPaid(ctx context.Context, w *world, rounds int) error {
	paid := func(ctx context.Context) (time.Duration, error) {
		if err := os.RemoveAll(w.tokens()); err != nil {
			return 0, err
		}
		if err := rest(ctx); err != nil {
			return 0, err
		}
		return w.fetch(ctx)
	}
	err := ratio.Comparison{
		Baseline: "SendPaymentV2 alone", Subject: "lnget: 402, payment, paid fetch",
		Target: "at most 40 ms more", N: 12,
		RunBaseline: payment(w.buyer().Conn(), w.seller()), RunSubject: paid,
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(w.tokens()); err != nil {
		return err
	}
	if err := rest(ctx); err != nil {
		return err
	}
	cmd := w.lnget.Command(ctx, "-v", w.gateURL)
	var parts bytes.Buffer
	cmd.Stderr = &parts
	if _, err := body(cmd); err != nil {
		return err
	}
	fmt.Printf("  parts of one paid fetch (lnget -v):\n")
	for line := range strings.Lines(parts.String()) {
		fmt.Printf("    %s", line)
	}
	return nil
}

// authorization buys a token without lnget, for curl.
func (w *world) authorization(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.gateURL, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	challenges, err := l402.ParseChallenges(resp.Header)
	if err != nil || len(challenges) == 0 {
		return "", fmt.Errorf("no challenge in a %s: %w", resp.Status, err)
	}
	c := challenges[0]
	text, err := send(ctx, routerrpc.NewRouterClient(w.buyer().Conn()), c.Invoice)
	if err != nil {
		return "", err
	}
	preimage, err := lntypes.MakePreimageFromStr(text)
	if err != nil {
		return "", err
	}
	return l402.Credential{Tokens: c.Tokens, Preimage: preimage}.Authorization(c.Scheme), nil
}

// fetch runs lnget once.
func (w *world) fetch(ctx context.Context) (time.Duration, error) {
	return body(w.lnget.Command(ctx, "-q", w.gateURL))
}

// body runs a client and checks that it printed the service's answer.
func body(cmd *exec.Cmd) (time.Duration, error) {
	var out []byte
	took, err := ratio.Timed(func() (err error) {
		out, err = cmd.Output()
		return err
	})
	if err == nil && len(out) != bodySize {
		err = fmt.Errorf("%s printed %d bytes, want %d", filepath.Base(cmd.Path), len(out), bodySize)
	}
	return took, err
}
