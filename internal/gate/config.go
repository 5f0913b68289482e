package gate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
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

	// ServerName is the DNS name that a self-signed certificate is for,
	// beside localhost. Default none.
	ServerName string `yaml:"servername"`

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

	// Authenticator is the node that is paid.
	Authenticator Authenticator `yaml:"authenticator"`

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

	path string // of the file, "" for none
}

// Authenticator says which node is paid, and how it is reached.
type Authenticator struct {
	// Network is mainnet, testnet, testnet4, signet, regtest or simnet.
	// Default mainnet.
	Network network `yaml:"network"`

	// LndHost is the node's gRPC address. Default localhost:10009.
	LndHost string `yaml:"lndhost"`

	// TLSPath is the node's certificate. Needed.
	TLSPath string `yaml:"tlspath"`

	// MacDir is the folder with the node's invoice.macaroon. Needed.
	MacDir string `yaml:"macdir"`

	// Disable asks nobody for money: every service is free. Default false.
	Disable bool `yaml:"disable"`

	laterAuthenticator `yaml:",inline"`
}

// Challenges bounds what is asked for and not paid. aperture has no such keys.
type Challenges struct {
	// MaxOpen is the most unpaid invoices on the node. Default 1000.
	MaxOpen positive `yaml:"maxopen"`

	// Expiry is how long an invoice may be paid. Default 1h.
	Expiry duration `yaml:"expiry"`

	// SameAddress gives an unpaid challenge again to whoever comes from the
	// same address and names itself by nothing else. Default false: two
	// buyers behind one address would see each other's token, and whoever
	// learns the preimage while forwarding the payment could use it.
	SameAddress bool `yaml:"sameaddress"`
}

// SQLite says where the database is.
type SQLite struct {
	// DBFile is the file. Default gate.db in the gate's folder.
	DBFile string `yaml:"dbfile"`

	// DatabaseFileName is another name for DBFile.
	DatabaseFileName string `yaml:"databasefilename"`

	SkipMigrations laterKey `yaml:"skipmigrations"`
}

// Service is one backend and what it costs.
type Service struct {
	// Name is what a token of this service names. Needed, different for
	// each service.
	Name serviceName `yaml:"name"`

	// HostRegexp is matched against the Host header, in lower case. Default:
	// every host.
	HostRegexp pattern `yaml:"hostregexp"`

	// PathRegexp is matched against the decoded path. Default: every path.
	PathRegexp pattern `yaml:"pathregexp"`

	// Address is the backend, host:port. Needed.
	Address string `yaml:"address"`

	// Protocol is http or https. Default http.
	Protocol protocol `yaml:"protocol"`

	// TLSCertPath is the certificate that an https backend is trusted by,
	// alone. Default: the system's authorities.
	TLSCertPath string `yaml:"tlscertpath"`

	// Auth is on or off. Default on; off: free.
	Auth authLevel `yaml:"auth"`

	// Price is what one token costs, in sat. Default 1, also for 0.
	Price price `yaml:"price"`

	// Timeout is how many seconds a token is good. Default 0: for ever.
	Timeout seconds `yaml:"timeout"`

	// AuthWhitelistPaths are free of charge.
	AuthWhitelistPaths []pattern `yaml:"authwhitelistpaths"`

	// Headers are set on every request to the backend. A value
	// "!file+hex:PATH" or "!file+base64:PATH" is the file's content.
	Headers map[string]string `yaml:"headers"`

	laterService `yaml:",inline"`
}

// Load reads and checks a configuration file and fills in the defaults. dir is
// the gate's folder unless the file says another. Errors: bad_config with file
// and line.
func Load(path, dir string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(CodeBadConfig, "leyden gate init", "read configuration: %w", err)
	}
	return Parse(path, data, dir)
}

// Parse is Load for bytes already read.
func Parse(path string, data []byte, dir string) (*Config, error) {
	c := &Config{path: path}
	if err := config.ParseStrictYAML(path, data, c); err != nil {
		return nil, err
	}
	if err := c.refuseLater(); err != nil {
		return nil, fault.New(CodeBadConfig, "remove the key, or set it to its default", "%s: %w", path, err)
	}
	if err := c.complete(dir); err != nil {
		return nil, fault.New(CodeBadConfig, "leyden gate init writes an example", "%s: %w", path, err)
	}
	return c, nil
}

// Path returns the file the configuration came from.
func (c *Config) Path() string { return c.path }

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
