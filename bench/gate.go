package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/l402"
)

const (
	// gateConns is how many connections the load has.
	gateConns = 32
	// gateTokens is how many different tokens are presented.
	gateTokens = 100_000
	// gateTime is how long a timed run takes.
	gateTime = 3 * time.Second
	// gateOpen is more invoices than the benchmark leaves unpaid.
	gateOpen = 1_000_000
)

// gateBench is a gate under load, with what it is compared with.
type gateBench struct {
	*world
	backend, bare process
	shop          *shop.Gate
	addr          string
	keys          *l402.Keyring
	opened        int // gates so far
}

// benchGate measures the gate's own speed: requests that are paid for beside a
// bare reverse proxy, challenges beside lnd's AddInvoice, and its memory.
func benchGate(ctx context.Context, w *world, rounds int) (err error) {
	b := &gateBench{world: w}
	if b.backend, err = w.startSelf(asBackend); err != nil {
		return err
	}
	defer func() { _ = b.backend.Kill() }()
	if b.bare, err = w.startSelf(asBare, b.backend.addr); err != nil {
		return err
	}
	defer func() { _ = b.bare.Kill() }()
	if err := b.openGate(ctx); err != nil {
		return err
	}
	defer func() {
		if b.shop != nil {
			_ = b.shop.Stop(context.WithoutCancel(ctx))
		}
	}()
	if err := b.printMemory("started", "at most 60 MB"); err != nil {
		return err
	}
	if err := b.authenticated(ctx, rounds); err != nil {
		return err
	}
	if err := b.printMemory(fmt.Sprintf("%d tokens cached, after the load", gateTokens), "at most 200 MB"); err != nil {
		return err
	}
	return b.challenges(ctx, rounds)
}

// openGate starts a gate of its own on the seller's node, in the place of the
// one before: it has seen no token yet.
func (b *gateBench) openGate(ctx context.Context) (err error) {
	if b.shop != nil {
		if err := b.shop.Stop(ctx); err != nil {
			return err
		}
	}
	b.opened++
	home := config.Home(filepath.Join(b.home, fmt.Sprintf("loaded-%d", b.opened)))
	b.shop, err = shop.OpenGate(ctx, shop.GateOptions{
		Node: b.seller(), Home: home, Leyden: filepath.Join(b.bin, "leyden"), MaxOpen: gateOpen,
		Services: []shop.Service{{Name: "data", PathRegexp: "^/data$", Address: b.backend.addr,
			Price: price, Free: []string{"^" + shop.HealthPath + "$"}}},
	})
	if err != nil {
		return err
	}
	b.addr = strings.TrimPrefix(b.shop.URL, "http://")
	text, err := os.ReadFile(filepath.Join(home.Gate(), "master.key"))
	if err != nil {
		return err
	}
	lines := strings.Fields(string(text[strings.LastIndexByte(string(text), '#'):]))
	key, err := l402.ParseMasterKey(lines[len(lines)-1])
	if err != nil {
		return err
	}
	b.keys, err = l402.NewKeyring(key)
	return err
}

// printMemory prints what the gate's process has in memory.
func (b *gateBench) printMemory(when, target string) error {
	m, err := memoryOf(b.shop.Pid())
	if err != nil {
		return err
	}
	fmt.Printf("  gate's memory, %s: %.0f MB (its own %.0f MB, the rest pages of the program's file; at most so far %.0f MB); target: %s\n",
		when, float64(m.now)/1e6, float64(m.own)/1e6, float64(m.most)/1e6, target)
	return nil
}

// paidRequests are whole requests with as many tokens that nobody has shown
// yet, as if each had been bought.
func (b *gateBench) paidRequests(n int) ([][]byte, error) {
	services, err := l402.ServicesCaveat(l402.Service{Name: "data"})
	if err != nil {
		return nil, err
	}
	requests := make([][]byte, n)
	for i := range requests {
		var preimage lntypes.Preimage
		if _, err := rand.Read(preimage[:]); err != nil {
			return nil, err
		}
		token, err := b.keys.Mint(rand.Reader, preimage.Hash(), services)
		if err != nil {
			return nil, err
		}
		c := l402.Credential{Tokens: []l402.Token{token}, Preimage: preimage}
		requests[i] = getData(nil, "Authorization", c.Authorization(l402.SchemeL402))
	}
	return requests, nil
}

// getData appends a request for the service's answer.
func getData(buf []byte, header, value string) []byte {
	return fmt.Appendf(buf, "GET /data HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: bench\r\nAccept: */*\r\n%s: %s\r\n\r\n", header, value)
}
