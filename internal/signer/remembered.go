package signer

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/config"
)

// certValidity is how long a new certificate is good for unless tlscertduration
// says otherwise. Nodes know the signer by this one certificate, so that an early
// end would only stop them.
const certValidity = 10 * 365 * 24 * time.Hour

// remembered is leyden-signer.yaml: what init and export were told. It holds no
// secrets.
type remembered struct {
	Network string `yaml:"network"`

	// PasswordFile is an absolute path; empty: wallet-password.txt beside it.
	PasswordFile string `yaml:"password_file,omitempty"`

	// TLSExtraIPs and TLSExtraDomains are names of the signer's certificate.
	TLSExtraIPs     []string `yaml:"tls_extra_ips,omitempty"`
	TLSExtraDomains []string `yaml:"tls_extra_domains,omitempty"`

	// RootKeyID is that of the bundle's macaroon in lnd.
	RootKeyID uint64 `yaml:"root_key_id"`

	// OldRootKeyIDs are those whose macaroons shall die; an export that rotates
	// notes them before anything else, so that one cut short is made good by the
	// next.
	OldRootKeyIDs []uint64 `yaml:"old_root_key_ids,omitempty"`

	// AllowIP and AllowRange are the address and network that the bundle's
	// macaroon works from; empty: any.
	AllowIP    string `yaml:"allow_ip,omitempty"`
	AllowRange string `yaml:"allow_range,omitempty"`
}

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

// caveats are those of the bundle's macaroon. Code: bad_bounds.
func (r remembered) caveats() ([]string, error) {
	bounds, err := bakery.ParseBounds(r.AllowIP, r.AllowRange)
	if err != nil {
		return nil, err
	}
	return bounds.Caveats(time.Now())
}

func (r remembered) save(h config.Home) error { return config.SaveYAML(keptFile(h), r) }

// rotate gives the next macaroon another root key.
func (r *remembered) rotate() {
	r.OldRootKeyIDs = append(r.OldRootKeyIDs, r.RootKeyID)
	r.RootKeyID = newRootKeyID()
}

// newRootKeyID returns an id that nobody has: not 0, which is lnd's own, and small
// enough for any JSON reader.
func newRootKeyID() uint64 {
	var b [8]byte
	rand.Read(b[2:])
	return binary.BigEndian.Uint64(b[:]) | 1<<32
}
