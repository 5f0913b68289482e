package signer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/lnd"
)

// Elsewhere is a signer on another machine, ours or a plain lnd.
type Elsewhere struct {
	// Addr is host:port; the certificate must be good for the host.
	Addr string

	// CertPath is its certificate, MacaroonPath a macaroon of it that may list
	// accounts, mode 0600.
	CertPath, MacaroonPath string
}

// ExportElsewhere makes the bundle of a signer elsewhere. Where the macaroon may
// bake others, the bundle gets a signer-only one with a root key of its own; else it
// gets the macaroon itself, with the bounds added, provided that it may sign, list
// accounts and do nothing else. Codes: bad_bounds, bad_certificate, bad_macaroon,
// insecure_file, signer_unreachable, permission_denied, strong_macaroon.
func ExportElsewhere(ctx context.Context, home config.Home, from Elsewhere, o ExportOptions) (*Exported, error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	kept, err := o.bound(remembered{RootKeyID: newRootKeyID()})
	if err != nil {
		return nil, err
	}
	caveats, err := kept.caveats()
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(keptFile(home)); err == nil && o.Dir == "" {
		return nil, fault.New("file_exists", "choose a folder with --output", "this machine has a signer, and a bundle, of its own")
	}
	dir, err := o.dir(home)
	if err != nil {
		return nil, err
	}
	shown, own, err := from.read()
	if err != nil {
		return nil, err
	}
	conn, err := from.dial(shown, own)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	accounts, err := accountsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	how, id := signerOnly, kept.RootKeyID
	given, err := bakeSigning(ctx, conn, id, caveats)
	if fault.Code(err) == "permission_denied" {
		how, id = asGiven, 0
		if err = fitForNode(own); err == nil {
			given, err = restricted(own, caveats)
		}
	}
	if err != nil {
		return nil, err
	}
	exported, err := write(accounts, shown, given, dir)
	if err != nil {
		return nil, err
	}
	exported.Caveats, exported.Macaroon, exported.RootKeyID = append(exported.Caveats, caveats...), how, id
	return exported, nil
}

// fitForNode refuses a macaroon that a node must not have, or has no use for.
func fitForNode(raw []byte) error {
	const hint = "leyden signer export, on the signer's machine"
	m, err := macaroon.Parse(raw)
	if err != nil {
		return fault.New("bad_macaroon", "check the file", "%w", err)
	}
	permissions, err := m.Permissions()
	if err != nil {
		return fault.New("bad_macaroon", "check the file", "%w", err)
	}
	missing := slices.Clone(signing)
	for _, p := range permissions {
		if p.Entity != "uri" || p.Action != listAccounts && !slices.Contains(signing, p.Action) {
			return fault.New("strong_macaroon", hint,
				"the macaroon may do more than sign (%s %s), and this signer lets nobody bake another", p.Entity, p.Action)
		}
		missing = slices.DeleteFunc(missing, func(method string) bool { return method == p.Action })
	}
	if len(missing) > 0 {
		return fault.New("permission_denied", hint, "the macaroon does not allow %s", strings.Join(missing, ", "))
	}
	return nil
}

func (e Elsewhere) read() (shown, own []byte, err error) {
	if shown, err = os.ReadFile(e.CertPath); err != nil {
		return nil, nil, fault.New("bad_certificate", "pass --tlscertpath FILE", "the signer's certificate: %w", err)
	}
	own, err = files.ReadSecret(e.MacaroonPath)
	if fault.Code(err) == fault.Internal {
		err = fault.New("bad_macaroon", "pass --macaroonpath FILE", "the signer's macaroon: %w", err)
	}
	return shown, own, err
}

func (e Elsewhere) dial(shown, own []byte) (*grpc.ClientConn, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(shown) {
		return nil, fault.New("bad_certificate", "pass --tlscertpath FILE", "%q is no certificate in PEM", e.CertPath)
	}
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	conn, err := grpc.NewClient("passthrough:///"+lnd.WithPort(e.Addr, lnd.DefaultSignerPort),
		grpc.WithTransportCredentials(credentials.NewTLS(conf)), lnd.WithMacaroon(own), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fault.New("bad_address", "pass --rpcserver HOST:PORT", "the signer at %q: %w", e.Addr, err)
	}
	return conn, nil
}

// refusedMacaroon recognises lnd's words about a macaroon that does not do, which
// come with code Unknown.
func refusedMacaroon(message string) bool {
	for _, part := range []string{"permission denied", "verification failed", "cannot get macaroon", "macaroon"} {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}
