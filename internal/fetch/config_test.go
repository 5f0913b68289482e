package fetch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
)

// environ looks variables up in a map.
func environ(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func load(t *testing.T, text string, vars map[string]string) (fetch.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return fetch.LoadConfig(path, environ(vars))
}

func TestEveryKeyHasAVariable(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	vars := map[string]string{
		"LNGET_L402_MAX_COST_SATS": "7", "LNGET_L402_MAX_FEE_SATS": "8", "LNGET_L402_PAYMENT_TIMEOUT": "9s",
		"LNGET_L402_AUTO_PAY": "false", "LNGET_L402_ON_WARNING": "refuse", "LNGET_L402_PREFER_SCHEME": "payment",
		"LNGET_HTTP_TIMEOUT": "10s", "LNGET_HTTP_MAX_REDIRECTS": "11",
		"LNGET_HTTP_USER_AGENT": "me", "LNGET_HTTP_ALLOW_INSECURE": "true", "LNGET_LN_MODE": "none",
		"LNGET_LN_LND_HOST": "h:1", "LNGET_LN_LND_TLS_CERT": "~/c", "LNGET_LN_LND_MACAROON": "~/m",
		"LNGET_LN_LND_NETWORK": "signet", "LNGET_LN_LNC_SESSION_ID": "01020304", "LNGET_LN_LNC_SESSIONS_DIR": "~/s",
		"LNGET_LN_LNC_MAILBOX_ADDR": "r:2", "LNGET_LN_LNC_DEV_SERVER": "true", "LNGET_OUTPUT_FORMAT": "human", "LNGET_OUTPUT_PROGRESS": "false",
		"LNGET_OUTPUT_VERBOSE": "true", "LNGET_TOKENS_DIR": "~/t",
	}
	got, err := load(t, "", vars)
	if err != nil {
		t.Fatal(err)
	}
	want := fetch.Config{
		L402: fetch.L402Config{MaxCostSats: 7, MaxFeeSats: 8, PaymentTimeout: 9 * time.Second, OnWarning: fetch.OnWarningRefuse, PreferScheme: fetch.PreferPayment},
		HTTP: fetch.HTTPConfig{Timeout: 10 * time.Second, MaxRedirects: 11, UserAgent: "me", AllowInsecure: true},
		LN: fetch.LNConfig{Mode: "none", LND: fetch.LNDConfig{Host: "h:1", TLSCert: "/home/u/c", Macaroon: "/home/u/m", Network: "signet"},
			LNC: fetch.LNCConfig{SessionID: "01020304", SessionsDir: "/home/u/s", MailboxAddr: "r:2", DevServer: true}},
		Output: fetch.OutputConfig{Format: "human", Verbose: true},
		Tokens: fetch.TokensConfig{Dir: "/home/u/t"},
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigMistakes(t *testing.T) {
	cases := map[string]struct {
		text string
		vars map[string]string
		want string
	}{
		"ok/empty":                {"", nil, ""},
		"ok/its own YAML":         {fetch.Default().YAML(), nil, ""},
		"fail/unknown key":        {"l402:\n  max: 1\n", nil, `line 2: unknown key "max"`},
		"fail/unknown section":    {"events: {}\n", nil, `line 1: unknown key "events"`},
		"fail/repeated":           {"l402: {}\nl402: {}\n", nil, "already defined"},
		"fail/negative cost":      {"l402: {max_cost_sats: -1}\n", nil, "l402.max_cost_sats"},
		"fail/more than there is": {"l402: {max_cost_sats: 2100000000000001}\n", nil, "l402.max_cost_sats"},
		"fail/negative fee":       {"l402: {max_fee_sats: -1}\n", nil, "l402.max_fee_sats"},
		"fail/no time to pay":     {"l402: {payment_timeout: 10ms}\n", nil, "l402.payment_timeout"},
		"fail/no time-out":        {"http: {timeout: 0s}\n", nil, "http.timeout"},
		"fail/redirects":          {"http: {max_redirects: -1}\n", nil, "http.max_redirects"},
		"fail/format":             {"output: {format: xml}\n", nil, "output.format"},
		"fail/mode":               {"ln: {mode: cln}\n", nil, "ln.mode"},
		"fail/network":            {"ln: {lnd: {network: bitcoin}}\n", nil, "ln.lnd.network"},
		"fail/relative folder":    {"tokens: {dir: tokens}\n", nil, "tokens.dir"},
		"fail/variable, number":   {"", map[string]string{"LNGET_L402_MAX_COST_SATS": "1.5"}, `LNGET_L402_MAX_COST_SATS="1.5"`},
		"fail/variable, bool":     {"", map[string]string{"LNGET_L402_AUTO_PAY": "maybe"}, "want true or false"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.text, c.vars)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.Code(err) != "bad_config" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestConfigFileMayBeMissingOnlyWhereNobodyNamedIt(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	if _, err := fetch.LoadConfig("", environ(nil)); err != nil {
		t.Error(err)
	}
	if _, err := fetch.LoadConfig(filepath.Join(t.TempDir(), "none.yaml"), environ(nil)); fault.Code(err) != "bad_config" {
		t.Errorf("got %v", err)
	}
}
