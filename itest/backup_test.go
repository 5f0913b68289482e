package itest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/testbin"
)

const backupPage = "docs/backup.md"

// fees is what closing and sweeping two channels may cost.
const fees btcutil.Amount = 50_000

// TestBackup types the page about backups: a node keeps a copy, opens a channel, proves
// the copy, loses its folder and has its coins again.
func TestBackup(t *testing.T) {
	for name, signer := range map[string]string{"standalone": "", "watchonly": "alice"} {
		t.Run(name, func(t *testing.T) { loseAndRestore(t, signer) })
	}
}

func loseAndRestore(t *testing.T, signer string) {
	bin := testbin.Dir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	n, err := devnet.Start(ctx, devnet.Options{
		Home: config.Home(t.TempDir()), Signer: signer, Leyden: filepath.Join(bin, "leyden"), Btcd: filepath.Join(bin, "btcd"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	alice, bob := n.Nodes[0], n.Nodes[1]
	disk := t.TempDir()
	o := loser{t: t, alice: alice}
	o.reader = reader{t: t, w: &world{Network: n, bin: bin}, home: t.TempDir(), names: strings.NewReplacer(
		"/mnt/usb/leyden", disk, "03abcd…@tower.example:9911", bob.Pubkey+"@"+bob.P2P, "backup restore", "backup restore --yes",
		"--mode standalone", "--mode standalone --network regtest", "testnet", "regtest",
		"credentials-bundle.tar.gz.b64", filepath.Join(disk, "bundle"), "signer.example:10012", o.signer(),
	)}
	if err := os.Symlink(string(alice.Home()), filepath.Join(o.home, ".leyden")); err != nil {
		t.Fatal(err)
	}

	o.typed("backup follow")
	o.line(backupPage, "leyden accounts create 5000 --label agent --save_to agent.macaroon")
	openChannel(t, alice, bob)
	o.awaitStatus("the new channel in the copy", func(s backup.Status) bool { return s.OK && s.Channels == 2 })
	if err := n.Mine(ctx, 6); err != nil {
		t.Fatal(err)
	}
	o.proves(2)

	before := total(t, alice)
	o.lose(ctx, disk)
	restore := "--restore-seed-file"
	if signer != "" {
		restore = "node import"
	}
	o.typed(restore)
	defer o.line(backupPage, "leyden node stop")
	o.awaitStatus("the channels' return", func(s backup.Status) bool { return s.Restored == 2 && !s.Restoring })
	o.awaitCoins(ctx, n, before-fees)
	o.typed("pendingchannels")
	o.awaitStatus("a copy without the closed channels", func(s backup.Status) bool { return s.OK && s.Channels == 0 })
	if said := o.line(backupPage, "leyden accounts list"); !strings.Contains(said, `"agent"`) || !strings.Contains(said, `"frozen_all": true`) {
		t.Errorf("accounts: %s", said)
	}
	o.typed("wtclient add")
}

// loser is a reader whose node is alice.
type loser struct {
	reader
	t     *testing.T
	alice *devnet.Node
}

// signer is where alice's is; without one it is nowhere.
func (o loser) signer() string {
	if o.alice.Signer == nil {
		return "nowhere"
	}
	return o.alice.Signer.RPC
}

// typed types the block that has the text. The wallet that a line of it makes again
// looks ahead a few addresses, which is enough for a network as young as this one.
func (o loser) typed(text string) {
	o.t.Helper()
	for _, block := range blocks(readPage(o.t, backupPage)) {
		if !strings.Contains(strings.Join(block, "\n"), text) {
			continue
		}
		for _, line := range block {
			if strings.HasPrefix(line, "leyden node start") && text == "wtclient add" {
				continue // lnd.conf turns the client on
			}
			o.line(backupPage, line)
			if strings.HasPrefix(line, "leyden node create") {
				o.lookAhead(25)
			}
		}
		return
	}
	o.t.Fatalf("no block has %q", text)
}

func (o loser) lookAhead(addresses int) {
	o.t.Helper()
	path := filepath.Join(o.alice.LndDir, "leyden-node.yaml")
	kept, err := os.ReadFile(path)
	if err != nil {
		o.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(kept)) {
		if strings.HasPrefix(line, "recovery_window:") {
			line = "recovery_window: " + jsonOf(o.t, addresses) + "\n"
		}
		lines = append(lines, line)
	}
	if err := files.Write(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (o loser) awaitStatus(what string, ok func(backup.Status) bool) {
	o.t.Helper()
	var s backup.Status
	ctx, cancel := context.WithTimeout(o.t.Context(), 3*time.Minute)
	defer cancel()
	err := devnet.Poll(ctx, func(context.Context) (bool, error) {
		var err error
		s, err = backup.StatusOf(o.alice.Home(), o.pid())
		return err == nil && ok(s), nil
	})
	if err != nil {
		o.t.Fatalf("waited in vain for %s: %+v", what, s)
	}
}

// pid is that of alice's node.
func (o loser) pid() int {
	var running struct{ PID int }
	data, err := os.ReadFile(filepath.Join(o.alice.Home().Run(), "node.json"))
	if err != nil || json.Unmarshal(data, &running) != nil {
		return 0
	}
	return running.PID
}

// awaitCoins mines, slowly enough for wallets to follow, until all is in alice's.
func (o loser) awaitCoins(ctx context.Context, n *devnet.Network, least btcutil.Amount) {
	o.t.Helper()
	conn, err := o.alice.Dial() // with the new folder's certificate and macaroon
	if err != nil {
		o.t.Fatal(err)
	}
	defer conn.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var has *lnrpc.WalletBalanceResponse
	err = devnet.Poll(ctx, func(context.Context) (bool, error) {
		has, err = lnrpc.NewLightningClient(conn).WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
		if err != nil {
			return false, nil // lnd is started again after a restore
		}
		select {
		case <-tick.C:
			err = n.Mine(ctx, 1)
		default:
		}
		return btcutil.Amount(has.ConfirmedBalance) >= least, err
	})
	if err != nil {
		o.t.Fatalf("the wallet has %v, not %v: %v", has, least, err)
	}
}

// proves types the proof, which leaves the channels alone.
func (o loser) proves(channels int) {
	o.t.Helper()
	var proved backup.Proved
	said := o.line(backupPage, "leyden node backup verify")
	if err := json.Unmarshal([]byte(said), &proved); err != nil || len(proved.Channels) != channels ||
		proved.Node != o.alice.Pubkey || proved.Books == nil || proved.Books.Accounts != 1 {
		o.t.Errorf("proved: %s", said)
	}
	list, err := o.alice.Lightning().ListChannels(o.t.Context(), &lnrpc.ListChannelsRequest{})
	if err != nil || len(list.Channels) != channels {
		o.t.Errorf("after the proof: %v, %v", list, err)
	}
}

// lose stops alice and takes her folders away. Her seed, or her signer's bundle, and
// her lnd.conf are elsewhere.
func (o loser) lose(ctx context.Context, disk string) {
	o.t.Helper()
	if err := o.alice.Stop(ctx); err != nil {
		o.t.Fatal(err)
	}
	conf, err := os.ReadFile(filepath.Join(o.alice.LndDir, "lnd.conf"))
	if err != nil {
		o.t.Fatal(err)
	}
	if seed, err := os.ReadFile(filepath.Join(o.alice.LndDir, "seed.txt")); err == nil {
		err = files.Write(filepath.Join(o.home, "seed.txt"), seed, 0o600)
		if err != nil {
			o.t.Fatal(err)
		}
	} else if err := os.Rename(filepath.Join(o.alice.LndDir, "signer"), filepath.Join(disk, "bundle")); err != nil {
		o.t.Fatal(err)
	}
	for _, dir := range []string{o.alice.LndDir, o.alice.Home().Guard()} {
		if err := os.RemoveAll(dir); err != nil {
			o.t.Fatal(err)
		}
	}
	if err := files.MkdirPrivate(o.alice.LndDir); err != nil {
		o.t.Fatal(err)
	}
	if err := files.Write(filepath.Join(o.alice.LndDir, "lnd.conf"), append(conf, "wtclient.active=true\n"...), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// openChannel opens a further channel, which waits for blocks.
func openChannel(t *testing.T, from, to *devnet.Node) {
	t.Helper()
	key, err := hex.DecodeString(to.Pubkey)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a channel that opens", func() bool { // the peer has just come back
		_, err = from.Lightning().OpenChannelSync(t.Context(), &lnrpc.OpenChannelRequest{
			NodePubkey: key, LocalFundingAmount: 3_000_000, PushSat: 1_000_000, SatPerVbyte: 5})
		return err == nil
	})
}

// total is what the node owns, on the chain and in channels.
func total(t *testing.T, n *devnet.Node) btcutil.Amount {
	t.Helper()
	wallet, err := n.Lightning().WalletBalance(t.Context(), &lnrpc.WalletBalanceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	channels, err := n.Lightning().ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return btcutil.Amount(wallet.TotalBalance) + btcutil.Amount(channels.LocalBalance.Sat)
}
