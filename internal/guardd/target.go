package guardd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/lnd"
)

// Target is an lnd that somebody else runs.
type Target struct {
	// Address is lnd's gRPC host:port; empty: DefaultLND.
	Address string

	// CertPath is lnd's tls.cert, the one certificate that is accepted.
	CertPath string

	// MacaroonPath is a macaroon with admin's power: see powers.
	MacaroonPath string
}

// powers are what the guard's macaroon must allow.
var powers = []string{
	"info:read", "offchain:read", "offchain:write", "invoices:read", "invoices:write", "onchain:read",
	"macaroon:read", "macaroon:write", "macaroon:generate",
}

// oldest is the first version of lnd on which the rules were tried.
const oldestMajor, oldestMinor = 0, 21

func (t Target) absolute() (Target, error) {
	if t.Address == "" {
		t.Address = DefaultLND
	}
	t.Address = lnd.WithPort(t.Address, "10009")
	for _, path := range []*string{&t.CertPath, &t.MacaroonPath} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return t, err
		}
		*path = abs
	}
	return t, nil
}

// macaroon reads the file anew, since lnd may have been given another.
func (t Target) macaroon() ([]byte, error) {
	raw, err := os.ReadFile(t.MacaroonPath)
	if err != nil {
		return nil, fault.New("bad_macaroon", "pass --lnd-macaroonpath with lnd's admin.macaroon", "lnd's macaroon: %w", err)
	}
	if err := new(macaroon.Macaroon).UnmarshalBinary(raw); err != nil {
		return nil, fault.New("bad_macaroon", "pass --lnd-macaroonpath with lnd's admin.macaroon",
			"%q is no macaroon: %w", t.MacaroonPath, err)
	}
	return raw, nil
}

func (t Target) dialer() guardpost.Dialer {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	}
}

func (t Target) dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+t.Address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(front.Pinned(t.CertPath))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(lnrpc.MaxGrpcMsgSize)),
	}, opts...)...)
}

// check looks whether the rules would hold before this lnd and returns its
// network. Codes: bad_certificate, bad_macaroon, node_unreachable, node_locked,
// node_starting, macaroons_off, weak_macaroon, lnd_too_old.
func (t Target) check(ctx context.Context, log *slog.Logger) (network string, err error) {
	if _, err := os.Stat(t.CertPath); err != nil {
		return "", fault.New("bad_certificate", "pass --lnd-tlscertpath with lnd's tls.cert", "lnd's certificate: %w", err)
	}
	raw, err := t.macaroon()
	if err != nil {
		return "", err
	}
	if err := t.wantsMacaroons(ctx); err != nil {
		return "", err
	}
	conn, err := t.dial(guardpost.DialOptions(raw, t.dialer())...)
	if err != nil {
		return "", t.unreachable(err)
	}
	defer conn.Close()
	client := lnrpc.NewLightningClient(conn)
	info, err := client.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return "", t.unreachable(err)
	}
	if err := recent(info.GetVersion()); err != nil {
		return "", err
	}
	for _, chain := range info.GetChains() {
		network = chain.GetNetwork()
	}
	log.Info("guarding lnd", "address", t.Address, "node", info.GetIdentityPubkey(), "version", info.GetVersion(), "network", network)
	return network, t.powerful(ctx, client, raw)
}

// wantsMacaroons makes sure that a call without macaroon fails for that reason.
func (t Target) wantsMacaroons(ctx context.Context) error {
	conn, err := t.dial()
	if err != nil {
		return t.unreachable(err)
	}
	defer conn.Close()
	_, err = lnrpc.NewLightningClient(conn).GetInfo(ctx, &lnrpc.GetInfoRequest{})
	switch {
	case err == nil:
		return fault.New("macaroons_off", "remove no-macaroons from lnd.conf, and restart lnd",
			"lnd at %s answers without a macaroon: nothing would hold accounts to their limits", t.Address)
	case strings.Contains(status.Convert(err).Message(), "expected 1 macaroon"):
		return nil
	}
	return t.unreachable(err)
}

// powerful makes sure that the macaroon allows all that the guard does.
func (t Target) powerful(ctx context.Context, client lnrpc.LightningClient, raw []byte) error {
	var missing []string
	for _, power := range powers {
		entity, action, _ := strings.Cut(power, ":")
		_, err := client.CheckMacaroonPermissions(ctx, &lnrpc.CheckMacPermRequest{
			Macaroon: raw, Permissions: []*lnrpc.MacaroonPermission{{Entity: entity, Action: action}},
		})
		switch st := status.Convert(err); {
		case err == nil:
		case st.Code() == codes.Unavailable, st.Code() == codes.DeadlineExceeded:
			return t.unreachable(err)
		default:
			missing = append(missing, power)
		}
	}
	if len(missing) > 0 {
		return fault.New("weak_macaroon", "pass --lnd-macaroonpath with lnd's admin.macaroon",
			"%q does not allow %s", t.MacaroonPath, strings.Join(missing, ", "))
	}
	return nil
}

// recent refuses versions on which the rules were not tried.
func recent(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err == nil && (major > oldestMajor || minor >= oldestMinor) {
		return nil
	}
	return fault.New("lnd_too_old", fmt.Sprintf("upgrade lnd to v%d.%d or later", oldestMajor, oldestMinor),
		"lnd is version %q; the guard's rules hold from v%d.%d on", version, oldestMajor, oldestMinor)
}

// unreachable explains why lnd did not answer as it should.
func (t Target) unreachable(err error) error {
	text := status.Convert(err).Message()
	switch {
	case errors.Is(err, fs.ErrNotExist), strings.Contains(text, "certificate"):
		return fault.New("bad_certificate", "pass --lnd-tlscertpath with lnd's tls.cert", "lnd at %s: %s", t.Address, text)
	case strings.Contains(text, "wallet locked"), strings.Contains(text, "wallet not created"):
		return fault.New("node_locked", "unlock lnd's wallet first", "lnd at %s: %s", t.Address, text)
	case strings.Contains(text, "starting up"), strings.Contains(text, "waiting to start"):
		return fault.New("node_starting", "wait a few seconds, then try again", "lnd at %s: %s", t.Address, text)
	case strings.Contains(text, "permission denied"):
		return fault.New("weak_macaroon", "pass --lnd-macaroonpath with lnd's admin.macaroon", "lnd at %s: %s", t.Address, text)
	case strings.Contains(text, "verification failed"), strings.Contains(text, "cannot get macaroon"):
		return fault.New("bad_macaroon", "pass --lnd-macaroonpath with this lnd's admin.macaroon", "lnd at %s: %s", t.Address, text)
	}
	return fault.New("node_unreachable", "check --lnd-rpcserver, and that lnd runs", "lnd at %s: %s", t.Address, text)
}

// taken is what lnd says to a second middleware of one name.
const taken = "already registered"

func isTaken(err error) bool { return strings.Contains(err.Error(), taken) }

// explain gives the reasons why a guard cannot attach a code and a hint.
func explain(err error) error {
	for _, known := range []struct{ part, code, hint string }{
		{"RPC middleware not enabled", "rpcmiddleware_off", "set rpcmiddleware.enable=true in lnd.conf, and restart lnd"},
		{taken, "middleware_taken", "stop the other guard, or lnd's other middleware for accounts (litd), first"},
		{"leyden: method_blocked", "middleware_taken", "this is a Leyden front, which has its own guard: use leyden accounts with it"},
	} {
		if strings.Contains(err.Error(), known.part) {
			return fault.New(known.code, known.hint, "attach to lnd: %w", err)
		}
	}
	if fault.Code(err) != fault.Internal {
		return err
	}
	return fault.New("not_attached", "see the log in the guard folder", "attach to lnd: %w", err)
}
