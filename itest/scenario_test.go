package itest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/itest/scenario"
)

// TestScenario: a node does the same with its keys at hand and on a signer, on
// both backends, in anchor and in taproot channels. With LEYDEN_SCENARIO=full in
// every combination, else in two that have all of these.
func TestScenario(t *testing.T) {
	full := os.Getenv("LEYDEN_SCENARIO") == "full"
	for _, c := range []struct {
		name  string
		o     devnet.Options
		extra bool
	}{
		{name: "standalone, neutrino", o: devnet.Options{Backend: "neutrino"}},
		{name: "watch-only, btcd", o: devnet.Options{Backend: "btcd", Signer: devnet.NodeName(0)}},
		{name: "standalone, btcd", o: devnet.Options{Backend: "btcd"}, extra: true},
		{name: "watch-only, neutrino", o: devnet.Options{Backend: "neutrino", Signer: devnet.NodeName(0)}, extra: true},
	} {
		if c.extra && !full {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := ownNetwork(t, c.o)
			for _, kind := range []lnrpc.CommitmentType{lnrpc.CommitmentType_ANCHORS, lnrpc.CommitmentType_SIMPLE_TAPROOT} {
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
				defer cancel()
				run := scenario.Run{Network: n, Type: kind, Say: func(step string, took time.Duration) {
					t.Logf("%5.1f s  %v: %s", took.Seconds(), kind, step)
				}}
				if err := run.Do(ctx); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// ownNetwork starts a network of two nodes that can open taproot channels, for
// one test.
func ownNetwork(t *testing.T, o devnet.Options) *devnet.Network {
	t.Helper()
	bin, begin := testbin.Dir(t), time.Now()
	o.Home, o.Leyden, o.Btcd = config.Home(t.TempDir()), filepath.Join(bin, "leyden"), filepath.Join(bin, "btcd")
	o.Profiles = []string{"taproot"}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	n, err := devnet.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%5.1f s  network up", time.Since(begin).Seconds())
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}
