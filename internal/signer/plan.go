package signer

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/rest"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// plan is a start with everything resolved and checked.
type plan struct {
	home      config.Home
	kept      remembered
	config    *lnd.Config
	folder    wallet.Folder
	rpc, rest []string
	password  func() ([]byte, error) // nil: nobody opens the wallet
}

// makePlan joins options, what init remembered, and signer-lnd.conf.
func makePlan(home config.Home, opts Options) (*plan, error) {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noSigner(home)
	}
	if err != nil {
		return nil, err
	}
	p := &plan{home: home, kept: kept}
	if p.config, err = build(home, kept, opts.LND); err != nil {
		return nil, err
	}
	p.folder = walletFolder(home, p.config.Network())
	if err := p.folder.Finished(); err != nil {
		return nil, err
	}
	p.rpc = config.FirstGiven(opts.RPCListen, p.config.Front.RPCListen, []string{DefaultRPC})
	p.rest = config.FirstGiven(opts.RESTListen, p.config.Front.RESTListen)
	if opts.REST && len(p.rest) == 0 {
		p.rest = []string{DefaultREST}
	}
	file, must := opts.PasswordFile, true
	if file == "" {
		file, must = kept.passwordFile(home), false
	}
	p.password, err = wallet.PasswordFrom(file, must)
	return p, err
}

func noSigner(home config.Home) error {
	return fault.New("no_wallet", "leyden signer init", "there is no signer yet in %q", home.Signer())
}

// build makes lnd's configuration of options over what was remembered.
func build(home config.Home, kept remembered, args []string) (*lnd.Config, error) {
	conf, err := lnd.LoadConf(confFile(home))
	if err != nil {
		return nil, err
	}
	given, err := lnd.ParseArgs(args)
	if err != nil {
		return nil, err
	}
	return lnd.Build(lnd.Settings{Network: kept.Network, NoChain: true, Conf: conf, Args: given})
}

// runner says how our binary runs lnd.
func (p *plan) runner(log *slog.Logger) (lnd.Runner, error) {
	return lnd.NewRunner(p.home.Signer(), p.config, log)
}

func (p *plan) supervisor(log *slog.Logger) (*lnd.Supervisor, error) {
	r, err := p.runner(log)
	if err != nil {
		return nil, err
	}
	return lnd.NewSupervisor(lnd.SupervisorConfig{Runner: r, Password: p.password}), nil
}

// open listens on the front's addresses.
func (p *plan) open() (opened ports, err error) {
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if opened.rpc, err = lnd.ListenAll(p.rpc, lnd.DefaultSignerPort, "--rpclisten"); err != nil {
		return opened, err
	}
	if opened.rest, err = lnd.ListenAll(p.rest, "10013", "--restlisten"); err != nil {
		return opened, err
	}
	for i, l := range opened.rest {
		if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
			return opened, fault.New("bad_address", "use "+DefaultREST+", and gRPC from other machines",
				"a signer serves REST on loopback alone, and %q is not", p.rest[i])
		}
	}
	return opened, nil
}

// front makes the server before lnd.
func (p *plan) front(open ports, e lnd.Endpoint, log *slog.Logger) (*front.Server, error) {
	keeper, err := p.certificate(log)
	if err != nil {
		return nil, err
	}
	opts := front.Options{
		Listeners: open.rpc, TLS: keeper.TLSConfig(), Logger: log, Limits: limits,
		Hook:    methodHook{next: newAdmission(adminMacaroon(p.folder.NetworkDir()), log)},
		Program: "leyden signer", CreateCommand: "leyden signer init",
		Backend: front.Backend{Socket: e.Socket, TLSCert: e.CertPath},
	}
	if len(open.rest) > 0 {
		f := p.config.Front
		opts.REST = &front.REST{
			Listeners: open.rest, NoTLS: f.NoRESTTLS,
			Handler: rest.Handler(rest.Options{CORS: f.RESTCORS, PingInterval: f.WSPingInterval, PongWait: f.WSPongWait}),
		}
	}
	return front.New(opts)
}

// certificate opens the front's, making it at first.
func (p *plan) certificate(log *slog.Logger) (*cert.Keeper, error) {
	f := p.config.Front
	validity := f.TLSCertDuration
	if validity == 0 {
		validity = certValidity
	}
	return cert.Open(cert.Options{
		CertPath: certFile(p.home), KeyPath: filepath.Join(p.home.Signer(), "tls.key"),
		ExtraIPs: append(f.TLSExtraIPs, p.kept.TLSExtraIPs...), ExtraDomains: append(f.TLSExtraDomains, p.kept.TLSExtraDomains...),
		DisableAutofill: f.TLSDisableAutofill, AutoRefresh: f.TLSAutoRefresh,
		Validity: validity, Logger: log,
	})
}

// walletFolder is where the signer's wallet is.
func walletFolder(h config.Home, network string) wallet.Folder {
	return wallet.Folder{
		Dir: h.Signer(), Network: network,
		CreateCommand: "leyden signer init --network " + network, StartCommand: "leyden signer start",
	}
}

// Files of the signer's folder and of the folder of pid files.
func confFile(h config.Home) string     { return filepath.Join(h.Signer(), "signer-lnd.conf") }
func passwordFile(h config.Home) string { return filepath.Join(h.Signer(), "wallet-password.txt") }
func certFile(h config.Home) string     { return filepath.Join(h.Signer(), "tls.cert") }
func keptFile(h config.Home) string     { return filepath.Join(h.Signer(), "leyden-signer.yaml") }
func pidFile(h config.Home) string      { return filepath.Join(h.Run(), "signer.pid") }
func exportFile(h config.Home) string   { return filepath.Join(h.Run(), "signer-export.pid") }
func recordFile(h config.Home) string   { return filepath.Join(h.Run(), "signer.json") }

// BundleDir is where the credentials bundle is written unless another folder is
// given.
func BundleDir(h config.Home) string { return filepath.Join(h.Signer(), "credentials-bundle") }

// SeedFile is where the words of a new seed are written.
func SeedFile(h config.Home) string { return filepath.Join(h.Signer(), "seed.txt") }

// LogFile is where a signer in the background writes its own log; lnd's is in the
// logs folder beside it.
func LogFile(h config.Home) string { return filepath.Join(h.Signer(), "logs", "leyden-signer.log") }

// nodesWords are those of hints of what the node has in common with us, and ours.
var nodesWords = strings.NewReplacer(
	"leyden node create --mode standalone", "leyden signer init", "leyden node create", "leyden signer init",
	"leyden node", "leyden signer", "signer-lnd.conf", "signer-lnd.conf", "lnd.conf", "signer-lnd.conf",
	"the node's folder", "the signer's folder")

// ours names our commands and files in the hint.
func ours(err error) error {
	hint := fault.Hint(err)
	own := nodesWords.Replace(hint)
	if err == nil || own == hint {
		return err
	}
	return fault.New(fault.Code(err), own, "%w", err)
}
