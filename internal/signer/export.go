package signer

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// exportTimeout bounds an export, which may have to start lnd; askTimeout one from
// an lnd that runs, and answers at once.
const (
	exportTimeout = 2 * time.Minute
	askTimeout    = 20 * time.Second
)

// ExportOptions say what bundle to make.
type ExportOptions struct {
	// Dir is the folder to write; empty: BundleDir.
	Dir string

	// AllowIP and AllowRange are the one address, and the one network, that the
	// macaroon works from. Both empty: as remembered. Anywhere: from everywhere.
	AllowIP, AllowRange string
	Anywhere            bool

	// Rotate gives the macaroon another root key and deletes the present one: the
	// macaroons of all earlier bundles are dead then.
	Rotate bool
}

// Exported says what bundle was made.
type Exported struct {
	Bundle   string   `json:"bundle"`
	File     string   `json:"bundle_file"`
	Accounts int      `json:"accounts"`
	Caveats  []string `json:"caveats"`

	// Macaroon is signerOnly, or asGiven when that signer let us bake none.
	Macaroon  string `json:"macaroon"`
	RootKeyID uint64 `json:"root_key_id,omitempty"`

	// Base64 is the whole bundle as text. It holds the macaroon.
	Base64 string `json:"base64"`
}

// bound returns what is remembered with the bounds that were given.
func (o ExportOptions) bound(kept remembered) (remembered, error) {
	given := o.AllowIP != "" || o.AllowRange != ""
	if o.Anywhere && given {
		return kept, fault.New("bad_bounds", "leave one of them out", "--anywhere contradicts --allow-ip and --allow-range")
	}
	if o.Anywhere || given {
		kept.AllowIP, kept.AllowRange = o.AllowIP, o.AllowRange
	}
	_, err := kept.caveats()
	return kept, err
}

// Export makes the credentials bundle again, of the signer that runs, or of the
// wallet of one that does not. Codes: no_wallet, wallet_unfinished, bad_bounds,
// no_password, signer_locked, already_running, and those of a start.
func Export(ctx context.Context, home config.Home, o ExportOptions, log *slog.Logger) (_ *Exported, err error) {
	defer func() { err = ours(err) }()
	if _, err := os.Stat(keptFile(home)); errors.Is(err, fs.ErrNotExist) {
		return nil, noSigner(home)
	}
	// Of two at once one would forget which root key the other's macaroon has, and
	// nothing could revoke that any more.
	alone, err := daemon.Acquire(exportFile(home))
	if fault.Code(err) == "already_running" {
		return nil, fault.New("already_running", "wait for its end, then export again", "another export is under way: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer alone.Release()
	p, err := makePlan(home, Options{})
	if err != nil {
		return nil, err
	}
	if p.kept, err = o.bound(p.kept); err != nil {
		return nil, err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if fault.Code(err) == "already_running" {
		return exportRunning(ctx, p, o)
	}
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	return exportStopped(ctx, p, o, log)
}

// exportRunning asks the lnd of the running signer.
func exportRunning(ctx context.Context, p *plan, o ExportOptions) (*Exported, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := Status(p.home)
	if err != nil {
		return nil, err
	}
	if r.State != lnd.Active.String() && r.State != lnd.RPCActive.String() {
		return nil, fault.New("signer_locked", "leyden signer status", "the signer is not ready: it is %s", r.State)
	}
	conn, err := Dial(p.home)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return p.export(ctx, conn, o)
}

// exportStopped runs lnd for this once, without a port. The caller holds the pid
// file.
func exportStopped(ctx context.Context, p *plan, o ExportOptions, log *slog.Logger) (exported *Exported, err error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	if p.password == nil {
		return nil, fault.New("no_password", "leyden signer start, then leyden signer unlock",
			"there is no password file to open the signer's wallet with")
	}
	supervisor, err := p.supervisor(log)
	if err != nil {
		return nil, err
	}
	err = supervisor.WhileActive(ctx, func() error {
		exported, err = p.exportFrom(ctx, supervisor.Endpoint(), o, log)
		return err
	})
	return exported, err
}

// exportFrom exports from the signer's lnd at the endpoint, whose front does not run.
func (p *plan) exportFrom(ctx context.Context, e lnd.Endpoint, o ExportOptions, log *slog.Logger) (*Exported, error) {
	if _, err := p.certificate(log); err != nil {
		return nil, err
	}
	conn, err := dialChild(e, adminMacaroon(p.folder.NetworkDir()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return p.export(ctx, conn, o)
}

// export makes and writes the bundle, and then deletes the root keys of old ones.
func (p *plan) export(ctx context.Context, conn grpc.ClientConnInterface, o ExportOptions) (*Exported, error) {
	dir, err := o.dir(p.home)
	if err != nil {
		return nil, err
	}
	caveats, err := p.kept.caveats()
	if err != nil {
		return nil, err
	}
	shown, err := os.ReadFile(certFile(p.home))
	if err != nil {
		return nil, fault.New("bad_certificate", "leyden signer start", "the signer's certificate: %w", err)
	}
	accounts, err := accountsOf(ctx, conn) // an lnd that does not answer changes nothing
	if err != nil {
		return nil, err
	}
	if o.Rotate {
		p.kept.rotate()
	}
	if err := p.kept.save(p.home); err != nil {
		return nil, err
	}
	macaroon, err := bakeSigning(ctx, conn, p.kept.RootKeyID, caveats)
	if err != nil {
		return nil, err
	}
	exported, err := write(accounts, shown, macaroon, dir)
	if err != nil {
		return nil, err
	}
	exported.Caveats, exported.Macaroon, exported.RootKeyID = append(exported.Caveats, caveats...), signerOnly, p.kept.RootKeyID
	for _, id := range p.kept.OldRootKeyIDs {
		if err := deleteRootKey(ctx, conn, id); err != nil {
			return nil, err
		}
	}
	p.kept.OldRootKeyIDs = nil
	return exported, p.kept.save(p.home)
}

// signerOnly and asGiven are the values of Exported.Macaroon.
const (
	signerOnly = "signer-only"
	asGiven    = "as given"
)

// dir is the folder to write, looked at before there is a macaroon to lose.
func (o ExportOptions) dir(home config.Home) (string, error) {
	dir := o.Dir
	if dir == "" {
		dir = BundleDir(home)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, writable(dir)
}

// write writes the bundle and describes it.
func write(accounts []bundle.Account, shown, macaroon []byte, dir string) (*Exported, error) {
	b, err := bundle.Make(accounts, shown, macaroon)
	if err != nil {
		return nil, err
	}
	if err := b.Write(dir); err != nil {
		return nil, err
	}
	text, err := b.Base64()
	if err != nil {
		return nil, err
	}
	return &Exported{
		Bundle: dir, File: filepath.Join(dir, bundle.Base64File),
		Accounts: len(b.Accounts), Caveats: []string{}, Base64: text,
	}, nil
}

// writable refuses a folder that has other things in it: it will be made private,
// and nothing but a bundle may lie there.
func writable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New("write_failed", "choose another with --output", "folder for the bundle: %w", err)
	}
	for _, e := range entries {
		if !bundle.Owns(e.Name()) {
			return fault.New("write_failed", "choose an empty one with --output",
				"folder %q has other files, such as %q", dir, e.Name())
		}
	}
	return nil
}
