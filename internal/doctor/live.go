package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/wtclientrpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
)

// live is what the running node answers, asked once.
type live struct {
	asked bool
	err   error // nil with no info: no node runs

	info               *lnrpc.GetInfoResponse
	onChain, inChannel int64 // sat: confirmed coins, and ours in channels
	theirs             int64 // sat: the peers' in channels, which can be received

	towersKnown bool // the client of watchtowers is on, and towers is right
	towers      int
}

// failed is a finding of an error that says itself what to do.
func failed(err error, format string, args ...any) Finding {
	return fail(fault.Hint(err), "%s: %v", fmt.Sprintf(format, args...), err)
}

// answerTime is how long a running node may take to answer.
const answerTime = 10 * time.Second

// ask asks the running node, with the macaroon that can only read. info is nil
// where none runs, it does not answer, or its signer is away.
func (e *Env) ask(ctx context.Context) *live {
	e.asking.Lock()
	defer e.asking.Unlock()
	if e.live.asked {
		return &e.live
	}
	e.live.asked = true
	r, on := e.record(aNode)
	if !on || len(r.RPC) == 0 || r.SignerError != "" || r.State != "active" && r.State != "rpc_active" {
		return &e.live
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	e.live.err = e.live.read(ctx, lightning.Config{
		Host: node.Dialable(r.RPC[0]), TLSCertPath: r.TLSCert,
		MacaroonPath: filepath.Join(e.Home.Node(), "data", "chain", "bitcoin", r.Network, "readonly.macaroon"),
	})
	return &e.live
}

func (l *live) read(ctx context.Context, at lightning.Config) error {
	client, err := lightning.Dial(at)
	if err != nil {
		return err
	}
	defer client.Close()
	rpc := lnrpc.NewLightningClient(client)
	if l.info, err = rpc.GetInfo(ctx, &lnrpc.GetInfoRequest{}); err != nil {
		return err
	}
	coins, err := rpc.WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
	if err != nil {
		return err
	}
	channels, err := rpc.ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		return err
	}
	if list, err := wtclientrpc.NewWatchtowerClientClient(client).ListTowers(ctx, &wtclientrpc.ListTowersRequest{}); err == nil {
		l.towersKnown, l.towers = true, len(list.Towers)
	}
	l.onChain = coins.TotalBalance
	l.inChannel, l.theirs = int64(channels.LocalBalance.GetSat()), int64(channels.RemoteBalance.GetSat())
	return nil
}

// checkDaemons looks at what runs in the background.
func checkDaemons(ctx context.Context, e *Env) (found []Finding) {
	for _, name := range daemons {
		r, on := e.record(name)
		switch {
		case !on:
			continue
		case r.SignerError != "":
			found = append(found, fail("leyden signer start --detach, on the signer's machine", "the node's signer is away, and the node answers nobody: %s", r.SignerError))
		case name == aNode && r.State == "locked" && !r.AwaitsPassword:
			found = append(found, info("leyden node status", "the node is starting: its wallet is being opened"))
		case r.State == "locked":
			found = append(found, fail("leyden "+name+" unlock", "the %s's wallet is locked", name))
		case r.Error != "":
			found = append(found, fail("leyden "+name+" status", "the %s is %s: %s", name, r.State, r.Error))
		case r.GuardError != "":
			found = append(found, fail("leyden "+name+" status", "the guard is not attached, so that the %s answers nobody: %s", name, r.GuardError))
		default:
			found = append(found, ok("the %s runs, pid %d", name, r.PID))
		}
	}
	switch l := e.ask(ctx); {
	case errors.Is(l.err, fs.ErrPermission):
		found = append(found, unseen(e.asOperator(), "the node could not be asked how it is: %v", l.err))
	case l.err != nil:
		found = append(found, failed(l.err, "the node runs, and does not answer"))
	}
	found = append(found, e.badConf()...)
	if _, err := os.ReadDir(e.Home.Run()); errors.Is(err, fs.ErrPermission) {
		return []Finding{unseen(e.asOperator(), "cannot see what runs for %s: %v", e.Home, reason(err))}
	}
	if len(found) == 0 && has(string(e.Home)) {
		return []Finding{info(e.start(), "nothing runs for %s", e.Home)}
	}
	return found
}

// start is what to type to have run what is made.
func (e *Env) start() string {
	_, isNode, err := e.node()
	switch {
	case isNode || err != nil:
		return "leyden node start --detach"
	case has(e.Home.Signer()):
		return "leyden signer start --detach"
	case has(filepath.Join(e.Home.Gate(), "gate.yaml")):
		return "leyden gate start --detach"
	}
	return "leyden node import --bundle FILE, or leyden signer init"
}

// badConf finds configurations with which a node or a signer would not start again.
func (e *Env) badConf() (found []Finding) {
	for _, of := range []struct{ whose, path string }{
		{aNode, filepath.Join(e.Home.Node(), "lnd.conf")},
		{aSigner, filepath.Join(e.Home.Signer(), "signer-lnd.conf")},
	} {
		switch _, err := lnd.LoadConf(of.path); {
		case errors.Is(err, fs.ErrPermission):
			found = append(found, unseen(e.asOperator(), "cannot read %s", of.path))
		case err != nil:
			found = append(found, failed(err, "the %s will not start again", of.whose))
		}
	}
	return found
}

// staleTip is how old the newest block may be before something is wrong: such a
// pause of the chain comes once in some hundred years.
const staleTip = 3 * time.Hour

// checkSync looks whether the node knows the chain.
func checkSync(ctx context.Context, e *Env) []Finding {
	l := e.ask(ctx)
	if l.info == nil {
		return nil
	}
	tip := time.Unix(l.info.BestHeaderTimestamp, 0)
	switch age := e.Now.Sub(tip); {
	case !l.info.SyncedToChain:
		return []Finding{warn("leyden lncli getinfo", "the node has not caught up with the chain: it is at block %d, of %s", l.info.BlockHeight, tip.UTC().Format(time.DateTime))}
	case age > staleTip && e.network() == "mainnet":
		return []Finding{warn("leyden lncli getinfo", "the newest block that the node knows is %d hours old: it may be cut off", int(age.Hours()))}
	}
	return []Finding{ok("the node knows the chain to block %d", l.info.BlockHeight)}
}

// checkHot looks how much money is at risk, and whether the node can pay and be
// paid.
func checkHot(ctx context.Context, e *Env) (found []Finding) {
	l := e.ask(ctx)
	if l.info == nil || l.err != nil {
		return nil
	}
	if total := l.onChain + l.inChannel; total > e.HotBalance {
		found = append(found, e.graver(e.network(), "leyden lncli sendcoins, to a wallet that is off line", "the node holds %d sat, more than %d: %d on chain, %d in channels", total, e.HotBalance, l.onChain, l.inChannel))
	} else {
		found = append(found, ok("the node holds %d sat, not more than %d", total, e.HotBalance))
	}
	if l.inChannel == 0 {
		found = append(found, info("leyden lncli openchannel", "the node has nothing in channels: it cannot pay"))
	}
	if conf, err := e.gateConfig(); err == nil && conf != nil && !conf.Authenticator.Disable && l.theirs == 0 {
		found = append(found, warn("have others open channels to it", "the node can receive nothing, so nobody can buy at the gate"))
	}
	return found
}

// checkWatchtower says whether somebody watches the channels while the node is
// away. The running node knows best.
func checkWatchtower(ctx context.Context, e *Env) []Finding {
	n, is, err := e.node()
	if err != nil || !is {
		return nil
	}
	const add = "leyden lncli wtclient add PUBKEY@HOST:9911"
	switch l := e.ask(ctx); {
	case l.towers > 0:
		return []Finding{ok("the node uses %d watchtowers", l.towers)}
	case l.towersKnown:
		return []Finding{e.graver(n.Network, add, "no watchtower watches the channels while the node is away: its list is empty")}
	case e.on("wtclient.active"):
		return []Finding{ok("the node uses watchtowers")}
	}
	return []Finding{e.graver(n.Network,
		"add wtclient.active=true to "+filepath.Join(e.Home.Node(), "lnd.conf")+", start the node again, then: "+add,
		"no watchtower watches the channels while the node is away")}
}

// checkPrivacy says what the network learns of where the node is.
func checkPrivacy(_ context.Context, e *Env) []Finding {
	if _, is, err := e.node(); err != nil || !is {
		return nil
	}
	if e.on("tor.active") {
		return []Finding{ok("the node reaches its peers over Tor")}
	}
	return []Finding{info("add tor.active=true to "+filepath.Join(e.Home.Node(), "lnd.conf"), "the node's peers see its IP address: it does not use Tor")}
}
