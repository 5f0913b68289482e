package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"

	"github.com/leydenln/leyden/internal/fault"
)

// Account is one entry of `lncli wallet accounts list` (walletrpc.Account).
type Account struct {
	Name                 string      `json:"name"`
	AddressType          string      `json:"address_type"`
	ExtendedPublicKey    string      `json:"extended_public_key"`
	MasterKeyFingerprint Fingerprint `json:"master_key_fingerprint"`
	DerivationPath       string      `json:"derivation_path"`
	ExternalKeyCount     Count       `json:"external_key_count"`
	InternalKeyCount     Count       `json:"internal_key_count"`
	WatchOnly            bool        `json:"watch_only"`
}

// Fingerprint is empty or the four bytes that name a root key, as hex digits in
// JSON; base64, as other protobuf printers write it, is understood.
type Fingerprint []byte

// MarshalJSON writes hex digits.
func (f Fingerprint) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(f)) }

// UnmarshalJSON reads hex digits or base64.
func (f *Fingerprint) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	decoded, err := hex.DecodeString(text)
	if err != nil {
		decoded, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(decoded) != 0 && len(decoded) != 4 {
		return fmt.Errorf("malformed master_key_fingerprint %.20q", text)
	}
	*f = decoded
	return nil
}

// Count is a number that may be written as text, as protobuf's JSON does with
// large ones.
type Count uint32

// UnmarshalJSON reads 5 or "5".
func (c *Count) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(string(bytes.Trim(data, `"`)), 10, 32)
	if err != nil {
		return fmt.Errorf("malformed key count %.20q", data)
	}
	*c = Count(n)
	return nil
}

// accountList is the whole of accounts.json.
type accountList struct {
	Accounts []Account `json:"accounts"`
}

// parseAccounts reads accounts.json and checks that a watch-only node can be made
// of it. Fields that it does not know are dropped.
func parseAccounts(data []byte) ([]Account, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	var list accountList
	if err := dec.Decode(&list); err != nil {
		return nil, bad("%s: %w", AccountsFile, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad("%s: there is more after the list", AccountsFile)
	}
	return list.Accounts, checkAccounts(list.Accounts)
}

func checkAccounts(accounts []Account) error {
	seen := map[WatchOnlyAccount]bool{}
	coins := map[uint32]bool{}
	for i, a := range accounts {
		if a.ExtendedPublicKey == "" {
			continue // keys that were imported one by one
		}
		w, err := a.watchOnly()
		if err != nil {
			return fmt.Errorf("account %d: %w", i, err)
		}
		if !needed(w) {
			continue
		}
		if a.WatchOnly {
			return bad("%s: account %s is watch-only there: this list is not a signer's", AccountsFile, a.DerivationPath)
		}
		w.XPub = ""
		if seen[w] {
			return bad("%s: account %s is there twice", AccountsFile, a.DerivationPath)
		}
		seen[w] = true
		if w.Purpose == lndPurpose {
			coins[w.CoinType] = true
		}
	}
	if len(coins) > 1 {
		return bad("%s: accounts of two networks", AccountsFile)
	}
	if len(seen) != len(walletPurposes)+keyFamilies {
		return bad("%s: %d of the %d accounts that a watch-only node needs (49, 84, 86, and 256 of 1017)",
			AccountsFile, len(seen), len(walletPurposes)+keyFamilies)
	}
	return nil
}

// needed says whether a watch-only node uses the account.
func needed(w WatchOnlyAccount) bool {
	switch w.Purpose {
	case 49, 84, 86:
		return w.CoinType == 0 && w.Account == 0
	case lndPurpose:
		return w.CoinType <= 1 && w.Account < keyFamilies
	}
	return false
}

// watchOnly parses the path and checks that the key is public and of that account.
func (a Account) watchOnly() (w WatchOnlyAccount, err error) {
	path, ok := strings.CutPrefix(a.DerivationPath, "m/")
	steps := strings.Split(path, "/")
	if !ok || len(steps) != 3 {
		return w, bad("malformed derivation path %.40q", a.DerivationPath)
	}
	for i, to := range []*uint32{&w.Purpose, &w.CoinType, &w.Account} {
		digits, hardened := strings.CutSuffix(steps[i], "'")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || !hardened {
			return w, bad("malformed derivation path %.40q", a.DerivationPath)
		}
		*to = uint32(n)
	}
	key, err := hdkeychain.NewKeyFromString(a.ExtendedPublicKey)
	switch {
	case err != nil:
		return w, bad("malformed extended public key of %s: %w", a.DerivationPath, err)
	case key.IsPrivate():
		return w, fault.New(CodeSecrets, hint, "the key of account %s is a private key", a.DerivationPath)
	case key.Depth() != 3 || key.ChildIndex() != w.Account|hdkeychain.HardenedKeyStart:
		return w, bad("the key of %s is of another path", a.DerivationPath)
	}
	w.XPub = a.ExtendedPublicKey
	return w, nil
}

// keyVersion returns the four bytes that a base58 key begins with.
func keyVersion(xpub string) (uint32, error) {
	raw := base58.Decode(xpub)
	if len(raw) < 4 {
		return 0, bad("malformed extended public key")
	}
	return binary.BigEndian.Uint32(raw), nil
}
