// Package bundle is the credentials bundle that a signer gives to its watch-only
// node: accounts.json (extended public keys, in the form of `lncli wallet accounts
// list`), tls.cert and admin.macaroon, as a folder, as a .tar.gz, or as the base64
// text of one. It promises that what it reads is whole, well formed, of bounded
// size and free of private keys before anybody sees any of it, and that it writes
// every file with mode 0600. It leaves out talking to a signer or a node.
package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leydenln/leyden/internal/fault"
)

// Files of a bundle. The names are the field's; admin.macaroon is called so
// whatever it may do.
const (
	AccountsFile = "accounts.json"
	CertFile     = "tls.cert"
	MacaroonFile = "admin.macaroon"

	// Base64File holds the three as the base64 text of a .tar.gz.
	Base64File = "credentials-bundle.tar.gz.b64"
)

var fileNames = []string{AccountsFile, CertFile, MacaroonFile, Base64File}

// Codes of what is wrong with a bundle.
const (
	CodeBad          = "bad_bundle"
	CodeSecrets      = "bundle_has_secrets"
	CodeWrongNetwork = "bundle_wrong_network"
)

// hint is what to do about a bundle that is no good.
const hint = "make another one on the signer's machine: leyden signer export"

// Bundle is a bundle that was read and found good, or one that is to be written.
type Bundle struct {
	// Accounts are as the signer listed them.
	Accounts []Account

	// TLSCert is the signer's certificate in PEM, by which it is known.
	TLSCert []byte

	// Macaroon is in lnd's binary form. It is a secret.
	Macaroon []byte
}

// WatchOnlyAccount is one account as a watch-only wallet is made of them. The
// three numbers are hardened steps of the derivation path, without the mark.
type WatchOnlyAccount struct {
	Purpose, CoinType, Account uint32

	// XPub is the extended public key in base58, with the version bytes the signer
	// printed (xpub, ypub, zpub, tpub, upub, vpub or spub).
	XPub string
}

// keyFamilies is the number of accounts of purpose 1017 that lnd makes.
const keyFamilies = 256

// lndPurpose is the purpose of lnd's own keys; it has accounts 0 to 255.
const lndPurpose = 1017

// walletPurposes are those of coins, each with account 0.
var walletPurposes = []uint32{49, 84, 86}

// Make checks the parts of a bundle that is to be given away. Codes: CodeBad,
// CodeSecrets.
func Make(accounts []Account, tlsCert, macaroon []byte) (*Bundle, error) {
	list, err := json.Marshal(accountList{accounts})
	if err != nil {
		return nil, err
	}
	return New(list, tlsCert, macaroon)
}

// New checks the parts and makes a bundle of them. Codes: CodeBad, CodeSecrets.
func New(accountsJSON, tlsCert, macaroon []byte) (*Bundle, error) {
	return assemble(map[string][]byte{AccountsFile: accountsJSON, CertFile: tlsCert, MacaroonFile: macaroon})
}

// WatchOnlyAccounts returns the accounts that a watch-only node needs, in the
// order 49, 84, 86, 1017/0 to 1017/255. Others that the signer has are left out.
func (b *Bundle) WatchOnlyAccounts() []WatchOnlyAccount {
	found := map[[2]uint32]WatchOnlyAccount{}
	for _, a := range b.Accounts {
		if w, err := a.watchOnly(); err == nil && needed(w) {
			found[[2]uint32{w.Purpose, w.Account}] = w
		}
	}
	var accounts []WatchOnlyAccount
	for _, purpose := range walletPurposes {
		accounts = append(accounts, found[[2]uint32{purpose, 0}])
	}
	for family := range uint32(keyFamilies) {
		accounts = append(accounts, found[[2]uint32{lndPurpose, family}])
	}
	return accounts
}

// MasterFingerprint returns the four bytes that name the signer's root key, or
// nil when its lnd did not say, as it does not for a wallet of its own seed.
func (b *Bundle) MasterFingerprint() []byte {
	for _, a := range b.Accounts {
		if len(a.MasterKeyFingerprint) > 0 {
			return bytes.Clone(a.MasterKeyFingerprint)
		}
	}
	return nil
}

// SameKeys says whether both bundles are of one seed on one network.
func (b *Bundle) SameKeys(other *Bundle) bool {
	return slices.Equal(b.WatchOnlyAccounts(), other.WatchOnlyAccounts())
}

// CheckNetwork refuses a bundle of another network, by lncli's names. The test
// networks have the same keys, but for simnet: they cannot be told apart. Code:
// CodeWrongNetwork.
func (b *Bundle) CheckNetwork(network string) error {
	for _, w := range b.WatchOnlyAccounts() {
		version, err := keyVersion(w.XPub)
		if err != nil {
			return err
		}
		if !slices.Contains(versionsOf(network), version) || w.Purpose == lndPurpose && w.CoinType != coinType(network) {
			return fault.New(CodeWrongNetwork, "pass the signer's network with --network, or "+hint,
				"the bundle's keys (%.4s…, coin type %d) are not of %s", w.XPub, w.CoinType, network)
		}
	}
	return nil
}

// versionsOf are the version bytes that lnd prints on a network (SLIP-132).
func versionsOf(network string) []uint32 {
	switch network {
	case "mainnet":
		return []uint32{0x0488b21e, 0x049d7cb2, 0x04b24746} // xpub, ypub, zpub
	case "simnet":
		return []uint32{0x0420bd3a, 0x049d7cb2, 0x04b24746} // spub; there are no others of its own
	default:
		return []uint32{0x043587cf, 0x044a5262, 0x045f1cf6} // tpub, upub, vpub
	}
}

// coinType is lnd's of purpose 1017; its wallet purposes have 0 everywhere.
func coinType(network string) uint32 {
	if network == "mainnet" {
		return 0
	}
	return 1
}

func bad(format string, args ...any) error {
	return fault.New(CodeBad, hint, "credentials bundle: %w", fmt.Errorf(format, args...))
}
