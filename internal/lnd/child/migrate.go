package child

import (
	"fmt"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/wallet"
	"github.com/lightningnetwork/lnd/chainreg"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwallet/btcwallet"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/lnd"
)

// migration stands in for the builder of lnd's chain control: it takes the private
// keys out of the wallet that lnd has opened, then ends lnd's start.
type migration struct {
	bundle string // the folder of the bundle whose keys the wallet must have
}

// BuildChainControl is part of lnd's ChainControlBuilder interface.
func (m migration) BuildChainControl(_ *chainreg.PartialChainControl,
	cfg *btcwallet.Config) (*chainreg.ChainControl, func(), error) {

	if err := m.migrate(cfg); err != nil {
		return nil, nil, err
	}
	return nil, nil, errWalletOnly
}

// migrate compares every account, and then takes all private keys out in one
// transaction. A wallet without private keys is only compared.
func (m migration) migrate(cfg *btcwallet.Config) error {
	keys, err := bundle.Read(m.bundle, nil)
	if err != nil {
		return err
	}
	w := cfg.Wallet
	watchOnly := w.Manager.WatchOnly()
	if !watchOnly {
		if err := w.Unlock(cfg.PrivatePass, nil); err != nil {
			return fmt.Errorf("unlock the wallet: %w", err)
		}
	}
	scope := waddrmgr.KeyScope{Purpose: keychain.BIP0043Purpose, Coin: cfg.CoinType}
	families, err := ensureScope(w, scope)
	if err != nil {
		return err
	}
	// lnd makes the accounts of all key families at the first start with a chain.
	if err := w.InitAccounts(families, false, lnd.KeyFamilies-1); err != nil {
		return err
	}
	for _, account := range keys.WatchOnlyAccounts() {
		if err := sameKey(w, account); err != nil {
			return err
		}
	}
	return w.InitAccounts(families, !watchOnly, lnd.KeyFamilies-1)
}

// ensureScope adds what lnd adds at the first start with a chain.
func ensureScope(w *wallet.Wallet, families waddrmgr.KeyScope) (*waddrmgr.ScopedKeyManager, error) {
	for _, scope := range btcwallet.LndDefaultKeyScopes {
		if _, err := w.Manager.FetchScopedKeyManager(scope); waddrmgr.IsError(err, waddrmgr.ErrScopeNotFound) {
			if _, err := w.AddScopeManager(scope, waddrmgr.ScopeAddrMap[scope]); err != nil {
				return nil, err
			}
		}
	}
	manager, err := w.Manager.FetchScopedKeyManager(families)
	if waddrmgr.IsError(err, waddrmgr.ErrScopeNotFound) {
		return w.AddScopeManager(families, waddrmgr.ScopeAddrSchema{
			ExternalAddrType: waddrmgr.WitnessPubKey, InternalAddrType: waddrmgr.WitnessPubKey,
		})
	}
	return manager, err
}

// sameKey refuses a wallet whose account has another key than the signer's.
func sameKey(w *wallet.Wallet, account bundle.WatchOnlyAccount) error {
	scope := waddrmgr.KeyScope{Purpose: account.Purpose, Coin: account.CoinType}
	has, err := w.AccountProperties(scope, account.Account)
	if err != nil {
		return fmt.Errorf("account %s/%d': %w", scope, account.Account, err)
	}
	wants, err := hdkeychain.NewKeyFromString(account.XPub)
	if err != nil {
		return err
	}
	same := has.AccountPubKey != nil
	if same {
		a, errA := has.AccountPubKey.ECPubKey()
		b, errB := wants.ECPubKey()
		same = errA == nil && errB == nil && a.IsEqual(b) && string(has.AccountPubKey.ChainCode()) == string(wants.ChainCode())
	}
	if !same {
		return fmt.Errorf("%s: account %s/%d'", lnd.OtherKeys, scope, account.Account)
	}
	return nil
}
