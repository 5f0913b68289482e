package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
)

// benchSigner measures a network from nothing whose first node has its keys on
// a signer, what that signer costs, and the node beside a plain lnd with a
// plain lnd as its signer.
func benchSigner(ctx context.Context, w *world, rounds int) (err error) {
	dir := filepath.Join(w.home, "signer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	net, err := w.signedNetwork(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Stop(context.WithoutCancel(ctx))) }()
	alice, bob := net.Nodes[0], net.Nodes[1]
	if err := restartSigner(ctx, alice.Signer, rounds); err != nil {
		return err
	}
	err = devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := alice.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	pair, err := startPair(ctx, w.bin, dir, net, bob)
	if err != nil {
		return fmt.Errorf("a plain lnd with a plain signer: %w", err)
	}
	defer pair.stop(context.WithoutCancel(ctx))
	if err := net.AwaitChannels(ctx); err != nil {
		return err
	}
	err = ratio.Comparison{
		Baseline: "AddInvoice, plain watch-only lnd", Subject: "AddInvoice, watch-only node",
		Target: "ratio at most 1.15", N: 100,
		RunBaseline: addInvoice(pair.conn), RunSubject: addInvoice(alice.Conn()),
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	err = ratio.Comparison{
		Baseline: "SendPaymentV2, plain watch-only lnd", Subject: "SendPaymentV2, watch-only node",
		Target: "ratio at most 1.15", N: 16,
		RunBaseline: payment(pair.conn, bob), RunSubject: payment(alice.Conn(), bob),
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	return signerMemory(alice.Signer.Process().Pid())
}

// signedNetwork makes a network with a signer and asks its first node.
func (w *world) signedNetwork(ctx context.Context, dir string) (*devnet.Network, error) {
	begin := time.Now()
	net, err := devnet.Start(ctx, devnet.Options{
		Home: config.Home(dir), Leyden: filepath.Join(w.bin, "leyden"), Btcd: filepath.Join(w.bin, "btcd"),
		Signer: devnet.NodeName(0),
	})
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(w.bin, "leyden"), "--home", dir, "lncli", "getinfo").CombinedOutput()
	if err != nil {
		return net, fmt.Errorf("lncli getinfo: %w: %s", err, out)
	}
	fmt.Printf("  from nothing to a funded watch-only node with a channel, and lncli getinfo: %.1f s; target: less than 60 s\n",
		time.Since(begin).Seconds())
	return net, nil
}

// restartSigner starts the signer anew, some times, and says how long that takes.
func restartSigner(ctx context.Context, s *devnet.Signer, rounds int) error {
	var took []time.Duration
	for range rounds {
		if err := s.Stop(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if err := s.Start(ctx); err != nil {
			return err
		}
		if err := s.Await(ctx); err != nil {
			return err
		}
		took = append(took, time.Since(begin))
	}
	fmt.Printf("  signer from start to its first answer: %.2f s; target: at most 6 s\n", ratio.Median(took).Seconds())
	return nil
}

// signerMemory says what a signer that has worked holds in memory.
func signerMemory(pid int) error {
	child, err := childOf(pid)
	if err != nil {
		return err
	}
	own, err := memoryOf(pid)
	if err != nil {
		return err
	}
	lnd, err := memoryOf(child)
	if err != nil {
		return err
	}
	fmt.Printf("  signer's memory: %d MB, its child %d MB, together %d MB; target: at most 160 MB\n",
		own.now>>20, lnd.now>>20, (own.now+lnd.now)>>20)
	return nil
}

// childOf returns the one child of a process, whichever thread started it.
func childOf(pid int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return 0, err
		}
		if pids := strings.Fields(string(text)); len(pids) > 0 {
			return strconv.Atoi(pids[0])
		}
	}
	return 0, fmt.Errorf("process %d has no child", pid)
}

// addInvoice returns a run that makes an invoice.
func addInvoice(conn *grpc.ClientConn) func(context.Context) (time.Duration, error) {
	client := lnrpc.NewLightningClient(conn)
	return func(ctx context.Context) (time.Duration, error) {
		return ratio.Timed(func() error {
			_, err := client.AddInvoice(ctx, &lnrpc.Invoice{Value: price})
			return err
		})
	}
}
