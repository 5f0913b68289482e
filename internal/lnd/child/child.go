// Package child runs lnd inside this process, as the child of a supervisor in
// package lnd. It promises to listen only on the unix socket it was given, to
// end in order when its parent goes, and to apply last the few settings that
// keep the front the only way in. It is the only package of ours, beside
// cmd/leyden, that links lnd's root package: lnd allows one instance a
// process, so nothing here can run twice.
package child

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/jessevdk/go-flags"
	daemon "github.com/lightningnetwork/lnd"
	"github.com/lightningnetwork/lnd/signal"

	"github.com/leydenln/leyden/internal/lnd"
)

// stopGrace is how long an orphan may take to end in order before it is ended.
const stopGrace = 60 * time.Second

// certLifetime is that of the child's private certificate, which only its
// parent reads; it must not run out under a node that nobody restarts.
const certLifetime = 10 * 365 * 24 * time.Hour

// errWalletOnly ends lnd's own start on purpose.
var errWalletOnly = errors.New("only the wallet was asked for")

// Main runs lnd as args (of lnd.ChildSpec) say and returns the exit status.
// The reason of a failure is the last line on stderr.
func Main(args []string) int {
	syscall.Umask(0o077)                                          // lnd would let others read macaroons and logs
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // a core file would hold the keys
	spec, err := lnd.ParseChildSpec(args)
	if err != nil {
		return fail(lnd.ExitConfig, err)
	}
	interceptor, err := signal.Intercept()
	if err != nil {
		return fail(lnd.ExitFailed, err)
	}
	holdSignals()
	watchLifeline(os.NewFile(uintptr(spec.Lifeline), "lifeline"), interceptor.RequestShutdown)

	lock, err := spec.Lock()
	if err != nil {
		return fail(lnd.ExitFailed, fmt.Errorf("lock %q: %w", spec.Private, err))
	}
	defer lock.Close()
	cfg, err := load(spec, interceptor)
	if err != nil {
		return fail(lnd.ExitConfig, err)
	}
	listener, err := listen(spec.Socket)
	if err != nil {
		return fail(lnd.ExitFailed, err)
	}
	impl := cfg.ImplementationConfig(interceptor)
	switch {
	case spec.Migrate != "":
		impl.ChainControlBuilder = migration{bundle: spec.Migrate}
	case spec.WalletOnly:
		impl.ChainControlBuilder = walletOnly{done: interceptor.ShutdownChannel()}
	}
	err = daemon.Main(cfg, daemon.ListenerCfg{
		RPCListeners: []*daemon.ListenerWithSignal{{Listener: listener, Ready: make(chan struct{})}},
	}, impl, interceptor)
	if err != nil && !errors.Is(err, errWalletOnly) {
		return fail(lnd.ExitFailed, err)
	}
	return 0
}

func fail(status int, err error) int {
	fmt.Fprintln(os.Stderr, err)
	return status
}

// load reads the configuration file over lnd's defaults and validates it.
func load(spec lnd.ChildSpec, interceptor signal.Interceptor) (cfg *daemon.Config, err error) {
	// go-flags panics on some malformed values of map options.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("malformed option value: %v\n%s", r, debug.Stack())
		}
	}()
	raw := daemon.DefaultConfig()
	raw.LogDir = filepath.Join(spec.Dir, "logs")
	raw.Watchtower.TowerDir = filepath.Join(spec.Dir, "data", "watchtower")
	parser := flags.NewParser(&raw, flags.None)
	if err := flags.NewIniParser(parser).ParseFile(spec.Config); err != nil {
		return nil, err
	}
	fix(&raw, spec)
	return daemon.ValidateConfig(raw, interceptor, parser, parser)
}

// fix applies what no configuration may change, on the typed struct, so that
// no spelling of an option gets around it.
func fix(cfg *daemon.Config, spec lnd.ChildSpec) {
	// A folder other than lnd's default one makes lnd ignore every path given
	// beside it; declaring ours the default keeps the certificate private.
	daemon.DefaultLndDir = spec.Dir
	cfg.LndDir = spec.Dir
	cfg.DataDir = filepath.Join(spec.Dir, "data")
	cfg.AdminMacPath, cfg.ReadMacPath, cfg.InvoiceMacPath = "", "", ""
	cfg.NoMacaroons = false
	cfg.NoSeedBackup = false
	cfg.WalletUnlockPasswordFile = ""
	cfg.WalletUnlockAllowCreate = false

	cfg.RawRPCListeners = nil
	cfg.RawRESTListeners = nil
	cfg.DisableRest = true
	cfg.TLSCertPath = spec.CertPath()
	cfg.TLSKeyPath = spec.KeyPath()
	cfg.TLSEncryptKey = false
	cfg.TLSExtraIPs, cfg.TLSExtraDomains = nil, nil
	cfg.TLSAutoRefresh = false
	cfg.TLSDisableAutofill = true
	cfg.TLSCertDuration = certLifetime
	cfg.LetsEncryptDomain = ""
	cfg.LetsEncryptDir = filepath.Join(spec.Private, "letsencrypt")

	cfg.RPCMiddleware.Enable = true
	cfg.RPCMiddleware.Mandatory = nil
	if spec.WalletOnly {
		cfg.Bitcoin.Node = "nochainbackend"
	}
}
