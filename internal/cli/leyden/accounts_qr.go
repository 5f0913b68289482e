package leyden

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func accountsQRCmd(app *App, t *target) *cobra.Command {
	var w who
	var q qrOptions
	cmd := &cobra.Command{
		Use:   "qr ID|LABEL",
		Short: "Show a QR code that connects a wallet to an account",
		Long: `Shows an lndconnect address as a QR code, for Zeus and other wallets: the node's
address, its certificate, and a macaroon of the account (a new one, or the one in
--macaroon FILE). Whoever sees it can spend the account's money.

The wallet must be able to reach the address: give --host a name or address of
this machine that the node listens on. Zeus speaks REST (port 8080), others, such
as BitBanana, speak gRPC (port 10009) and want a certificate that names the host.`,
		Example: `  leyden accounts qr agent --host 192.168.1.20:8080
  leyden accounts qr --macaroon agent.macaroon --host node.example.com:10009 --png agent.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := q.address(app, t)
			if err != nil {
				return err
			}
			if err := writable(q.png); err != nil {
				return err
			}
			credential, err := q.credential(cmd, app, t, &w, args)
			if err != nil {
				return err
			}
			return q.show(app, address+base64.RawURLEncoding.EncodeToString(credential))
		},
	}
	w.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.macaroon, "macaroon", "", "connect with the macaroon in this file")
	f.StringVar(&q.host, "host", "", "address that the wallet connects to, host:port (default: where the node serves REST, or else gRPC)")
	f.StringVar(&q.png, "png", "", "write the code as a PNG image to this file, mode 0600")
	f.BoolVar(&q.noCert, "no_cert", false, "leave the certificate out: a public authority has signed the one at that address")
	return cmd
}

type qrOptions struct {
	macaroon, host, png string
	noCert              bool
}

// credential reads the macaroon file, or asks the node for a new macaroon.
func (q *qrOptions) credential(cmd *cobra.Command, app *App, t *target, w *who, args []string) (raw []byte, err error) {
	if q.macaroon != "" {
		if len(args) > 0 || *w != (who{}) {
			return nil, voice.UsageError(cmd, fmt.Errorf("give an account or --macaroon, not both"))
		}
		raw, err := os.ReadFile(q.macaroon)
		if err != nil {
			return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "read the macaroon: %w", err)
		}
		if _, err := macaroon.Parse(raw); err != nil {
			return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "%q: %w", q.macaroon, err)
		}
		return raw, nil
	}
	name, err := w.only(cmd, args)
	if err != nil {
		return nil, err
	}
	err = app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
		got, err := c.Accounts.Issue(ctx, &leydenv1.AccountRequest{Account: name})
		if err == nil {
			raw = got.Macaroon
		}
		return err
	})
	return raw, err
}

// address is lndconnect://host:port?cert=…&macaroon= without the macaroon; it
// and the certificate are base64url without padding (lndconnect,
// lnd_connect_uri.md). Zeus looks for "&macaroon=", so that stands there without
// a certificate as well; to other readers it is an empty parameter.
func (q *qrOptions) address(app *App, t *target) (string, error) {
	host, err := q.reachable(app)
	if err != nil {
		return "", err
	}
	cert := ""
	if !q.noCert {
		path := t.CertPath
		if path == "" {
			path = app.serving().TLSCert
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fault.New("bad_certificate", "check the path to tls.cert", "read the node's certificate: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return "", fault.New("bad_certificate", "copy the node's tls.cert again", "%q holds no PEM certificate", path)
		}
		cert = "cert=" + base64.RawURLEncoding.EncodeToString(block.Bytes)
	}
	return "lndconnect://" + host + "?" + cert + "&macaroon=", nil
}

// reachable is --host, or where the node serves: REST, which Zeus wants, or
// else gRPC.
func (q *qrOptions) reachable(app *App) (string, error) {
	if q.host == "" {
		running := app.serving()
		if running.err != nil {
			return "", running.err
		}
		for _, served := range [][]string{running.REST, running.RPC} {
			if len(served) > 0 {
				return node.Dialable(served[0]), nil
			}
		}
		return "", fault.New("node_unreachable", "leyden node status", "the node serves no wallets yet: give --host")
	}
	host, port, err := net.SplitHostPort(q.host)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 || host == "" || strings.ContainsFunc(host, notInHost) {
		return "", fault.New("bad_address", "--host 192.168.1.20:8080", "address %q: want host:port", q.host)
	}
	return q.host, nil
}

// notInHost says that a rune is in no name or address of a host.
func notInHost(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:", r)
}

func (q *qrOptions) show(app *App, uri string) error {
	code, err := qr.Encode(uri, qr.L)
	if err != nil {
		return fault.New("qr_too_long", "--no_cert", "%d characters do not fit into a QR code", len(uri))
	}
	if q.png != "" {
		if err := files.Write(q.png, code.PNG(), 0o600); err != nil {
			return err
		}
	}
	switch {
	case app.JSON && q.png != "":
		voice.PrintJSON(app.Out, map[string]string{"png": q.png})
	case app.JSON:
		voice.PrintJSON(app.Out, map[string]string{"uri": uri})
	case q.png != "":
		fmt.Fprintf(app.Out, "QR code written to %s\n", q.png)
	default:
		drawQR(app.Out, code)
		fmt.Fprintln(app.Out, uri)
	}
	return nil
}

// quiet is the white border that the standard asks for, in modules.
const quiet = 4

// drawQR draws two rows of modules with each line of half blocks. White is
// drawn, so that it is right on a dark terminal.
func drawQR(w io.Writer, code *qr.Code) {
	var b strings.Builder
	white := func(x, y int) bool { return !code.Black(x, y) }
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			below := y+1 < code.Size+quiet && white(x, y+1)
			switch {
			case white(x, y) && below:
				b.WriteString("█")
			case white(x, y):
				b.WriteString("▀")
			case below:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	_, _ = io.WriteString(w, b.String()) // of an output that is gone
}
