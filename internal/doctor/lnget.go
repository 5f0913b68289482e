package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
)

// largeCost is a bound of one purchase, in sat, beyond which it hardly bounds
// anything.
const largeCost = 100_000

// lngetConfig reads lnget's configuration; path is empty where there is no file.
// Where is is false there is no lnget here, or its configuration cannot be read.
func (e *Env) lngetConfig() (conf fetch.Config, path string, is bool) {
	path = e.lngetFile()
	if !has(path) {
		return conf, "", has(e.Lnget)
	}
	conf, err := e.loadLnget()
	return conf, path, err == nil
}

func (e *Env) lngetFile() string { return filepath.Join(e.Lnget, "config.yaml") }

// maxConfig is the largest configuration that is read, in bytes.
const maxConfig = 1 << 20

// loadLnget reads lnget's configuration. It is the agent's to write, so what is no
// plain file is not read: a pipe would hold us up.
func (e *Env) loadLnget() (fetch.Config, error) {
	path := e.lngetFile()
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > maxConfig) {
		return fetch.Config{}, fault.New("bad_config", "rm "+path, "%s is no configuration", path)
	}
	conf, err := fetch.LoadConfig(path, e.lookup)
	if err == nil && e.Environ == nil {
		e.asWritten(path, &conf)
	}
	return conf, err
}

// asWritten corrects the paths of another user's configuration, whose ~ is not ours.
func (e *Env) asWritten(path string, conf *fetch.Config) {
	var written struct {
		LN struct {
			LND struct {
				Macaroon string `yaml:"macaroon"`
				TLSCert  string `yaml:"tls_cert"`
			} `yaml:"lnd"`
		} `yaml:"ln"`
	}
	data, err := os.ReadFile(path)
	if err != nil || yaml.Unmarshal(data, &written) != nil {
		return
	}
	ours, err := os.UserHomeDir()
	if err != nil {
		return
	}
	for _, of := range []struct {
		written string
		read    *string
	}{{written.LN.LND.Macaroon, &conf.LN.LND.Macaroon}, {written.LN.LND.TLSCert, &conf.LN.LND.TLSCert}} {
		if rest, is := strings.CutPrefix(*of.read, ours+string(filepath.Separator)); is && !filepath.IsAbs(of.written) {
			*of.read = filepath.Join(filepath.Dir(e.Lnget), rest)
		}
	}
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
	path := e.lngetFile()
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asAgent(), "cannot look at lnget's configuration, %s", path)}
	case !has(e.Lnget):
		return nil
	case err != nil:
		return []Finding{info("lnget config init", "lnget has no configuration: it uses the defaults, %d sat for one purchase at most", fetch.Default().L402.MaxCostSats)}
	}
	conf, err := e.loadLnget()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asAgent(), "cannot read lnget's configuration, %s", path)}
	case err != nil:
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
