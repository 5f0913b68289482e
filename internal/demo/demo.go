// Package demo shows the whole commerce loop on a private network: three real
// nodes in a row, a seller's service behind `leyden gate`, and `lnget` buying
// from it with an account that has a balance and a daily limit. Every step is
// checked against what the programs print and against what the nodes say was
// paid; the first that does not hold ends the demo. It uses a folder of its own
// and touches nothing else.
package demo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/fault"
)

// Prices in sat. The middle one is more than the agent's daily limit leaves,
// the last more than lnget's own default cap of 1000.
const (
	cheap  = 100
	middle = 300
	dear   = 5000
)

// What the operator gives the agent, in sat.
const (
	allowance  = 2000
	dailyLimit = 350
)

// buyerIndex is the place of the buyer's node in the network.
const buyerIndex = 1

// Paths of the seller's service.
const (
	cheapPath  = "/weather"
	middlePath = "/forecast"
	dearPath   = "/archive"
)

// Options say how to run the demo.
type Options struct {
	// Leyden, Lnget and Btcd are the programs. Empty: our own binary and
	// those beside it.
	Leyden, Lnget, Btcd string

	// OnStep, if not nil, is told of each step when it is done.
	OnStep func(number int, s Step)

	// OnProgress, if not nil, is told what goes on within a step. It must be
	// safe for concurrent use.
	OnProgress func(what string, took time.Duration)
}

// Report is what happened. Times are whole milliseconds.
type Report struct {
	OK      bool   `json:"ok"`
	TotalMS int64  `json:"total_ms"`
	Steps   []Step `json:"steps"`
}

// Step is one step of the demo.
type Step struct {
	Name   string         `json:"name"`
	OK     bool           `json:"ok"`
	MS     int64          `json:"ms"`
	Detail map[string]any `json:"detail"`

	// Words are the detail for people.
	Words string `json:"-"`
}

// Demo is a demo whose steps have run.
type Demo struct {
	// Dir holds everything.
	Dir string

	opts    Options
	network *devnet.Network
	backend *http.Server
	gate    *shop.Gate
	agent   shop.Account
	buyer   *shop.Buyer
	before  balances
}

// New finds the programs and makes the demo's folder. The caller must call
// Stop. Codes: btcd_missing, lnget_missing.
func New(o Options) (*Demo, error) {
	if o.Leyden == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fault.New("start_failed", "", "find our own binary: %w", err)
		}
		o.Leyden = self
	}
	beside := filepath.Dir(o.Leyden)
	var err error
	if o.Lnget == "" {
		if o.Lnget, err = shop.FindLnget(beside); err != nil {
			return nil, err
		}
	}
	if o.Btcd == "" {
		if o.Btcd, err = chain.FindBtcd(beside); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "leyden-demo-")
	if err != nil {
		return nil, fault.New("write_failed", "check TMPDIR", "make a folder: %w", err)
	}
	return &Demo{Dir: dir, opts: o}, nil
}

// Run runs the steps, up to the first that does not hold; its error comes
// back with the report.
func (d *Demo) Run(ctx context.Context) (Report, error) {
	begin := time.Now()
	report := Report{OK: true}
	var err error
	var found outcome
	for i, s := range d.steps() {
		stepBegin := time.Now()
		step := Step{Name: s.name}
		found, err = s.run(ctx)
		step.Detail, step.Words = found.detail, found.words
		step.OK, step.MS = err == nil, time.Since(stepBegin).Milliseconds()
		if step.Detail == nil {
			step.Detail = map[string]any{}
		}
		if err != nil {
			step.Detail["error"] = err.Error()
			report.OK = false
		}
		report.Steps = append(report.Steps, step)
		if d.opts.OnStep != nil {
			d.opts.OnStep(i+1, step)
		}
		if err != nil {
			break
		}
	}
	report.TotalMS = time.Since(begin).Milliseconds()
	return report, err
}

// Stop ends everything in order. keep leaves the folder for a look at the
// logs.
func (d *Demo) Stop(ctx context.Context, keep bool) error {
	var errs []error
	if d.gate != nil {
		errs = append(errs, d.gate.Stop(ctx))
	}
	if d.backend != nil {
		errs = append(errs, d.backend.Close())
	}
	if d.network != nil {
		errs = append(errs, d.network.Stop(ctx))
	}
	if !keep {
		errs = append(errs, os.RemoveAll(d.Dir))
	}
	return errors.Join(errs...)
}

// Done is closed when the network has broken under a demo that stays up.
func (d *Demo) Done() <-chan struct{} { return d.network.Done() }

func (d *Demo) home() config.Home { return config.Home(d.Dir) }

// The buyer's and the seller's node each have a channel with the one between
// them, which takes a fee for what it forwards.
func (d *Demo) middleNode() *devnet.Node { return d.network.Nodes[0] }
func (d *Demo) buyerNode() *devnet.Node  { return d.network.Nodes[buyerIndex] }
func (d *Demo) sellerNode() *devnet.Node { return d.network.Nodes[2] }

// serveBackend is the seller's service: it knows nothing of payments.
func (d *Demo) serveBackend() (addr string, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fault.New("start_failed", "", "the seller's service: %w", err)
	}
	mux := http.NewServeMux()
	for path, body := range bodies {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body)) // the client has gone
		})
	}
	d.backend = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.backend.Serve(l) }() // ends with Close
	return l.Addr().String(), nil
}

// bodies are what the service answers.
var bodies = map[string]string{
	shop.HealthPath: `{"status":"open"}` + "\n",
	cheapPath:       `{"city":"Leiden","sky":"lightning","celsius":11}` + "\n",
	middlePath:      `{"city":"Leiden","tomorrow":"sun"}` + "\n",
	dearPath:        `{"years":275}` + "\n",
}
