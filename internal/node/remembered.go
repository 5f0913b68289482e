package node

import (
	"github.com/leydenln/leyden/internal/config"
)

// remembered is leyden-node.yaml: what create was told, for every start.
type remembered struct {
	// Mode is WatchOnly or Standalone.
	Mode string `yaml:"mode"`

	// SignerHost is host:port of a watch-only node's signer, where one answered;
	// SignerKeys names the keys its wallet was made of: see keysID.
	SignerHost string `yaml:"signer_host,omitempty"`
	SignerKeys string `yaml:"signer_keys,omitempty"`

	Network string `yaml:"network"`

	// Backend may be empty: what lnd.conf says, else neutrino.
	Backend string `yaml:"backend,omitempty"`

	Profiles []string `yaml:"profiles,omitempty"`

	// PasswordFile is an absolute path; empty: wallet-password.txt beside it.
	PasswordFile string `yaml:"password_file,omitempty"`

	// RecoveryWindow is the number of unused addresses in a row to search, of
	// a wallet whose seed was used before; else 0.
	RecoveryWindow int32 `yaml:"recovery_window,omitempty"`
}

func (r remembered) watchOnly() bool { return r.Mode == WatchOnly }

// loadRemembered reads the file; fs.ErrNotExist stays in the chain.
func loadRemembered(h config.Home) (r remembered, err error) {
	err = config.LoadStrictYAML(keptFile(h), &r)
	return r, err
}

// passwordFile is where a start looks for the wallet's password.
func (r remembered) passwordFile(h config.Home) string {
	if r.PasswordFile != "" {
		return r.PasswordFile
	}
	return passwordFile(h)
}

func (r remembered) save(h config.Home) error { return config.SaveYAML(keptFile(h), r) }
