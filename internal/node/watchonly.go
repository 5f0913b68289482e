package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// Modes of a node.
const (
	// WatchOnly means that the keys are on a signer.
	WatchOnly = "watchonly"

	// Standalone means that the node holds its own keys.
	Standalone = "standalone"
)

const importCommand = "leyden node import --bundle FILE"

// Imported says what Import kept. It holds no secrets.
type Imported struct {
	Network string `json:"network"`
	Dir     string `json:"bundle_dir"`

	// Mode is that of the node. Wallet says that it has its wallet already, Running
	// that it runs: a watch-only one takes the new credentials over by itself.
	Mode    string `json:"mode"`
	Wallet  bool   `json:"wallet"`
	Running bool   `json:"running"`
}

// Import keeps a signer's bundle (see bundle.Read) for the node. An empty network
// means what was remembered, then lnd.conf's, then mainnet. Nothing is written
// unless all is well. Codes: those of bundle.Read, network_conflict, wallet_exists,
// other_signer when the node's wallet is of other keys, and already_running while
// the wallet is being made.
func Import(home config.Home, path string, stdin io.Reader, network string) (*Imported, error) {
	b, err := bundle.Read(path, stdin)
	if err != nil {
		return nil, err
	}
	lock, busy := daemon.Acquire(pidFile(home))
	if busy == nil {
		defer lock.Release()
	} else if fault.Code(busy) != "already_running" {
		return nil, busy
	}
	kept, err := loadRemembered(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	built, err := build(home, Options{Network: network}, kept, nil)
	if err != nil {
		return nil, err
	}
	if err := b.CheckNetwork(built.Network()); err != nil {
		return nil, err
	}
	hasWallet, err := kept.takes(b, home, built.Network())
	if err != nil {
		return nil, err
	}
	if !hasWallet && busy != nil {
		return nil, busy
	}
	if err := files.MkdirPrivate(home.Node()); err != nil {
		return nil, err
	}
	if err := b.Write(signerDir(home)); err != nil {
		return nil, err
	}
	if !hasWallet {
		kept.Mode, kept.Network = WatchOnly, built.Network()
		if err := kept.save(home); err != nil {
			return nil, err
		}
	}
	return &Imported{
		Network: built.Network(), Dir: signerDir(home), Mode: kept.Mode, Wallet: hasWallet, Running: busy != nil,
	}, nil
}

// takes says whether there is a wallet, and refuses the bundle of another network
// than its, or of other keys than those of a watch-only one. What keys a standalone
// wallet has is looked up when it is migrated.
func (k remembered) takes(b *bundle.Bundle, home config.Home, network string) (hasWallet bool, err error) {
	if k.Network == "" { // whose wallet that would be nobody knows
		return false, k.folder(home, network).None()
	}
	if k.folder(home, k.Network).None() == nil {
		return false, nil
	}
	if network != k.Network {
		return true, fault.New("network_conflict", "use another --home for another network",
			"the node in this folder is on %s, not on %s", k.Network, network)
	}
	if k.watchOnly() && k.SignerKeys != keysID(b) {
		return true, fault.New("other_signer", "import that signer's bundle, or use another --home",
			"the bundle is of another seed than the node's wallet")
	}
	return true, nil
}

// keysID names the keys of a bundle: SHA-256 over the extended public keys.
func keysID(b *bundle.Bundle) string {
	h := sha256.New()
	for _, a := range b.WatchOnlyAccounts() {
		io.WriteString(h, a.XPub+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// imported reads the bundle that was imported. Code: no_bundle.
func imported(home config.Home) (*bundle.Bundle, error) {
	if !exists(signerDir(home)) {
		return nil, fault.New("no_bundle", importCommand+"; or --mode standalone, to keep the keys on this machine",
			"a watch-only node needs the bundle of its signer (leyden signer init, on another machine)")
	}
	return bundle.Read(signerDir(home), nil)
}

// watchOnlyKeys is what a watch-only wallet is made of. birthday is when the seed
// was first used.
func watchOnlyKeys(b *bundle.Bundle, birthday time.Time) *lnrpc.WatchOnly {
	keys := &lnrpc.WatchOnly{
		MasterKeyBirthdayTimestamp: uint64(birthday.Unix()),
		MasterKeyFingerprint:       b.MasterFingerprint(),
	}
	for _, a := range b.WatchOnlyAccounts() {
		keys.Accounts = append(keys.Accounts, &lnrpc.WatchOnlyAccount{
			Purpose: a.Purpose, CoinType: a.CoinType, Account: a.Account, Xpub: a.XPub,
		})
	}
	return keys
}

// signerAt is the signer of the imported bundle, keys, at that address.
func signerAt(home config.Home, addr string, keys *bundle.Bundle) *lnd.RemoteSigner {
	return &lnd.RemoteSigner{
		Addr:         addr,
		CertPath:     filepath.Join(signerDir(home), bundle.CertFile),
		MacaroonPath: filepath.Join(signerDir(home), bundle.MacaroonFile),
		Identity:     identityOf(keys),
	}
}

// signerKeys reads the bundle of the signer that a watch-only node is started with.
// Codes: no_bundle, other_signer, and those of bundle.Read.
func (k remembered) signerKeys(home config.Home) (*bundle.Bundle, error) {
	keys, err := imported(home)
	if err == nil && k.SignerKeys != keysID(keys) {
		err = fault.New("other_signer", "import the bundle of the wallet's signer: "+importCommand,
			"the bundle in %q is of another seed than the node's wallet", signerDir(home))
	}
	return keys, err
}

// signer is who signs for the node: at the given address, else at the remembered
// one; nil for a node that holds its own keys. Codes: no_signer, no_signer_host, and
// those of signerKeys.
func (k remembered) signer(home config.Home, given string) (*lnd.RemoteSigner, error) {
	switch {
	case given != "" && !k.watchOnly():
		return nil, fault.New("no_signer", "leyden node migrate --signer-host "+given,
			"this node holds its own keys and asks no signer")
	case !k.watchOnly():
		return nil, nil
	}
	addr := k.SignerHost
	if given != "" {
		addr = lnd.WithPort(given, lnd.DefaultSignerPort)
	}
	if addr == "" {
		return nil, fault.New("no_signer_host", "leyden node start --signer-host HOST:"+lnd.DefaultSignerPort,
			"a watch-only node needs to know where its signer is")
	}
	keys, err := k.signerKeys(home)
	if err != nil {
		return nil, err
	}
	return signerAt(home, addr, keys), nil
}

// adoptSigner remembers an address that was not used before, once a signer there
// has shown that it holds the keys. A known one may be away at the moment.
func (k remembered) adoptSigner(ctx context.Context, home config.Home, signer *lnd.RemoteSigner, log *slog.Logger) error {
	if signer == nil || signer.Addr == k.SignerHost {
		return nil
	}
	if err := signer.Await(ctx, log); err != nil {
		return err
	}
	k.SignerHost = signer.Addr
	return k.save(home)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// signerDir holds the signer's bundle.
func signerDir(h config.Home) string { return filepath.Join(h.Node(), "signer") }
