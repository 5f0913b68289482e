package shop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Buyer runs lnget with a home folder of its own.
type Buyer struct {
	// Home is the HOME of every run, so that nobody's real one is touched.
	Home string

	// Lnget is the program.
	Lnget string

	// Macaroon is the file with what lnget pays with.
	Macaroon string

	// Env are more variables for every run: "LNGET_…=value".
	Env []string
}

type buyerConfig struct {
	LN struct {
		Mode string   `yaml:"mode"`
		LND  buyerLND `yaml:"lnd"`
	} `yaml:"ln"`
}

type buyerLND struct {
	Host     string `yaml:"host"`
	TLSCert  string `yaml:"tls_cert"`
	Macaroon string `yaml:"macaroon"`
	Network  string `yaml:"network"`
}

// NewBuyer makes a buyer in the folder home that pays from the node itself:
// bakes a macaroon that can pay and look up payments, and no more.
func NewBuyer(ctx context.Context, home, lnget string, node *devnet.Node) (*Buyer, error) {
	macaroon := filepath.Join(home, "pay-only.macaroon")
	if err := files.MkdirPrivate(home); err != nil {
		return nil, err
	}
	role, err := bakery.RoleNamed("pay-only")
	if err != nil {
		return nil, err
	}
	if err := node.Bake(ctx, macaroon, role.Needs); err != nil {
		return nil, err
	}
	return NewBuyerWith(home, lnget, node, macaroon)
}

// NewBuyerWith makes a buyer in the folder home that pays with the macaroon in
// the file, an account's for one: writes its ~/.lnget/config.yaml.
func NewBuyerWith(home, lnget string, node *devnet.Node, macaroon string) (*Buyer, error) {
	b := &Buyer{Home: home, Lnget: lnget, Macaroon: macaroon}
	var c buyerConfig
	c.LN.Mode = "lnd"
	c.LN.LND = buyerLND{Host: node.RPC, TLSCert: node.TLSCert, Macaroon: b.Macaroon, Network: chain.Params.Name}
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := files.MkdirPrivate(filepath.Dir(b.configFile())); err != nil {
		return nil, err
	}
	return b, files.Write(b.configFile(), text, 0o600)
}

// configFile is lnget's configuration.
func (b *Buyer) configFile() string { return filepath.Join(b.Home, ".lnget", "config.yaml") }

// Result is what a run of lnget left.
type Result struct {
	Stdout, Stderr string
	Status         int // the exit status
}

// Run runs lnget to its end. Its exit status is no error.
func (b *Buyer) Run(ctx context.Context, args ...string) (Result, error) {
	cmd := b.Command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		err = nil
	}
	if err != nil {
		return Result{}, fault.New("start_failed", "", "run %s: %w", b.Lnget, err)
	}
	return Result{Stdout: out.String(), Stderr: errs.String(), Status: cmd.ProcessState.ExitCode()}, nil
}

// Command is a run of lnget that has not started.
func (b *Buyer) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Lnget, args...)
	cmd.Env = append([]string{"HOME=" + b.Home, "PATH=" + os.Getenv("PATH")}, b.Env...)
	return cmd
}

// FindLnget returns the lnget in the given folder, else the first in PATH.
// Code: lnget_missing.
func FindLnget(beside string) (string, error) {
	if path := filepath.Join(beside, "lnget"); isFile(path) {
		return path, nil
	}
	path, err := exec.LookPath("lnget")
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fault.New("lnget_missing", "make build puts it beside leyden",
			"lnget is neither in %s nor in PATH", beside)
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// listAll asks for lists whole: lnd gives 100 entries unasked.
const listAll = 1_000_000

// Payments counts the payments a node has made that succeeded, and what they
// cost in msat, fees included.
func Payments(ctx context.Context, node *devnet.Node) (count int, msat int64, err error) {
	r, err := node.Lightning().ListPayments(ctx, &lnrpc.ListPaymentsRequest{MaxPayments: listAll})
	if err != nil {
		return 0, 0, fault.New("node_failed", "", "node %s: list payments: %w", node.Name, err)
	}
	for _, p := range r.Payments {
		if p.Status == lnrpc.Payment_SUCCEEDED {
			count++
			msat += p.ValueMsat + p.FeeMsat
		}
	}
	return count, msat, nil
}

// Sales counts the invoices of a node that were paid, and what they brought in
// msat.
func Sales(ctx context.Context, node *devnet.Node) (count int, msat int64, err error) {
	r, err := node.Lightning().ListInvoices(ctx, &lnrpc.ListInvoiceRequest{NumMaxInvoices: listAll})
	if err != nil {
		return 0, 0, fault.New("node_failed", "", "node %s: list invoices: %w", node.Name, err)
	}
	for _, i := range r.Invoices {
		if i.State == lnrpc.Invoice_SETTLED {
			count++
			msat += i.AmtPaidMsat
		}
	}
	return count, msat, nil
}

// String is for messages: the exit status and what was said.
func (r Result) String() string {
	return fmt.Sprintf("exit status %d: %s", r.Status, strings.Join(strings.Fields(r.Stderr+" "+r.Stdout), " "))
}
