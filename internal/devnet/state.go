package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// codeNone is the code of a home without a network.
const codeNone = "no_devnet"

// Info describes a network. Addresses are host:port, files absolute paths.
type Info struct {
	// Home is the Leyden home the network lives in.
	Home string `json:"home"`

	Btcd  chain.Access `json:"btcd"`
	Nodes []NodeInfo   `json:"nodes"`
}

// NodeInfo describes a node of a network.
type NodeInfo struct {
	Name          string `json:"name"`
	Pubkey        string `json:"pubkey"` // hex, compressed
	RPC           string `json:"rpc"`
	REST          string `json:"rest"`
	P2P           string `json:"p2p"`
	LndDir        string `json:"lnddir"`
	TLSCert       string `json:"tls_cert"`
	AdminMacaroon string `json:"admin_macaroon"`

	// API is the operator API, for accounts.
	API              string `json:"api"`
	OperatorMacaroon string `json:"operator_macaroon"`

	// Signer is where the node's keys are; nil when it holds them itself.
	Signer *SignerInfo `json:"signer,omitempty"`

	// ChannelBalanceSat is what the node owns in open channels, in sat; nil
	// when it could not be asked.
	ChannelBalanceSat *int64 `json:"channel_balance_sat"`
}

// SignerInfo describes the signer of a node, a `leyden signer start` of ours.
type SignerInfo struct {
	Home string `json:"home"` // for --home
	RPC  string `json:"rpc"`
}

// state is network.json in the network's folder: mode 0600, since it holds
// btcd's password. Balances are not kept.
type state struct {
	Backend string `json:"backend"`
	Info
}

func stateFile(h config.Home) string { return filepath.Join(h.Devnet(), "network.json") }

// loadState reads the file. Codes: no_devnet (with a state that knows only
// its home), bad_devnet.
func loadState(h config.Home) (state, error) {
	s := state{Info: Info{Home: string(h)}}
	data, err := os.ReadFile(stateFile(h))
	if errors.Is(err, fs.ErrNotExist) {
		return s, none(h)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fault.New("bad_devnet", "leyden devnet down --clean, and start over", "read %q: %w", stateFile(h), err)
	}
	s.Home = string(h)
	return s, nil
}

func none(h config.Home) error {
	return fault.New(codeNone, "leyden devnet up", "there is no devnet in %q", string(h))
}

func (s state) save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return files.Write(stateFile(config.Home(s.Home)), append(data, '\n'), 0o600)
}

// adapt applies the options to what is there. Codes: bad_nodes,
// unknown_backend, bad_signer.
func (s *state) adapt(o Options) error {
	switch {
	case o.Backend != "":
		s.Backend = o.Backend
	case s.Backend == "":
		s.Backend = Backends[0]
	}
	if !slices.Contains(Backends, s.Backend) {
		return fault.New("unknown_backend", "use one of "+strings.Join(Backends, ", "), "unknown backend %q", s.Backend)
	}
	want := o.Nodes
	if want == 0 {
		want = max(len(s.Nodes), DefaultNodes)
	}
	if want < 1 || want > maxNodes {
		return fault.New("bad_nodes", "use --nodes 2", "%d nodes: give 1 to %d", want, maxNodes)
	}
	if want < len(s.Nodes) {
		return fault.New("bad_nodes", "leyden devnet down --clean, to start over",
			"the network has %d nodes already; it cannot shrink to %d", len(s.Nodes), want)
	}
	for i := len(s.Nodes); i < want; i++ {
		s.Nodes = append(s.Nodes, newNodeInfo(o.Home, NodeName(i)))
	}
	return s.adaptSigner(o)
}

// adaptSigner gives a new node its signer.
func (s *state) adaptSigner(o Options) error {
	if o.Signer == "" {
		return nil
	}
	i := slices.IndexFunc(s.Nodes, func(n NodeInfo) bool { return n.Name == o.Signer })
	switch {
	case i < 0:
		return fault.New("bad_signer", "name one of its nodes", "the network has no node %q", o.Signer)
	case s.Nodes[i].Signer == nil && s.Nodes[i].hasWallet():
		return fault.New("bad_signer", "leyden devnet down --clean, to start over", "%s holds its own keys already", o.Signer)
	case s.Nodes[i].Signer == nil:
		s.Nodes[i].Signer = &SignerInfo{Home: string(NodeHome(o.Home, o.Signer+"-signer"))}
	}
	if o.SignerHost != "" {
		s.Nodes[i].Signer.RPC = net.JoinHostPort(o.SignerHost, lnd.DefaultSignerPort)
	}
	return nil
}

// elsewhere says whether the signer is in a network of its own.
func (s SignerInfo) elsewhere() bool {
	return s.RPC != "" && !strings.HasPrefix(s.RPC, "127.")
}

// hasWallet says whether the node has been created.
func (n NodeInfo) hasWallet() bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(n.AdminMacaroon), "wallet.db"))
	return err == nil
}

// NodeName is the name of the i-th node of a network, from 0 on.
func NodeName(i int) string {
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank"}
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("node%d", i+1)
}

func newNodeInfo(h config.Home, name string) NodeInfo {
	home := NodeHome(h, name)
	dir := home.Node()
	return NodeInfo{Name: name, LndDir: dir, TLSCert: filepath.Join(dir, "tls.cert"),
		OperatorMacaroon: filepath.Join(home.Guard(), "leyden.macaroon"),
		AdminMacaroon:    filepath.Join(dir, "data", "chain", "bitcoin", chain.Params.Name, "admin.macaroon")}
}

// withBalances asks every node for its balance.
func (s state) withBalances(ctx context.Context) (Info, error) {
	info := s.Info
	info.Nodes = slices.Clone(info.Nodes)
	var g errgroup.Group
	for i := range info.Nodes {
		g.Go(func() error {
			balance, err := info.Nodes[i].channelBalance(ctx)
			if err == nil {
				info.Nodes[i].ChannelBalanceSat = &balance
			}
			return ctx.Err()
		})
	}
	return info, g.Wait()
}
