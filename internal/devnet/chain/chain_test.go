package chain_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/testbin"
)

func options(t *testing.T, dir string) chain.Options {
	t.Helper()
	return chain.Options{Dir: dir, Btcd: filepath.Join(testbin.Dir(t), "btcd"), RPC: reserve(t), P2P: reserve(t)}
}

func reserve(t *testing.T) string {
	t.Helper()
	addr, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func start(t *testing.T, ctx context.Context, dir string) *chain.Chain {
	t.Helper()
	c, err := chain.Start(ctx, options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// somebody is an address that is not the faucet's.
func somebody(t *testing.T) btcutil.Address {
	t.Helper()
	a, err := btcutil.NewAddressWitnessPubKeyHash(make([]byte, 20), chain.Params)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestChainSurvives(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "chain")

	c := start(t, ctx, dir)
	if h, err := c.Height(ctx); err != nil || h != 450 {
		t.Fatalf("a new chain has height %d, %v", h, err)
	}
	if _, err := c.Send(ctx, btcutil.SatoshiPerBitcoin, somebody(t), somebody(t)); err != nil {
		t.Fatal(err)
	}
	// Mined by another process, as `leyden devnet mine` does.
	other, err := chain.Dial(c.Access())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Mine(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if waiting, err := c.Mempool(ctx); err != nil || len(waiting) != 0 {
		t.Fatalf("not mined: %v, %v", waiting, err)
	}
	for above, want := range map[int]btcutil.Amount{450: 20 * (10 + 149 + 3*43), 451: 0} {
		if fees, err := c.Fees(ctx, above, 453); err != nil || fees != want {
			t.Errorf("blocks above %d were paid %v, %v, want %v", above, fees, err, want)
		}
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Dial(c.Access()); fault.Code(err) != "not_running" {
		t.Fatalf("dial a stopped chain: %v", err)
	}

	c = start(t, ctx, dir)
	if h, err := c.Height(ctx); err != nil || h != 454 {
		t.Fatalf("height %d, %v after a restart, want 450+3+1", h, err)
	}
	// Coins spent before the restart must not be spent again.
	for range 20 {
		if _, err := c.Send(ctx, 40*btcutil.SatoshiPerBitcoin, somebody(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBlockFileDamage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "chain")
	c := start(t, ctx, dir)
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blocks.dat")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, whole[:len(whole)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	c = start(t, ctx, dir)
	if h, err := c.Height(ctx); err != nil || h != 450 {
		t.Fatalf("height %d, %v after a torn last block, want it mined again", h, err)
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	for name, damage := range map[string]func([]byte){
		"fail/magic":  func(b []byte) { b[0] ^= 1 },
		"fail/length": func(b []byte) { b[7] = 0xff },
		"fail/parent": func(b []byte) { b[8+4] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := append([]byte(nil), whole...)
			damage(bad)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := chain.Start(ctx, options(t, dir))
			if fault.Code(err) != "bad_block_file" {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	o := options(t, filepath.Join(t.TempDir(), "chain"))
	o.RPC = start(t, t.Context(), filepath.Join(t.TempDir(), "other")).Access().RPC
	_, err := chain.Start(t.Context(), o)
	if fault.Code(err) != "ended" {
		t.Fatalf("on an occupied port: %v", err)
	}
}

func TestFindBtcd(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv(chain.Env, "")
	if _, err := chain.FindBtcd(dir); fault.Code(err) != "btcd_missing" {
		t.Errorf("nowhere: %v", err)
	}
	path := filepath.Join(dir, "btcd")
	if err := os.WriteFile(path, []byte(fmt.Sprintln("#!/bin/sh")), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, beside := range map[string]string{"beside": dir, "in PATH": "/nonexistent"} {
		if got, err := chain.FindBtcd(beside); err != nil || got != path {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	t.Setenv(chain.Env, filepath.Join(dir, "none"))
	if _, err := chain.FindBtcd(dir); fault.Code(err) != "btcd_missing" {
		t.Errorf("%s wrong: %v", chain.Env, err)
	}
}
