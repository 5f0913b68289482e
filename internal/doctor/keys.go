package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
)

// made is what node create has remembered in leyden-node.yaml, and signer init in
// leyden-signer.yaml, as far as it matters here.
type made struct {
	Mode       string   `yaml:"mode"`
	Network    string   `yaml:"network"`
	SignerHost string   `yaml:"signer_host"`
	Profiles   []string `yaml:"profiles"`
}

// node returns what is known of the node in this folder; is is false where there
// is none, err says why it cannot be read.
func (e *Env) node() (m made, is bool, err error) {
	data, err := os.ReadFile(e.madeFile())
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err == nil {
		err = yaml.Unmarshal(data, &m)
	}
	return m, err == nil, err
}

func (e *Env) madeFile() string { return filepath.Join(e.Home.Node(), "leyden-node.yaml") }

// checkKeys looks at where the keys are, and whether they are away from the
// agent.
func checkKeys(ctx context.Context, e *Env) (found []Finding) {
	n, is, err := e.node()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asOperator(), "cannot read what node this is: %v", reason(err))}
	case err != nil:
		return []Finding{fail("correct "+e.madeFile(), "what node this is cannot be understood, so that it will not start again: %v", err)}
	}
	const apart = "make a signer on another machine: leyden signer init"
	switch {
	case !is:
	case n.Mode == node.WatchOnly:
		found = append(found, ok("the node is watch-only: its keys are on a signer"))
		if loopback(n.SignerHost) {
			found = append(found, e.graver(n.Network, apart, "the node's signer is on this machine (%s): whoever takes the machine has the keys", n.SignerHost))
		}
		if slices.Contains(n.Profiles, "taproot") || e.on("protocol.simple-taproot-chans") {
			found = append(found, e.graver(n.Network, "open anchor channels, lnd's default",
				"taproot channels are on, and the keys on a signer: lnd closes such a channel by force when the signer goes away in the midst of a payment"))
		}
		found = append(found, e.leftovers(ctx)...)
	default:
		found = append(found, e.graver(n.Network, "leyden signer init --seed-file FILE on another machine, then here: leyden node migrate --signer-host HOST:"+lnd.DefaultSignerPort,
			"the node holds its own keys: whoever takes this machine has them"))
	}
	if is && has(e.Home.Signer()) {
		found = append(found, e.graver(n.Network, apart, "a signer and a node share %s: the keys are not apart from the agent", e.Home))
	}
	return found
}

// graver warns where there is money, and else only tells.
func (e *Env) graver(network, fix, format string, args ...any) Finding {
	if network == "mainnet" {
		return warn(fix, format, args...)
	}
	return info(fix, format, args...)
}

// leftovers finds secrets that a watch-only node must not have.
func (e *Env) leftovers(ctx context.Context) (found []Finding) {
	if path := filepath.Join(e.Home.Node(), "seed.txt"); has(path) {
		found = append(found, fail("keep it off this machine, then: shred --remove "+path, "%s is still here, although the node is watch-only: it gives the keys away", path))
	}
	dir := filepath.Join(e.Home.Node(), "signer")
	if _, err := bundle.Read(dir, nil); errors.Is(err, fs.ErrPermission) {
		found = append(found, unseen(e.asOperator(), "cannot read the signer's bundle: %v", err))
	} else if err != nil {
		found = append(found, fail("leyden node import --bundle FILE", "the signer's bundle in %s is no good: %v", dir, err))
	}
	return append(found, e.walletsWithKeys(ctx)...)
}

// checkSeed finds the words of seeds on disk.
func checkSeed(_ context.Context, e *Env) (found []Finding) {
	for _, at := range []struct{ dir, whose string }{{e.Home.Node(), "node"}, {e.Home.Signer(), "signer"}} {
		if path := filepath.Join(at.dir, "seed.txt"); has(path) {
			found = append(found, e.graver(e.network(), "write the words down, keep them off line, then: shred --remove "+path,
				"the %s's seed is on this disk, in %s", at.whose, path))
		} else if has(filepath.Join(at.dir, "wallet-password.txt")) {
			found = append(found, ok("the %s's seed is not on this disk", at.whose))
		}
	}
	return found
}

// network is the node's, or the signer's; a network not known counts as mainnet.
func (e *Env) network() string {
	if n, is, _ := e.node(); is && n.Network != "" {
		return n.Network
	}
	var signer made
	data, err := os.ReadFile(filepath.Join(e.Home.Signer(), "leyden-signer.yaml"))
	if err == nil && yaml.Unmarshal(data, &signer) == nil && signer.Network != "" {
		return signer.Network
	}
	return "mainnet"
}

// checkSigner asks the signer of a watch-only node whether it is there, from here.
func checkSigner(ctx context.Context, e *Env) []Finding {
	n, is, err := e.node()
	if err != nil || !is || n.Mode != node.WatchOnly {
		return nil
	}
	if n.SignerHost == "" {
		return []Finding{warn("leyden node start --signer-host HOST:"+lnd.DefaultSignerPort, "the node has never reached its signer")}
	}
	dir := filepath.Join(e.Home.Node(), "signer")
	s := &lnd.RemoteSigner{
		Addr: n.SignerHost, CertPath: filepath.Join(dir, bundle.CertFile), MacaroonPath: filepath.Join(dir, bundle.MacaroonFile),
	}
	switch err := s.Check(ctx); {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asOperator(), "cannot ask the signer: %v", err)}
	case err != nil:
		return []Finding{failed(err, "the node cannot sign, and answers signer_unreachable")}
	}
	return []Finding{ok("the signer at %s can be reached from here, and signs", n.SignerHost)}
}
