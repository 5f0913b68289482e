// Package shop puts a seller and a buyer on a devnet, out of the real
// programs: a `leyden gate` process before a backend, connected to one node,
// and `lnget` runs connected to another. The demo, the tests and the
// benchmarks stand on it. It decides nothing and checks nothing itself.
package shop

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Time that a gate may take to start and to end.
const (
	gateStart = 30 * time.Second
	gateStop  = 30 * time.Second
)

// HealthPath is free at every gate of this package.
const HealthPath = "/health"

// Service is one service of a gate, in the keys of gate.yaml.
type Service struct {
	Name       string   `yaml:"name"`
	HostRegexp string   `yaml:"hostregexp"`
	PathRegexp string   `yaml:"pathregexp"`
	Address    string   `yaml:"address"` // host:port of the backend
	Protocol   string   `yaml:"protocol"`
	Price      int64    `yaml:"price"` // sat
	Free       []string `yaml:"authwhitelistpaths,omitempty"`
}

// GateOptions say what gate to open.
type GateOptions struct {
	// Node sells.
	Node *devnet.Node

	// MacDir is the folder whose invoice.macaroon makes the invoices; empty
	// means the node's own.
	MacDir string

	// Words and Mailbox are a session of the node and its relay, one that
	// certifies itself: the gate knows nothing else of the node. Empty: the
	// gate reaches the node directly.
	Words, Mailbox string

	// Home is the Leyden home that holds the gate's configuration and state;
	// empty means the node's own.
	Home config.Home

	// Leyden is the program.
	Leyden string

	// Services are what is sold, all over plain HTTP from the backend.
	Services []Service

	// TLS serves HTTPS with the gate's own self-signed certificate.
	TLS bool

	// Relay serves a relay of Lightning Node Connect too.
	Relay bool

	// MaxOpen is the most unpaid invoices on the node; 0 means the gate's
	// default.
	MaxOpen int

	// Payment sells by the Payment scheme too.
	Payment bool

	// Metrics is where the gate serves its figures, host:port; empty: nowhere.
	Metrics string
}

// Gate is a `leyden gate` process.
type Gate struct {
	// URL is where it serves, without a path.
	URL string

	opts    GateOptions
	process *owned.Process
}

type gateConfig struct {
	ListenAddr    string        `yaml:"listenaddr"`
	Insecure      bool          `yaml:"insecure"`
	Authenticator authenticator `yaml:"authenticator"`
	Challenges    challenges    `yaml:"challenges,omitempty"`
	Prometheus    prometheus    `yaml:"prometheus,omitempty"`
	HashMail      hashMail      `yaml:"hashmail,omitempty"`
	Services      []Service     `yaml:"services"`
}

type prometheus struct {
	Enabled    bool   `yaml:"enabled,omitempty"`
	ListenAddr string `yaml:"listenaddr,omitempty"`
}

type hashMail struct {
	Enabled bool `yaml:"enabled,omitempty"`
}

type challenges struct {
	MaxOpen int `yaml:"maxopen,omitempty"`
}

type authenticator struct {
	Network   string `yaml:"network"`
	LndHost   string `yaml:"lndhost,omitempty"`
	TLSPath   string `yaml:"tlspath,omitempty"`
	MacDir    string `yaml:"macdir,omitempty"`
	Words     string `yaml:"passphrase,omitempty"`
	Mailbox   string `yaml:"mailboxaddress,omitempty"`
	DevServer bool   `yaml:"devserver,omitempty"`
	Payment   bool   `yaml:"enablempp,omitempty"`
}

// authenticator says how the gate reaches its node.
func (o *GateOptions) authenticator() authenticator {
	a := authenticator{Network: chain.Params.Name, Payment: o.Payment}
	if o.Words != "" {
		a.Words, a.Mailbox, a.DevServer = o.Words, o.Mailbox, true
		return a
	}
	a.LndHost, a.TLSPath = o.Node.RPC, o.Node.TLSCert
	a.MacDir = cmp.Or(o.MacDir, filepath.Dir(o.Node.AdminMacaroon))
	return a
}

// OpenGate writes the configuration and starts the gate. Code: gate_failed.
func OpenGate(ctx context.Context, o GateOptions) (*Gate, error) {
	addr, err := port.Reserve()
	if err != nil {
		return nil, err
	}
	if o.Home == "" {
		o.Home = o.Node.Home()
	}
	g := &Gate{URL: "http://" + addr, opts: o}
	if o.TLS {
		g.URL = "https://" + addr
	}
	if err := g.configure(addr); err != nil {
		return nil, err
	}
	return g, g.Start(ctx)
}

// configFile is the gate's configuration.
func (g *Gate) configFile() string { return filepath.Join(g.opts.Home.Gate(), "gate.yaml") }

// Home is the Leyden home of the gate, for --home.
func (g *Gate) Home() string { return string(g.opts.Home) }

func (g *Gate) logFile() string { return filepath.Join(g.Home(), "gate.log") }

// Log is what the gate has written; empty when that cannot be read.
func (g *Gate) Log() string {
	text, err := os.ReadFile(g.logFile())
	if err != nil {
		return ""
	}
	return string(text)
}

func (g *Gate) configure(addr string) error {
	c := gateConfig{ListenAddr: addr, Insecure: !g.opts.TLS, Authenticator: g.opts.authenticator(),
		Challenges: challenges{MaxOpen: g.opts.MaxOpen},
		HashMail:   hashMail{g.opts.Relay},
		Prometheus: prometheus{Enabled: g.opts.Metrics != "", ListenAddr: g.opts.Metrics}}
	for _, s := range g.opts.Services {
		s.HostRegexp, s.Protocol = ".*", "http"
		c.Services = append(c.Services, s)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := files.MkdirPrivate(g.opts.Home.Gate()); err != nil {
		return err
	}
	return files.Write(g.configFile(), text, 0o600)
}

// Start runs the gate, again after Stop or Kill, and waits until it answers.
// Code: gate_failed.
func (g *Gate) Start(ctx context.Context) error {
	log := g.logFile()
	p, err := owned.Start(owned.Command{
		Path: g.opts.Leyden, Args: []string{"--home", g.Home(), "gate", "start"},
		Env: devnet.Environ(), LogFile: log,
	})
	if err != nil {
		return err
	}
	g.process = p
	ctx, cancel := context.WithTimeout(ctx, gateStart)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // only asked whether it answers
	}}
	err = devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, p.Exit()
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+HealthPath, nil)
		if err != nil {
			return false, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return false, nil
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		return fault.New("gate_failed", "see "+log, "the gate did not start: %w", err)
	}
	return nil
}

// Stop ends the gate in order. Safe to call twice.
func (g *Gate) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateStop)
	defer cancel()
	return g.process.Stop(ctx)
}

// Pid is the id of the gate's process.
func (g *Gate) Pid() int { return g.process.Pid() }

// Running says whether the gate's process lives.
func (g *Gate) Running() bool { return g.process.Running() }

// Kill ends the gate at once.
func (g *Gate) Kill() error { return g.process.Kill() }
