package gate

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leydenln/leyden/l402/l402http"
)

// complete fills in the defaults, makes paths absolute and checks what one
// value alone does not show.
func (c *Config) complete(dir string) error {
	setDefault(&c.ListenAddr, "localhost:8081")
	setDefault(&c.BaseDir, dir)
	setDefault(&c.Authenticator.Network, "mainnet")
	if c.Authenticator.LndHost == "" && c.Authenticator.Passphrase == "" {
		c.Authenticator.LndHost = "localhost:10009"
	}
	setDefault(&c.Prometheus.ListenAddr, "localhost:9000")
	setDefault(&c.IdleTimeout, duration(2*time.Minute))
	setDefault(&c.Challenges.Expiry, duration(l402http.DefaultInvoiceExpiry))
	setDefault(&c.Challenges.MaxOpen, l402http.DefaultMaxOpen)
	setDefault(&c.Limits.MaxConnections, 10_000)
	setDefault(&c.Limits.MaxHeaderBytes, 32<<10)
	setDefault(&c.Limits.HeaderTimeout, duration(10*time.Second))
	setDefault(&c.Limits.BodyTimeout, duration(30*time.Second))
	if err := c.completePaths(); err != nil {
		return err
	}
	return c.check()
}

// setDefault fills in what the file does not say.
func setDefault[T comparable](value *T, def T) {
	if *value == *new(T) {
		*value = def
	}
}

func (c *Config) completePaths() error {
	if c.SQLite.DBFile == "" {
		c.SQLite.DBFile = c.SQLite.DatabaseFileName
	} else if c.SQLite.DatabaseFileName != "" && c.SQLite.DatabaseFileName != c.SQLite.DBFile {
		return at("sqlite.databasefilename", "and sqlite.dbfile differ: keep one")
	}
	paths := []*string{&c.BaseDir, &c.TLSCertPath, &c.TLSKeyPath, &c.AutoCertRoot, &c.StaticRoot, &c.SQLite.DBFile,
		&c.Authenticator.TLSPath, &c.Authenticator.MacDir}
	if c.AccessLog != "-" {
		paths = append(paths, &c.AccessLog)
	}
	for _, s := range c.Services {
		if s != nil {
			paths = append(paths, &s.TLSCertPath)
		}
	}
	for _, p := range paths {
		full, err := c.expand(*p)
		if err != nil {
			return err
		}
		*p = full
	}
	if c.SQLite.DBFile == "" {
		c.SQLite.DBFile = filepath.Join(c.BaseDir, "gate.db")
	}
	return nil
}

func (c *Config) check() error {
	if err := checkHostPort(c.ListenAddr, true); err != nil {
		return at("listenaddr", "%q: %v", c.ListenAddr, err)
	}
	switch {
	case c.TLSCertPath == "" && c.TLSKeyPath != "":
		return at("tlskeypath", "and tlscertpath go together")
	case c.TLSCertPath != "" && c.TLSKeyPath == "":
		return at("tlscertpath", "and tlskeypath go together")
	case c.Insecure && c.TLSCertPath != "":
		return at("tlscertpath", "and insecure: true exclude each other")
	case c.ServeStatic && c.StaticRoot == "":
		return at("servestatic", "needs staticroot")
	case c.ServeStatic && c.holdsSecrets(c.StaticRoot):
		return at("staticroot", "%q holds files of the gate that are nobody's business, its keys above all: want a folder of its own",
			c.StaticRoot)
	case c.Challenges.Expiry < duration(time.Second) || c.Challenges.Expiry > duration(365*24*time.Hour):
		return at("challenges.expiry", "%v: want 1s to 8760h", time.Duration(c.Challenges.Expiry))
	case c.Limits.MaxHeaderBytes < 1<<10 || c.Limits.MaxHeaderBytes > 16<<20:
		return at("limits.maxheaderbytes", "%d: want 1KiB to 16MiB", c.Limits.MaxHeaderBytes)
	}
	if err := c.checkAutoCert(); err != nil {
		return err
	}
	if err := checkLoopback(c.Prometheus.ListenAddr); err != nil {
		return at("prometheus.listenaddr", "%q: %v", c.Prometheus.ListenAddr, err)
	}
	if err := c.Authenticator.check(); err != nil {
		return err
	}
	if err := c.HashMail.check(); err != nil {
		return err
	}
	if err := checkRateLimits(c.RateLimits); err != nil {
		return err
	}
	return c.checkServices()
}

// holdsSecrets reports whether what the gate keeps for itself is in a folder.
func (c *Config) holdsSecrets(folder string) bool {
	file, err := c.expand(filepath.Base(c.path))
	own := []string{file, c.BaseDir, c.SQLite.DBFile, c.TLSKeyPath, c.Authenticator.MacDir}
	return err != nil || slices.ContainsFunc(own, func(path string) bool {
		way, err := filepath.Rel(folder, path)
		return path != "" && (err != nil || filepath.IsLocal(way))
	})
}

func (c *Config) checkAutoCert() error {
	if !c.AutoCert {
		for key, value := range map[string]string{
			"autocertemail": c.AutoCertEmail, "autocertca": c.AutoCertCA, "autocertroot": c.AutoCertRoot} {
			if value != "" {
				return at(key, "needs autocert: true")
			}
		}
		return nil
	}
	directory, err := url.Parse(c.AutoCertCA)
	switch {
	case c.Insecure:
		return at("autocert", "and insecure: true exclude each other")
	case c.TLSCertPath != "":
		return at("autocert", "and tlscertpath exclude each other")
	case c.ServerName == "":
		return at("autocert", "needs servername: the name to get a certificate for")
	case net.ParseIP(c.ServerName) != nil || !validDomain(c.ServerName):
		return at("servername", "%q: want a DNS name of at least two labels, for autocert", c.ServerName)
	case c.AutoCertCA != "" && (err != nil || directory.Scheme != "https" || directory.Host == ""):
		return at("autocertca", "%q: want the https URL of an ACME directory", c.AutoCertCA)
	case c.AutoCertEmail != "" && !strings.Contains(c.AutoCertEmail, "@"):
		return at("autocertemail", "%q: want an e-mail address", c.AutoCertEmail)
	}
	return nil
}

func (a *Authenticator) check() error {
	switch {
	case a.MPPRealm != "" && !a.EnableMPP:
		return at("authenticator.mpprealm", "needs enablempp: true")
	case strings.ContainsFunc(a.MPPRealm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }):
		return at("authenticator.mpprealm", "%q: want plain text without quotes", a.MPPRealm)
	case a.Disable:
		return nil
	case a.Passphrase != "":
		return a.checkSession()
	case a.MailboxAddress != "":
		return at("authenticator.mailboxaddress", "needs passphrase: the ten words of the node's session")
	case a.DevServer:
		return at("authenticator.devserver", "needs passphrase: it is for the relay of a session")
	case a.TLSPath == "":
		return at("authenticator.tlspath", "is missing: the node's tls.cert")
	case a.MacDir == "":
		return at("authenticator.macdir", "is missing: the folder with the node's invoice.macaroon")
	}
	if err := checkHostPort(a.LndHost, false); err != nil {
		return at("authenticator.lndhost", "%q: %v", a.LndHost, err)
	}
	return nil
}

func checkRateLimits(limits []RateLimit) error {
	for i := range limits {
		l := &limits[i]
		key := "ratelimits." + strconv.Itoa(i)
		switch {
		case l.Requests == 0:
			return &keyError{key + ".requests", "ratelimits.requests is missing: how many requests a client may make"}
		case l.Per == 0:
			return &keyError{key + ".per", "ratelimits.per is missing: in what time, such as 1s"}
		}
		setDefault(&l.Burst, l.Requests)
	}
	return nil
}

// checkHostPort wants host:port; the host may be left out of an address to
// listen on.
func checkHostPort(addr string, listen bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" && !listen {
		return fmt.Errorf("want host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !listen {
		return fmt.Errorf("port %q: want a number from 1 to 65535", port)
	}
	return nil
}

// checkLoopback wants host:port of this machine alone.
func checkLoopback(addr string) error {
	if err := checkHostPort(addr, true); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return errors.New("want an address of the loopback, such as localhost:9000")
	}
	return nil
}

// validDomain reports whether a name can be in a certificate of a public
// authority: labels of letters, digits and hyphens, at least two.
func validDomain(name string) bool {
	labels := strings.Split(name, ".")
	return len(labels) >= 2 && len(name) <= 253 && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool {
				return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
			})
	})
}

// validHeaderName reports whether name is a token of RFC 9110 section 5.1.
func validHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != ""
}
