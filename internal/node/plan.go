package node

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/rest"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// plan is a start with everything resolved and checked.
type plan struct {
	home           config.Home
	kept           remembered
	signer         *lnd.RemoteSigner // nil: the node holds its own keys
	config         *lnd.Config
	rpc, rest      []string
	api            string
	password       func() ([]byte, error) // nil: nobody opens the wallet
	recoveryWindow int32
	pairWithin     time.Duration
}

// makePlan joins options, what create remembered, and lnd.conf.
func makePlan(home config.Home, opts Options) (*plan, error) {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noNode(home)
	}
	if err != nil {
		return nil, err
	}
	if kept.watchOnly() && kept.SignerKeys == "" { // imported, and never created
		return nil, noWallet(home, kept, kept.Network)
	}
	p := &plan{home: home, kept: kept, recoveryWindow: kept.RecoveryWindow, pairWithin: opts.PairWithin}
	if p.signer, err = kept.signer(home, opts.SignerHost); err != nil {
		return nil, err
	}
	built, err := build(home, opts, kept, p.signer)
	if err != nil {
		return nil, err
	}
	p.config = built
	folder := kept.folder(home, built.Network())
	if err := folder.Finished(); err != nil {
		return nil, err
	}
	if folder.None() == nil {
		return nil, noWallet(home, kept, built.Network())
	}
	p.rpc = config.FirstGiven(opts.RPCListen, built.Front.RPCListen, []string{DefaultRPC})
	p.rest = config.FirstGiven(opts.RESTListen, built.Front.RESTListen)
	if opts.REST && len(p.rest) == 0 {
		p.rest = []string{DefaultREST}
	}
	p.api = DefaultAPI
	if api := config.FirstGiven(opts.APIListen, built.Front.APIListen); len(api) > 0 {
		p.api = api[len(api)-1]
	}
	file, must := opts.PasswordFile, true
	if file == "" {
		file, must = kept.passwordFile(home), false
	}
	p.password, err = wallet.PasswordFrom(file, must)
	return p, err
}

// signerAddr is host:port of the signer; empty: there is none.
func (p *plan) signerAddr() string {
	if p.signer == nil {
		return ""
	}
	return p.signer.Addr
}

func noNode(home config.Home) error {
	return fault.New("no_wallet", importCommand+", then leyden node create",
		"there is no node yet in %q", home.Node())
}

func noWallet(home config.Home, kept remembered, network string) error {
	return fault.New("no_wallet", kept.folder(home, network).CreateCommand,
		"there is no %s wallet yet in %q", network, home.Node())
}

// build makes lnd's configuration of options over what was remembered. signer is
// that of a watch-only node.
func build(home config.Home, opts Options, kept remembered, signer *lnd.RemoteSigner) (*lnd.Config, error) {
	conf, err := lnd.LoadConf(confFile(home))
	if err != nil {
		return nil, err
	}
	args, err := lnd.ParseArgs(opts.LND)
	if err != nil {
		return nil, err
	}
	s := lnd.Settings{
		Network: opts.Network, Backend: opts.Backend, Profiles: opts.Profiles,
		Listen: opts.Listen, Conf: conf, Args: args, Signer: signer,
	}
	if s.Network == "" {
		s.Network = kept.Network
	}
	if s.Backend == "" {
		s.Backend = kept.Backend
	}
	if s.Profiles == nil {
		s.Profiles = kept.Profiles
	}
	return lnd.Build(s)
}

// open listens on the front's addresses.
func (p *plan) open() (opened ports, err error) {
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if opened.rpc, err = lnd.ListenAll(p.rpc, "10009", "--rpclisten"); err != nil {
		return opened, err
	}
	if opened.rest, err = lnd.ListenAll(p.rest, "8080", "--restlisten"); err != nil {
		return opened, err
	}
	opened.api, err = lnd.Listen(p.api, "8443", "--apilisten")
	return opened, err
}

// front makes the server before lnd.
func (p *plan) front(open ports, tls *tls.Config, e lnd.Endpoint, hook front.Hook, log *slog.Logger) (*front.Server, error) {
	opts := front.Options{
		Listeners: open.rpc, TLS: tls, Hook: hook, Logger: log,
		Backend: front.Backend{Socket: e.Socket, TLSCert: e.CertPath},
	}
	if p.kept.watchOnly() {
		opts.Retell = signerLost
	}
	if len(open.rest) > 0 {
		f := p.config.Front
		opts.REST = &front.REST{
			Listeners: open.rest, NoTLS: f.NoRESTTLS,
			Handler: rest.Handler(rest.Options{
				CORS: f.RESTCORS, PingInterval: f.WSPingInterval, PongWait: f.WSPongWait,
			}),
		}
	}
	return front.New(opts)
}

// Files of the node's folder and of the folder of pid files.
func confFile(h config.Home) string     { return filepath.Join(h.Node(), "lnd.conf") }
func passwordFile(h config.Home) string { return filepath.Join(h.Node(), "wallet-password.txt") }
func seedFile(h config.Home) string     { return filepath.Join(h.Node(), "seed.txt") }
func pidFile(h config.Home) string      { return filepath.Join(h.Run(), "node.pid") }
func recordFile(h config.Home) string   { return filepath.Join(h.Run(), "node.json") }
func keptFile(h config.Home) string     { return filepath.Join(h.Node(), "leyden-node.yaml") }

// LogFile is where a node in the background writes its own log; lnd's is in
// the logs folder beside it.
func LogFile(h config.Home) string { return filepath.Join(h.Node(), "logs", "leyden-node.log") }
