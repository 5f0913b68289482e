package leyden

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
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
this machine that its front listens on and its certificate names.`,
		Example: `  leyden accounts qr agent --host 192.168.1.20:10009
  leyden accounts qr --macaroon agent.macaroon --host node.example.com:10009 --png agent.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			macaroon, err := q.credential(cmd, app, t, &w, args)
			if err != nil {
				return err
			}
			uri, err := q.uri(app, t, macaroon)
			if err != nil {
				return err
			}
			return q.show(app, uri)
		},
	}
	w.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.macaroon, "macaroon", "", "connect with the macaroon in this file")
	f.StringVar(&q.host, "host", "", "address that the wallet connects to, host:port (default: where the node serves gRPC)")
	f.StringVar(&q.png, "png", "", "write the code as a PNG image to this file, mode 0600")
	f.BoolVar(&q.noCert, "no_cert", false, "leave the certificate out: a public authority has signed the one at that address")
	return cmd
}

type qrOptions struct {
	macaroon, host, png string
	noCert              bool
}

// credential reads the macaroon file, or asks the node for a new macaroon.
func (q *qrOptions) credential(cmd *cobra.Command, app *App, t *target, w *who, args []string) (macaroon []byte, err error) {
	if q.macaroon != "" {
		if len(args) > 0 || *w != (who{}) {
			return nil, voice.UsageError(cmd, fmt.Errorf("give an account or --macaroon, not both"))
		}
		macaroon, err := os.ReadFile(q.macaroon)
		if err != nil {
			return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "read the macaroon: %w", err)
		}
		return macaroon, nil
	}
	name, err := w.only(cmd, args)
	if err != nil {
		return nil, err
	}
	err = app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
		got, err := c.Accounts.Issue(ctx, &leydenv1.AccountRequest{Account: name})
		if err == nil {
			macaroon = got.Macaroon
		}
		return err
	})
	return macaroon, err
}

// uri is lndconnect://host:port?cert=…&macaroon=…, both in base64url without
// padding (lndconnect, lnd_connect_uri.md).
func (q *qrOptions) uri(app *App, t *target, macaroon []byte) (string, error) {
	host := q.host
	if host == "" {
		running := app.serving()
		if running.err != nil {
			return "", running.err
		}
		if len(running.RPC) == 0 {
			return "", fault.New("node_unreachable", "leyden node status", "the node serves no gRPC yet: give --host")
		}
		host = node.Dialable(running.RPC[0])
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		return "", fault.New("bad_address", "--host 192.168.1.20:10009", "address %q: %w", host, err)
	}
	values := "macaroon=" + base64.RawURLEncoding.EncodeToString(macaroon)
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
		values = "cert=" + base64.RawURLEncoding.EncodeToString(block.Bytes) + "&" + values
	}
	u := url.URL{Scheme: "lndconnect", Host: host, RawQuery: values}
	return u.String(), nil
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
