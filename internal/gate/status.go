package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/gatedb"
)

// Status is what `leyden gate status` says.
type Status struct {
	Running bool       `json:"running"`
	PID     int        `json:"pid,omitempty"`
	Since   *time.Time `json:"since,omitempty"`

	// Listen is the address listened on, or to be; URL how to reach it.
	Listen string `json:"listen"`
	URL    string `json:"url"`
	Config string `json:"config"`

	Services []ServiceStatus `json:"services"`

	// HashMail: the relay of Lightning Node Connect is served, too.
	HashMail bool `json:"hashmail"`

	OpenInvoices int64  `json:"open_invoices"`
	Settled      int64  `json:"settled"`
	ReceivedMsat uint64 `json:"received_msat"`

	Node NodeStatus `json:"node"`

	// Health is what a gate that runs says of itself.
	Health *Health `json:"health,omitempty"`

	// Certificate is what a gate that runs serves; nil for plain HTTP.
	Certificate *CertificateStatus `json:"certificate,omitempty"`
}

// ServiceStatus is a service as configured.
type ServiceStatus struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	PriceSat int64  `json:"price_sat"` // 0: free
}

// NodeStatus says whether the node that is paid answers.
type NodeStatus struct {
	Host      string `json:"host,omitempty"`
	Network   string `json:"network,omitempty"`
	Reachable bool   `json:"reachable"`

	// Error and Code say why not.
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

// found is a gate's configuration, or the gate that runs by it.
type found struct {
	cfg     *Config // nil when it runs: the file may have been changed since
	record  running // of the gate that runs, if one does
	on      bool    // a gate runs
	running bool    // by this configuration
}

// findGate finds the gate that runs, or the configuration one would run with.
func findGate(home config.Home, configFlag string) (found, error) {
	record, on, err := readRecord(home)
	if err != nil {
		return found{}, err
	}
	if on && configFlag == "" {
		return found{nil, record, true, true}, nil
	}
	path, err := Find(configFlag, home.Gate())
	if err != nil {
		return found{}, err
	}
	if on && sameFile(record.Config, path) {
		return found{nil, record, true, true}, nil
	}
	cfg, err := Load(path, home.Gate())
	return found{cfg, record, on, false}, err
}

func sameFile(a, b string) bool {
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return a == b || errOne == nil && errOther == nil && os.SameFile(one, other)
}

// database is the file of the records.
func (f found) database() string {
	if f.running {
		return f.record.DBFile
	}
	return f.cfg.SQLite.DBFile
}

// ReadStatus asks the running gate, or looks at the configuration, the records
// and the node. It changes nothing.
func ReadStatus(ctx context.Context, home config.Home, configFlag string) (Status, error) {
	var s Status
	f, err := findGate(home, configFlag)
	if err != nil {
		return s, err
	}
	if f.running {
		err := callControl(ctx, home, controlStatus, &s)
		s.runs(f.record)
		return s, err
	}
	s = describe(f.cfg)
	if f.on {
		s.runs(f.record)
	}
	if err := s.readTotals(ctx, f.database()); err != nil {
		return s, err
	}
	s.probe(ctx, f.cfg)
	return s, nil
}

// probe asks the node whether it answers.
func (s *Status) probe(ctx context.Context, cfg *Config) {
	if !cfg.Authenticator.Disable {
		s.Node.set(cfg.probeNode(ctx))
	}
}

// statusNow is what ReadStatus says of a gate that runs.
func (g *Gate) statusNow(ctx context.Context) (Status, error) {
	cfg := g.now.Load().cfg
	s, health := describe(cfg), g.health()
	s.Certificate, s.Health = g.now.Load().certificate(), &health
	totals, err := g.db.Totals(ctx)
	s.set(totals)
	if g.link != nil && g.link.Ready() != nil {
		s.Node.set(g.link.Ready()) // that no token is sold counts, whatever the node answers
		return s, err
	}
	if g.link != nil && cfg.Authenticator.Passphrase != "" { // whose one connection the gate has
		s.Node.set(g.link.probe(ctx))
		return s, err
	}
	s.probe(ctx, cfg)
	return s, err
}

// describe is what the configuration says.
func describe(cfg *Config) Status {
	s := Status{Listen: cfg.ListenAddr, URL: cfg.url(cfg.ListenAddr), Config: cfg.path, HashMail: cfg.HashMail.Enabled}
	if !cfg.Authenticator.Disable {
		s.Node = NodeStatus{Host: cmp.Or(cfg.Authenticator.LndHost, cfg.Authenticator.MailboxAddress), Network: string(cfg.Authenticator.Network)}
	}
	for _, service := range cfg.Services {
		s.Services = append(s.Services, ServiceStatus{string(service.Name), service.Address, cfg.charged(service)})
	}
	return s
}

func (c *Config) url(listen string) string {
	if c.Insecure {
		return "http://" + dialable(listen)
	}
	return "https://" + dialable(listen)
}

// dialable turns an address listened on into one to connect to.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// runs adds what the running gate wrote down.
func (s *Status) runs(r running) {
	s.Running, s.PID, s.Since = true, r.PID, &r.Started
	s.URL = strings.TrimSuffix(s.URL, dialable(s.Listen)) + dialable(r.Listen)
	s.Listen = r.Listen
}

// status is the same as ReadStatus gives, from what the gate knows already.
func (g *Gate) status(ctx context.Context, r running) (Status, error) {
	s := describe(g.now.Load().cfg)
	s.runs(r)
	if g.link != nil {
		s.Node.set(g.link.Ready())
	}
	s.Certificate = g.live().Certificate
	totals, err := g.db.Totals(ctx)
	s.set(totals)
	return s, err
}

// readRecord returns what the running gate wrote, and whether one runs.
func readRecord(home config.Home) (running, bool, error) {
	var r running
	pid, on := daemon.Running(pidFile(home))
	if !on {
		return r, false, nil
	}
	text, err := os.ReadFile(recordFile(home))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && r.PID != pid {
		return r, false, nil // it is starting, or left by one that was killed
	}
	if err != nil {
		return r, false, fault.New("no_status", "leyden gate stop", "status of the gate in %q: %w", recordFile(home), err)
	}
	return r, true, nil
}

// readTotals counts the transactions; there are none before the first start.
func (s *Status) readTotals(ctx context.Context, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := gatedb.Open(ctx, path)
	if err != nil {
		return err
	}
	totals, err := db.Totals(ctx)
	s.set(totals)
	return errors.Join(err, db.Close())
}

func (s *Status) set(t gatedb.Totals) {
	s.OpenInvoices, s.Settled, s.ReceivedMsat = t.Open, t.Settled, uint64(t.Received)
}

// probeNode asks the node as the gate does.
func (c *Config) probeNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if c.Authenticator.Passphrase != "" {
		if err := c.checkPaired(); err != nil {
			return err
		}
	}
	l := &link{dial: c.dialNode}
	return errors.Join(l.probe(ctx), l.close())
}

func (n *NodeStatus) set(err error) {
	n.Reachable = err == nil
	if err != nil {
		n.Error, n.Code = err.Error(), fault.Code(err)
	}
}
