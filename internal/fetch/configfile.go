package fetch

import (
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// WriteConfig writes a configuration file with every key and its value. An
// existing one is only replaced when told to (code config_exists).
func WriteConfig(path string, c Config, replace bool) error {
	if _, err := os.Stat(path); err == nil && !replace {
		return fault.New("config_exists", "to replace it: lnget config init --force",
			"there is a configuration in %q", path)
	}
	if err := files.MkdirPrivate(filepath.Dir(path)); err != nil {
		return err
	}
	return files.Write(path, []byte(c.YAML()), 0o600)
}

// YAML returns the configuration as a file with every key.
func (c Config) YAML() string {
	return fmt.Sprintf(`l402:
  max_cost_sats: %d   # the most one fetch may cost
  max_fee_sats: %d   # the most one payment may cost on top
  payment_timeout: %s
  auto_pay: %t   # false never pays
  prefer_scheme: %s   # l402 (a token that serves again) or payment (one request), where a seller offers both
  on_warning: %s   # refuse pays nobody who did not deliver, or whose price has risen or payee has changed
http:
  timeout: %s
  max_redirects: %d
  user_agent: %q
  allow_insecure: %t   # true skips the check of certificates
ln:
  mode: %s
  lnd:
    host: %q
    tls_cert: %q
    macaroon: %q
    network: %s
  lnc:
    session_id: %q   # of lnget ln lnc sessions; none: the one paired last
    sessions_dir: %q
    mailbox_addr: %q   # the relay of the next pairing
    dev_server: %t   # true skips the check of its certificate
output:
  format: %s   # json or human
  progress: %t
  verbose: %t
tokens:
  dir: %q
`, c.L402.MaxCostSats, c.L402.MaxFeeSats, c.L402.PaymentTimeout, c.L402.AutoPay, c.L402.PreferScheme, c.L402.OnWarning,
		c.HTTP.Timeout, c.HTTP.MaxRedirects, c.HTTP.UserAgent, c.HTTP.AllowInsecure,
		c.LN.Mode, c.LN.LND.Host, c.LN.LND.TLSCert, c.LN.LND.Macaroon, c.LN.LND.Network,
		c.LN.LNC.SessionID, c.LN.LNC.SessionsDir, c.LN.LNC.MailboxAddr, c.LN.LNC.DevServer,
		c.Output.Format, c.Output.Progress, c.Output.Verbose, c.Tokens.Dir)
}

// Map returns the configuration as its file has it, key by key, for JSON.
func (c Config) Map() map[string]any {
	var m map[string]any
	if err := yaml.Unmarshal([]byte(c.YAML()), &m); err != nil {
		return nil
	}
	return m
}
