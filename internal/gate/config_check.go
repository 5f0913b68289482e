package gate

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/leydenln/leyden/l402/l402http"
)

// complete fills in the defaults, makes paths absolute and checks what one
// value alone does not show.
func (c *Config) complete(dir string) error {
	defaults := []struct {
		value *string
		def   string
	}{
		{&c.ListenAddr, "localhost:8081"},
		{&c.BaseDir, dir},
		{(*string)(&c.Authenticator.Network), "mainnet"},
		{&c.Authenticator.LndHost, "localhost:10009"},
	}
	for _, d := range defaults {
		if *d.value == "" {
			*d.value = d.def
		}
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = duration(2 * time.Minute)
	}
	if c.Challenges.Expiry == 0 {
		c.Challenges.Expiry = duration(l402http.DefaultInvoiceExpiry)
	}
	if c.Challenges.MaxOpen == 0 {
		c.Challenges.MaxOpen = l402http.DefaultMaxOpen
	}
	if err := c.completePaths(); err != nil {
		return err
	}
	return c.check()
}

func (c *Config) completePaths() error {
	if c.SQLite.DBFile == "" {
		c.SQLite.DBFile = c.SQLite.DatabaseFileName
	} else if c.SQLite.DatabaseFileName != "" && c.SQLite.DatabaseFileName != c.SQLite.DBFile {
		return fmt.Errorf("sqlite.dbfile and sqlite.databasefilename differ: keep one")
	}
	paths := []*string{&c.BaseDir, &c.TLSCertPath, &c.TLSKeyPath, &c.StaticRoot, &c.SQLite.DBFile,
		&c.Authenticator.TLSPath, &c.Authenticator.MacDir}
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
		return fmt.Errorf("listenaddr %q: %w", c.ListenAddr, err)
	}
	switch {
	case (c.TLSCertPath == "") != (c.TLSKeyPath == ""):
		return fmt.Errorf("tlscertpath and tlskeypath go together")
	case c.Insecure && c.TLSCertPath != "":
		return fmt.Errorf("insecure: true and tlscertpath exclude each other")
	case c.ServeStatic && c.StaticRoot == "":
		return fmt.Errorf("servestatic needs staticroot")
	case c.Challenges.Expiry < duration(time.Second) || c.Challenges.Expiry > duration(365*24*time.Hour):
		return fmt.Errorf("challenges.expiry %v: want 1s to 8760h", time.Duration(c.Challenges.Expiry))
	}
	if err := c.Authenticator.check(); err != nil {
		return err
	}
	if len(c.Services) == 0 && !c.ServeStatic {
		return fmt.Errorf("no services: there is nothing to sell")
	}
	names := map[serviceName]bool{}
	for i, s := range c.Services {
		if s == nil || s.Name == "" {
			return fmt.Errorf("service %d has no name", i+1)
		}
		if names[s.Name] {
			return fmt.Errorf("service %q is there twice: tokens of one would open the other", s.Name)
		}
		names[s.Name] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("service %q: %w", s.Name, err)
		}
	}
	return nil
}

func (a *Authenticator) check() error {
	switch {
	case a.Disable:
		return nil
	case a.TLSPath == "":
		return fmt.Errorf("authenticator.tlspath is missing: the node's tls.cert")
	case a.MacDir == "":
		return fmt.Errorf("authenticator.macdir is missing: the folder with the node's invoice.macaroon")
	}
	if err := checkHostPort(a.LndHost, false); err != nil {
		return fmt.Errorf("authenticator.lndhost %q: %w", a.LndHost, err)
	}
	return nil
}

func (s *Service) check() error {
	if s.Price == 0 {
		s.Price = 1
	}
	if s.Protocol == "" {
		s.Protocol = "http"
	}
	if s.Address == "" {
		return fmt.Errorf("address is missing: the backend's host:port")
	}
	if err := checkHostPort(s.Address, false); err != nil {
		return fmt.Errorf("address %q: %w", s.Address, err)
	}
	if s.TLSCertPath != "" && s.Protocol != "https" {
		return fmt.Errorf("tlscertpath needs protocol: https")
	}
	for name := range s.Headers {
		if !validHeaderName(name) {
			return fmt.Errorf("headers: %q is no header name", name)
		}
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
