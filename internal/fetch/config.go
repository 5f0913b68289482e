package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/buildinfo"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// Config is lnget's configuration file. Every key may be left out.
type Config struct {
	L402   L402Config   `yaml:"l402"`
	HTTP   HTTPConfig   `yaml:"http"`
	LN     LNConfig     `yaml:"ln"`
	Output OutputConfig `yaml:"output"`
	Tokens TokensConfig `yaml:"tokens"`
}

// L402Config bounds what may be paid.
type L402Config struct {
	// MaxCostSats is the most one fetch may cost, in sat. Default: 1000.
	MaxCostSats int64 `yaml:"max_cost_sats"`
	// MaxFeeSats is the most one payment may cost on top, in sat. Default: 10.
	MaxFeeSats int64 `yaml:"max_fee_sats"`
	// PaymentTimeout bounds one payment. Default: 60s.
	PaymentTimeout time.Duration `yaml:"payment_timeout"`
	// AutoPay: false never pays. Default: true.
	AutoPay bool `yaml:"auto_pay"`
	// PreferScheme is PreferL402 (the default), whose token serves again, or
	// PreferPayment, whose credential is good for one request: which to pay by
	// when a seller offers both.
	PreferScheme string `yaml:"prefer_scheme"`
	// OnWarning is OnWarningWarn (the default) or OnWarningRefuse: whether an
	// origin is paid that took money and did not deliver, or whose price has
	// risen or payee has changed.
	OnWarning string `yaml:"on_warning"`
}

// The values of [L402Config.PreferScheme].
const (
	PreferL402    = "l402"
	PreferPayment = "payment"
)

// The values of [L402Config.OnWarning].
const (
	OnWarningWarn   = "warn"
	OnWarningRefuse = "refuse"
)

// HTTPConfig is how requests are made.
type HTTPConfig struct {
	// Timeout bounds connecting, waiting for an answer, and every silence
	// within it. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxRedirects is how many redirects are followed. Default: 10.
	MaxRedirects int `yaml:"max_redirects"`
	// UserAgent is sent with each request. Default: lnget/<version>.
	UserAgent string `yaml:"user_agent"`
	// AllowInsecure skips the check of certificates. Default: false.
	AllowInsecure bool `yaml:"allow_insecure"`
}

// LNConfig is what pays.
type LNConfig struct {
	// Mode is "lnd" (the default), "lnc" for a node that is paired with, or
	// "none", which never pays; "neutrino" is not built in.
	Mode string    `yaml:"mode"`
	LND  LNDConfig `yaml:"lnd"`
	LNC  LNCConfig `yaml:"lnc"`
}

// LNCConfig is Lightning Node Connect.
type LNCConfig struct {
	// SessionID is the session that pays, of `lnget ln lnc sessions`. Default:
	// the one that was paired last.
	SessionID string `yaml:"session_id"`
	// SessionsDir is where sessions are kept. Default: ~/.lnget/lnc.
	SessionsDir string `yaml:"sessions_dir"`
	// MailboxAddr is the relay of the next pairing.
	MailboxAddr string `yaml:"mailbox_addr"`
	// DevServer skips the check of that relay's certificate. Default: false.
	DevServer bool `yaml:"dev_server"`
}

// DefaultMailbox is the relay that nodes use when they are told of no other.
const DefaultMailbox = "mailbox.terminal.lightning.today:443"

// LNDConfig is the node that pays.
type LNDConfig struct {
	// Host is the gRPC address. Default: localhost:10009.
	Host string `yaml:"host"`
	// TLSCert is the node's certificate. Default: ~/.lnd/tls.cert.
	TLSCert string `yaml:"tls_cert"`
	// Macaroon is what the node knows us by. Default: lnd's admin.macaroon
	// of the network; `lnget config init` finds a better one.
	Macaroon string `yaml:"macaroon"`
	// Network is the node's. Default: mainnet.
	Network string `yaml:"network"`
}

// OutputConfig is what is printed.
type OutputConfig struct {
	// Format is "json" (the default: JSON to a pipe, tables to a terminal)
	// or "human".
	Format string `yaml:"format"`
	// Progress shows progress on a terminal. Default: true.
	Progress bool `yaml:"progress"`
	// Verbose is -v. Default: false.
	Verbose bool `yaml:"verbose"`
}

// TokensConfig is where tokens and payments are kept.
type TokensConfig struct {
	// Dir is their folder. Default: ~/.lnget/tokens.
	Dir string `yaml:"dir"`
}

// Dir returns lnget's folder, ~/.lnget.
func Dir() (string, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fault.New("no_home", "set HOME", "find the home folder: %w", err)
	}
	return filepath.Join(user, ".lnget"), nil
}

// Default returns the configuration without a file.
func Default() Config {
	return Config{
		L402: L402Config{MaxCostSats: 1000, MaxFeeSats: 10, PaymentTimeout: time.Minute, AutoPay: true, PreferScheme: PreferL402, OnWarning: OnWarningWarn},
		HTTP: HTTPConfig{Timeout: 30 * time.Second, MaxRedirects: 10, UserAgent: "lnget/" + buildinfo.Version()},
		LN: LNConfig{Mode: "lnd", LND: LNDConfig{
			Host: "localhost:10009", TLSCert: "~/.lnd/tls.cert", Network: "mainnet",
		}, LNC: LNCConfig{SessionsDir: "~/.lnget/lnc", MailboxAddr: DefaultMailbox}},
		Output: OutputConfig{Format: "json", Progress: true},
		Tokens: TokensConfig{Dir: "~/.lnget/tokens"},
	}
}

// LoadConfig reads the file at path, or ~/.lnget/config.yaml, which may be
// missing, when path is empty; then the environment: LNGET_ and the key's path
// in capitals, such as LNGET_L402_MAX_COST_SATS. Errors have the code
// bad_config and name file and line, or the variable.
func LoadConfig(path string, environ func(string) (string, bool)) (Config, error) {
	optional := path == ""
	if optional {
		dir, err := Dir()
		if err != nil { // fine where the environment names all paths
			return parseConfig(path, nil, environ)
		}
		path = filepath.Join(dir, "config.yaml")
	}
	data, err := os.ReadFile(path)
	if err != nil && !(optional && errors.Is(err, os.ErrNotExist)) {
		return Config{}, fault.New("bad_config", "check the path and its mode", "read configuration: %w", err)
	}
	return parseConfig(path, data, environ)
}

func parseConfig(path string, data []byte, environ func(string) (string, bool)) (Config, error) {
	cfg := Default()
	if err := config.ParseStrictYAML(path, data, &cfg); err != nil {
		return cfg, err
	}
	if err := override(reflect.ValueOf(&cfg).Elem(), "LNGET", environ); err != nil {
		return cfg, err
	}
	if err := cfg.expand(); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}

// override sets every field whose variable is set and not empty.
func override(v reflect.Value, prefix string, environ func(string) (string, bool)) error {
	for i := range v.NumField() {
		name := prefix + "_" + strings.ToUpper(v.Type().Field(i).Tag.Get("yaml"))
		field := v.Field(i)
		if field.Kind() == reflect.Struct {
			if err := override(field, name, environ); err != nil {
				return err
			}
			continue
		}
		text, ok := environ(name)
		if !ok || text == "" {
			continue
		}
		if err := setField(field, text); err != nil {
			return fault.New("bad_config", "correct or unset it", "%s=%q: %w", name, text, err)
		}
	}
	return nil
}

func setField(field reflect.Value, text string) error {
	switch field.Interface().(type) {
	case string:
		field.SetString(text)
		return nil
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("want true or false")
		}
		field.SetBool(b)
		return nil
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a duration such as 60s")
		}
		field.SetInt(int64(d))
		return nil
	case int, int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("want a whole number")
		}
		field.SetInt(n)
		return nil
	}
	return fmt.Errorf("cannot be set from the environment")
}

// expand makes paths absolute; ~/ is the home folder.
func (c *Config) expand() error {
	if c.LN.LND.Macaroon == "" {
		c.LN.LND.Macaroon = filepath.Join("~/.lnd/data/chain/bitcoin", c.LN.LND.Network, "admin.macaroon")
	}
	for _, p := range []*string{&c.LN.LND.TLSCert, &c.LN.LND.Macaroon, &c.LN.LNC.SessionsDir, &c.Tokens.Dir} {
		rest, ok := strings.CutPrefix(*p, "~/")
		if !ok {
			continue
		}
		user, err := os.UserHomeDir()
		if err != nil && p == &c.LN.LNC.SessionsDir && c.LN.Mode != "lnc" {
			continue // a command that needs it says so
		}
		if err != nil {
			return fault.New("no_home", "set HOME, or name this path without ~/", "%s: find the home folder: %w", *p, err)
		}
		*p = filepath.Join(user, rest)
	}
	return nil
}

// maxSats bounds limits to the money there is, so that msat never overflow.
const maxSats = 21_000_000 * 100_000_000

// Validate reports whether every value makes sense (code bad_config).
func (c *Config) Validate() error {
	bad := func(key string, value any, want string) error {
		return fault.New("bad_config", "correct it: lnget config path", "%s: %v: want %s", key, value, want)
	}
	switch {
	case c.L402.MaxCostSats < 0 || c.L402.MaxCostSats > maxSats:
		return bad("l402.max_cost_sats", c.L402.MaxCostSats, "a number of sat")
	case c.L402.MaxFeeSats < 0 || c.L402.MaxFeeSats > maxSats:
		return bad("l402.max_fee_sats", c.L402.MaxFeeSats, "a number of sat")
	case c.L402.PaymentTimeout < time.Second:
		return bad("l402.payment_timeout", c.L402.PaymentTimeout, "at least 1s")
	case c.L402.PreferScheme != PreferL402 && c.L402.PreferScheme != PreferPayment:
		return bad("l402.prefer_scheme", strconv.Quote(c.L402.PreferScheme), "l402 or payment")
	case c.L402.OnWarning != OnWarningWarn && c.L402.OnWarning != OnWarningRefuse:
		return bad("l402.on_warning", strconv.Quote(c.L402.OnWarning), "warn or refuse")
	case c.HTTP.Timeout <= 0:
		return bad("http.timeout", c.HTTP.Timeout, "more than 0s")
	case c.HTTP.MaxRedirects < 0:
		return bad("http.max_redirects", c.HTTP.MaxRedirects, "0 or more")
	case c.Output.Format != "json" && c.Output.Format != "human":
		return bad("output.format", strconv.Quote(c.Output.Format), "json or human")
	case c.Tokens.Dir == "" || !filepath.IsAbs(c.Tokens.Dir):
		return bad("tokens.dir", strconv.Quote(c.Tokens.Dir), "an absolute path or one that begins with ~/")
	}
	if dir := c.LN.LNC.SessionsDir; !filepath.IsAbs(dir) && !strings.HasPrefix(dir, "~/") {
		return bad("ln.lnc.sessions_dir", strconv.Quote(c.LN.LNC.SessionsDir), "an absolute path or one that begins with ~/")
	}
	switch c.LN.Mode {
	case "lnd", "lnc", "neutrino", "none":
	default:
		return bad("ln.mode", strconv.Quote(c.LN.Mode), "lnd")
	}
	switch c.LN.LND.Network {
	case "mainnet", "testnet", "signet", "regtest", "simnet":
		return nil
	}
	return bad("ln.lnd.network", strconv.Quote(c.LN.LND.Network), "mainnet, testnet, signet, regtest or simnet")
}
