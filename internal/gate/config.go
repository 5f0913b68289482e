package gate

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// CodeBadConfig is the code of a mistake in gate.yaml.
const CodeBadConfig = "bad_config"

// Config is gate.yaml. It reads what aperture.yaml says in the same words.
// Paths may begin with ~ or be relative to the file's folder.
type Config struct {
	// ListenAddr is where buyers connect, host:port. Default
	// "localhost:8081".
	ListenAddr string `yaml:"listenaddr"`

	// Insecure serves plain HTTP. Default false: TLS.
	Insecure bool `yaml:"insecure"`

	// TLSCertPath and TLSKeyPath are the certificate chain and key to serve
	// with, PEM. Default: tls.cert and tls.key in the gate's folder, made
	// there, self-signed, when they are missing.
	TLSCertPath string `yaml:"tlscertpath"`
	TLSKeyPath  string `yaml:"tlskeypath"`

	// ServerName is the DNS name that buyers connect to: what a self-signed
	// certificate is for, beside localhost. Default none; autocert needs it.
	ServerName string `yaml:"servername"`

	// AutoCert gets the certificate for ServerName from an authority, by ACME
	// (RFC 8555), and renews it. Default false.
	AutoCert bool `yaml:"autocert"`

	// AutoCertEmail is what the authority may write to. Default none.
	AutoCertEmail string `yaml:"autocertemail"`

	// AutoCertCA is the authority's directory, an https URL. Default Let's
	// Encrypt.
	AutoCertCA string `yaml:"autocertca"`

	// AutoCertRoot is a PEM file by which the authority's own server is
	// trusted, alone. Default: the system's authorities.
	AutoCertRoot string `yaml:"autocertroot"`

	// DebugLevel is trace, debug, info, warn, error, critical or off.
	// Default info.
	DebugLevel logLevel `yaml:"debuglevel"`

	// BaseDir is the gate's folder: keys, certificate, database. Default
	// the folder gate in Leyden's home.
	BaseDir string `yaml:"basedir"`

	// IdleTimeout closes a connection that has no request. Default 2m.
	IdleTimeout duration `yaml:"idletimeout"`

	// ReadTimeout is how long a request may take to arrive, its body
	// included. Default 0: as long as it takes (headers: 10s).
	ReadTimeout duration `yaml:"readtimeout"`

	// WriteTimeout is how long an answer may take. Default 0: as long as it
	// takes, so that streams work.
	WriteTimeout duration `yaml:"writetimeout"`

	// Limits bounds what one client can hold.
	Limits Limits `yaml:"limits"`

	// BlockList are addresses and networks (CIDR) that get nothing. Default
	// none.
	BlockList prefixes `yaml:"blocklist"`

	// TrustedProxies are addresses and networks (CIDR) whose X-Forwarded-For
	// is believed. Default none: the peer is the client.
	TrustedProxies prefixes `yaml:"trustedproxies"`

	// RateLimits hold for every service, beside the service's own.
	RateLimits []RateLimit `yaml:"ratelimits"`

	// Shadow charges nobody and logs what would have been charged, for every
	// service. Default false.
	Shadow bool `yaml:"shadow"`

	// AccessLog is the file that gets a line for each request; "-" is standard
	// error. Default none.
	AccessLog string `yaml:"accesslog"`

	// Prometheus serves figures.
	Prometheus Prometheus `yaml:"prometheus"`

	// Authenticator is the node that is paid.
	Authenticator Authenticator `yaml:"authenticator"`

	// HashMail is a relay of Lightning Node Connect.
	HashMail HashMail `yaml:"hashmail"`

	// Challenges bounds what is asked for and not paid.
	Challenges Challenges `yaml:"challenges"`

	// DBBackend is sqlite, the only one. Default sqlite.
	DBBackend onlyValue `yaml:"dbbackend"`

	// SQLite is the database.
	SQLite SQLite `yaml:"sqlite"`

	// ServeStatic serves the files under StaticRoot, for free, to requests
	// that are for no service. Default false.
	ServeStatic bool   `yaml:"servestatic"`
	StaticRoot  string `yaml:"staticroot"`

	// Services are tried in their order; the first that matches counts.
	Services []*Service `yaml:"services"`

	later `yaml:",inline"`

	path   string // of the file, "" for none
	dir    string // the gate's folder where the file names none
	places places
}

// Load reads and checks a configuration file and fills in the defaults. dir is
// the gate's folder unless the file says another. Errors: bad_config with file
// and line; insecure_file for one with the words of a session that others can
// read.
func Load(path, dir string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(CodeBadConfig, "leyden gate init", "read configuration: %w", err)
	}
	c, err := Parse(path, data, dir)
	if err == nil && c.Authenticator.Passphrase != "" {
		_, err = files.ReadSecret(path)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Parse is Load for bytes already read.
func Parse(path string, data []byte, dir string) (*Config, error) {
	c := &Config{path: path, dir: dir, places: findPlaces(data)}
	if err := config.ParseStrictYAML(path, data, c); err != nil {
		return nil, c.places.name(err)
	}
	if err := c.refuseLater(); err != nil {
		return nil, fault.New(CodeBadConfig, "remove the key, or set it to its default", "%s: %w", path, err)
	}
	if err := c.complete(dir); err != nil {
		return nil, fault.New(CodeBadConfig, "correct it: docs/gate.md describes every key", "%s: %w", path, c.places.locate(err))
	}
	c.places = places{lines: c.places.lines} // the values may be secrets
	return c, nil
}

// Path returns the file the configuration came from.
func (c *Config) Path() string { return c.path }

// level is how much is logged.
func (c *Config) level() slog.Level {
	if c.DebugLevel.set {
		return c.DebugLevel.level
	}
	return slog.LevelInfo
}

// Find returns the configuration file: the flag's, else gate.yaml in the
// gate's folder, else ~/.aperture/aperture.yaml. Code no_config when there is
// none.
func Find(flag, dir string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	own := filepath.Join(dir, "gate.yaml")
	candidates := []string{own}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, ".aperture", "aperture.yaml"))
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", fault.New(CodeBadConfig, "check its owner and mode", "read configuration: %w", err)
		}
	}
	return "", fault.New("no_config", "leyden gate init", "no configuration: %s does not exist", own)
}

// expand makes a path of the file absolute. Empty stays empty.
func (c *Config) expand(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		home, err := os.UserHomeDir()
		return filepath.Join(home, rest), err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.path), path)
	}
	return filepath.Abs(path)
}
