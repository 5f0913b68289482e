package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/fetch"
)

// largeCost is a bound of one purchase, in sat, beyond which it hardly bounds
// anything.
const largeCost = 100_000

// lngetConfig reads lnget's configuration; path is empty where there is no file.
// Where is is false there is no lnget here, or its configuration cannot be read.
func (e *Env) lngetConfig() (conf fetch.Config, path string, is bool) {
	path = filepath.Join(e.Lnget, "config.yaml")
	if _, err := os.Stat(path); err != nil {
		return conf, "", has(e.Lnget)
	}
	conf, err := fetch.LoadConfig(path, e.lookup)
	if err == nil && e.Environ == nil {
		conf.LN.LND.Macaroon = e.asWritten(path, conf.LN.LND.Macaroon)
	}
	return conf, path, err == nil
}

// asWritten is the macaroon of another user's configuration, whose ~ is not ours.
func (e *Env) asWritten(path, read string) string {
	var written struct {
		LN struct {
			LND struct {
				Macaroon string `yaml:"macaroon"`
			} `yaml:"lnd"`
		} `yaml:"ln"`
	}
	data, err := os.ReadFile(path)
	if err != nil || yaml.Unmarshal(data, &written) != nil {
		return read
	}
	if rest, is := strings.CutPrefix(written.LN.LND.Macaroon, "~/"); is {
		return filepath.Join(filepath.Dir(e.Lnget), rest)
	}
	return read
}

// lookup reads the environment that lnget would see.
func (e *Env) lookup(name string) (string, bool) {
	for _, pair := range e.Environ {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// asAgent is what to type to see what only the agent's user can see.
func (e *Env) asAgent() string {
	if e.Agent == nil {
		return "run leyden doctor as the user who runs lnget"
	}
	return "sudo -u " + e.Agent.Name + " leyden doctor"
}

// checkLngetLimits looks at what bounds an agent that buys with lnget.
func checkLngetLimits(_ context.Context, e *Env) (found []Finding) {
	path := filepath.Join(e.Lnget, "config.yaml")
	if !has(e.Lnget) {
		return nil
	}
	if _, err := os.ReadFile(path); err != nil {
		if !has(path) {
			return []Finding{info("lnget config init", "lnget has no configuration: it uses the defaults, %d sat for one purchase at most", fetch.Default().L402.MaxCostSats)}
		}
		return []Finding{unseen(e.asAgent(), "cannot read %s: %v", path, reason(err))}
	}
	conf, err := fetch.LoadConfig(path, e.lookup)
	if err != nil {
		return []Finding{fail("lnget config init --force", "lnget's configuration is refused, so lnget does not run: %v", err)}
	}
	if err := fetch.CheckEnviron(e.Environ); err != nil {
		found = append(found, fail("correct the variable", "lnget's environment: %v", err))
	}
	if conf.HTTP.AllowInsecure {
		f := fail("set allow_insecure: false in "+path, "lnget does not check certificates: whoever is between it and a seller takes what it pays for")
		if conf.LN.LND.Network != "mainnet" {
			f.Severity = Warn
		}
		found = append(found, f)
	}
	switch most := conf.L402.MaxCostSats; {
	case most > largeCost:
		found = append(found, warn("lower max_cost_sats in "+path, "lnget may pay up to %d sat for one fetch", most))
	default:
		found = append(found, ok("lnget pays %d sat for one fetch at most, and %d sat of fees", most, conf.L402.MaxFeeSats))
	}
	if conf.L402.MaxFeeSats > largeCost {
		found = append(found, warn("lower max_fee_sats in "+path, "lnget may pay up to %d sat of fees for one payment", conf.L402.MaxFeeSats))
	}
	return found
}
