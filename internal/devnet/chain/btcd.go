package chain

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// retryEvery is the pause between attempts to reach a btcd that starts.
const retryEvery = 20 * time.Millisecond

// Env names a btcd program, before all other places it is looked for.
const Env = "LEYDEN_BTCD"

// FindBtcd returns the btcd to run: LEYDEN_BTCD, else the one in the given
// folder, else the first in PATH. Code: btcd_missing.
func FindBtcd(beside string) (string, error) {
	if path := os.Getenv(Env); path != "" {
		if !executable(path) {
			return "", fault.New("btcd_missing", "correct or unset "+Env, "%s=%q is no program", Env, path)
		}
		return filepath.Abs(path)
	}
	for _, dir := range append([]string{beside}, filepath.SplitList(os.Getenv("PATH"))...) {
		if path := filepath.Join(dir, "btcd"); filepath.IsAbs(path) && executable(path) {
			return path, nil
		}
	}
	return "", fault.New("btcd_missing", "make build puts it beside leyden; or set "+Env+" to its path",
		"btcd, the test chain, is neither in %s nor in PATH", beside)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// startBtcd runs btcd with a password made for this run, which it reads from
// a file and not from its arguments.
func startBtcd(o Options, mining btcutil.Address) (*owned.Process, Access, error) {
	a := Access{RPC: o.RPC, P2P: o.P2P, Cert: filepath.Join(o.Dir, "rpc.cert"), User: "devnet", Pass: rand.Text()}
	if err := files.Write(confFile(o.Dir), []byte(btcdConf(o, a, mining)), 0o600); err != nil {
		return nil, a, err
	}
	c := btcdCommand(o.Dir, o.Btcd)
	if len(o.Keeper) > 0 {
		c = owned.Command{Name: "btcd", Path: o.Keeper[0], Args: append(slices.Clone(o.Keeper[1:]), o.Dir, o.Btcd), LogFile: c.LogFile}
	}
	p, err := owned.Start(c)
	return p, a, err
}

func btcdCommand(dir, btcd string) owned.Command {
	return owned.Command{
		Name: "btcd", Path: btcd, Args: []string{"--configfile=" + confFile(dir)}, LogFile: filepath.Join(dir, "btcd.log"),
		OnOurDeath: syscall.SIGKILL, // its database is made anew anyway
	}
}

func confFile(dir string) string { return filepath.Join(dir, "btcd.conf") }

func btcdConf(o Options, a Access, mining btcutil.Address) string {
	return strings.Join([]string{
		"regtest=1",
		"datadir=" + filepath.Join(o.Dir, "data"),
		"logdir=" + filepath.Join(o.Dir, "logs"),
		"debuglevel=info",
		"listen=" + a.P2P,
		"rpclisten=" + a.RPC,
		"rpccert=" + a.Cert,
		"rpckey=" + filepath.Join(o.Dir, "rpc.key"),
		"rpcuser=" + a.User,
		"rpcpass=" + a.Pass,
		"rpcmaxclients=200",
		"rpcmaxwebsockets=200",
		"miningaddr=" + mining.EncodeAddress(),
		"txindex=1",
		"nobanning=1",
		"nodnsseed=1",
		"nostalldetect=1",
		"norelaypriority=1",
		"",
	}, "\n")
}

// connect waits until btcd answers, has ended, or ctx ends.
func connect(ctx context.Context, a Access, p *owned.Process, onBlock func()) (*Client, error) {
	for {
		c, err := dial(a, onBlock)
		if err == nil {
			return c, nil
		}
		select {
		case <-p.Done():
			return nil, p.Exit()
		case <-ctx.Done():
			return nil, chainFault("reach btcd", fmt.Errorf("%w, last: %v", ctx.Err(), err))
		case <-time.After(retryEvery):
		}
	}
}
