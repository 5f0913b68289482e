package node

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"

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
	signer         string // host:port; empty: the node holds its own keys
	config         *lnd.Config
	rpc, rest      []string
	api            string
	password       func() ([]byte, error) // nil: nobody opens the wallet
	recoveryWindow int32
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
	if opts.SignerHost, err = kept.signerAddr(opts.SignerHost); err != nil {
		return nil, err
	}
	built, err := build(home, opts, kept)
	if err != nil {
		return nil, err
	}
	if err := kept.folder(home, built.Network()).Finished(); err != nil {
		return nil, err
	}
	p := &plan{home: home, kept: kept, signer: opts.SignerHost, config: built, recoveryWindow: kept.RecoveryWindow}
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

func noNode(home config.Home) error {
	return fault.New("no_wallet", importCommand+", then leyden node create",
		"there is no node yet in %q", home.Node())
}

// build makes lnd's configuration of options over what was remembered.
func build(home config.Home, opts Options, kept remembered) (*lnd.Config, error) {
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
		Listen: opts.Listen, Conf: conf, Args: args,
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
	if kept.watchOnly() {
		s.Signer = signerAt(home, opts.SignerHost)
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
