package gate

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// laterKey is a key of aperture's, or of ours to come, that the gate does not
// have. It is read so that turning it on can be refused by name; turned off it
// is fine.
type laterKey struct{ line int }

func (k *laterKey) UnmarshalYAML(n *yaml.Node) error {
	if !isOff(n) {
		k.line = n.Line
	}
	return nil
}

// isOff reports whether a value asks for nothing: empty, false, 0 or "off", a
// list or mapping of such, or a mapping with `enabled: false`.
func isOff(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		switch strings.ToLower(n.Value) {
		case "", "0", "false", "no", "off", "null", "~":
			return true
		}
		return false
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "enabled" && isOff(n.Content[i+1]) {
				return true
			}
		}
		for i := 1; i < len(n.Content); i += 2 {
			if !isOff(n.Content[i]) {
				return false
			}
		}
		return true
	case yaml.SequenceNode:
		return len(n.Content) == 0
	}
	return false
}

// later are top-level keys that the gate does not have.
type later struct {
	Etcd             laterKey `yaml:"etcd"`
	Postgres         laterKey `yaml:"postgres"`
	Tor              laterKey `yaml:"tor"`
	StrictVerify     laterKey `yaml:"strictverify"`
	InvoiceBatchSize laterKey `yaml:"invoicebatchsize"`
	Profile          laterKey `yaml:"profile"`
	Admin            laterKey `yaml:"admin"`
	Logging          laterKey `yaml:"logging"`
	ConfigFile       laterKey `yaml:"configfile"`
	WSPingInterval   laterKey `yaml:"wspinginterval"`
	WSPongWait       laterKey `yaml:"wspongwait"`
}

// laterAuthenticator are keys under authenticator that the gate does not have.
type laterAuthenticator struct {
	EnableSessions           laterKey `yaml:"enablesessions"`
	SessionDepositMultiplier laterKey `yaml:"sessiondepositmultiplier"`
	SessionIdleTimeout       laterKey `yaml:"sessionidletimeout"`
}

// laterService are keys of a service that the gate does not have.
type laterService struct {
	DynamicPrice laterKey `yaml:"dynamicprice"`
}

// Why a key is refused, where "not available yet" does not say what to do.
const (
	onlySQLite  = "the gate keeps its records in sqlite"
	onlyCharge  = "the gate sells single requests and tokens, no sessions"
	fixedPings  = "the relay pings every 30s and waits 15s, as aperture does; drop it"
	needsNoRead = "the gate verifies tokens without reading invoices; drop it"
)

// refusedKey is a key with what to say when it is on.
type refusedKey struct {
	name string
	key  laterKey
	why  string
}

func (l later) refused() []refusedKey {
	return []refusedKey{
		{"etcd", l.Etcd, onlySQLite},
		{"postgres", l.Postgres, onlySQLite},
		{"tor", l.Tor, "point an onion service of your own at listenaddr"},
		{"strictverify", l.StrictVerify, needsNoRead},
		{"invoicebatchsize", l.InvoiceBatchSize, needsNoRead},
		{"profile", l.Profile, ""},
		{"admin", l.Admin, ""},
		{"logging", l.Logging, "use debuglevel"},
		{"configfile", l.ConfigFile, "pass --config"},
		{"wspinginterval", l.WSPingInterval, fixedPings},
		{"wspongwait", l.WSPongWait, fixedPings},
	}
}

func (l laterAuthenticator) refused() []refusedKey {
	return []refusedKey{
		{"authenticator.enablesessions", l.EnableSessions, onlyCharge},
		{"authenticator.sessiondepositmultiplier", l.SessionDepositMultiplier, onlyCharge},
		{"authenticator.sessionidletimeout", l.SessionIdleTimeout, onlyCharge},
	}
}

func (l laterService) refused() []refusedKey {
	return []refusedKey{
		{"dynamicprice", l.DynamicPrice, "use price"},
	}
}

// refuseLater returns an error that names the first key that is on and that
// the gate does not have.
func (c *Config) refuseLater() error {
	keys := append(c.later.refused(), c.Authenticator.refused()...)
	keys = append(keys, refusedKey{"sqlite.skipmigrations", c.SQLite.SkipMigrations, "the gate's database is its own"})
	for _, s := range c.Services {
		if s != nil {
			keys = append(keys, s.refused()...)
		}
	}
	for _, k := range keys {
		if k.key.line == 0 {
			continue
		}
		if k.why == "" {
			return fmt.Errorf("line %d: %s is not available yet", k.key.line, k.name)
		}
		return fmt.Errorf("line %d: %s is not available yet: %s", k.key.line, k.name, k.why)
	}
	return nil
}
