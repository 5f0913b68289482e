package lnd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

// DefaultSignerPort is a signer's gRPC port.
const DefaultSignerPort = "10012"

const (
	// signerPatience is how long a signer may take to answer a question that
	// costs it nothing. One that is slower counts as away.
	signerPatience = 10 * time.Second

	// signTimeout is our default of lnd's --remotesigner.timeout, after which a
	// watch-only lnd ends itself. It is longer than signerPatience, so that we
	// know before lnd does that the signer is away.
	signTimeout = 20 * time.Second

	// signerStart is how long a signer may take from its first answer until it signs.
	signerStart = 30 * time.Second
)

// What a signer that answers may say of itself.
var (
	errStarting = errors.New("it is starting")
	errLocked   = errors.New("its wallet is locked")
	errNoWallet = errors.New("it has no wallet")
)

// RemoteSigner is the lnd that holds the keys of a watch-only lnd.
type RemoteSigner struct {
	// Addr is host:port. The certificate must be good for the host.
	Addr string

	// CertPath is the one certificate trusted, MacaroonPath the credential. Both
	// are absolute.
	CertPath, MacaroonPath string

	// Identity is the extended public key of the account m/1017'/coin type'/6', the
	// node's identity. The signer must prove that it holds its private keys: lnd
	// would have peers close its channels for the signatures of others. Empty: any
	// signer will do.
	Identity string
}

// Check asks whether the signer is there, knows its macaroon, holds the keys, and
// could sign. Codes: no_bundle, bad_bundle, signer_unreachable, signer_certificate,
// signer_macaroon, signer_other_keys.
func (r *RemoteSigner) Check(ctx context.Context) error {
	conn, err := r.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return r.ask(ctx, conn)
}

// Await is Check, but leaves a signer that answers signerStart to open its wallet.
func (r *RemoteSigner) Await(ctx context.Context, log *slog.Logger) error {
	late := time.After(signerStart)
	for told := false; ; told = true {
		err := r.Check(ctx)
		if !errors.Is(err, errStarting) && !errors.Is(err, errLocked) {
			return err
		}
		if !told {
			log.Info("waiting for the signer", "because", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-late:
			return err
		case <-time.After(minSignerPause):
		}
	}
}

// options make lnd a watch-only one. lnd's own health check is off: it would end
// lnd while the signer is away, where we wait.
func (r *RemoteSigner) options() []Option {
	return from("--signer-host", []Option{
		{Name: "remotesigner.enable", Value: "true"},
		{Name: "remotesigner.rpchost", Value: r.Addr},
		{Name: "remotesigner.tlscertpath", Value: r.CertPath},
		{Name: "remotesigner.macaroonpath", Value: r.MacaroonPath},
		{Name: "healthcheck.remotesigner.attempts", Value: "0"},
	})
}

// dial makes a connection as lnd does, so that what works here works for lnd.
func (r *RemoteSigner) dial() (*grpc.ClientConn, error) {
	pem, err := os.ReadFile(r.CertPath)
	if err != nil {
		return nil, bundleGone(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New("signer_certificate", importHint, "the signer's certificate %q is malformed", r.CertPath)
	}
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return grpc.NewClient("passthrough:///"+r.Addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithConnectParams(redial), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0))
}

const importHint = "leyden node import --bundle FILE"

func bundleGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New("no_bundle", importHint, "the signer's credentials are not there: %w", err)
	}
	return fault.New("no_bundle", "check the file's owner and mode", "the signer's credentials: %w", err)
}

// ask is Check on a connection.
func (r *RemoteSigner) ask(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithTimeout(ctx, signerPatience)
	defer cancel()
	reply, err := lnrpc.NewStateClient(conn).GetState(ctx, &lnrpc.GetStateRequest{})
	if err != nil {
		return r.unreachable(err)
	}
	if err := r.awake(reply.State); err != nil {
		return err
	}
	macaroon, err := os.ReadFile(r.MacaroonPath)
	if err != nil {
		return bundleGone(err)
	}
	// Nothing to sign: an lnd that accepts the macaroon says so of the request.
	ctx = metadata.AppendToOutgoingContext(ctx, "macaroon", hex.EncodeToString(macaroon))
	_, err = walletrpc.NewWalletKitClient(conn).SignPsbt(ctx, &walletrpc.SignPsbtRequest{})
	if err := r.accepted(err); err != nil || r.Identity == "" {
		return err
	}
	return r.holds(ctx, conn)
}

// awake says whether a signer in this state signs.
func (r *RemoteSigner) awake(state lnrpc.WalletState) error {
	switch s := stateOf(state); {
	case s.Serving():
		return nil
	case s == Locked:
		return r.away(errLocked)
	case s == NoWallet:
		return r.away(errNoWallet)
	default:
		return r.away(errStarting)
	}
}

// macaroonRefusals are lnd's words about a macaroon that does not do.
var macaroonRefusals = []string{"macaroon", "verification failed", "permission denied", "root key"}

// accepted reads the answer to a request that cannot succeed.
func (r *RemoteSigner) accepted(err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return r.unreachable(err)
	}
	for _, words := range macaroonRefusals {
		if strings.Contains(s.Message(), words) {
			return fault.New("signer_macaroon", "leyden signer export, then "+importHint,
				"the signer at %q refuses the bundle's macaroon: %s", r.Addr, s.Message())
		}
	}
	return nil
}

// unreachable is the fault of a call that got no answer.
func (r *RemoteSigner) unreachable(err error) error {
	s := status.Convert(err)
	switch text := s.Message(); {
	case strings.Contains(text, "x509: certificate is valid for"), strings.Contains(text, "any IP SANs"):
		return fault.New("signer_certificate", "leyden node start --signer-host NAME:"+DefaultSignerPort+", with a name of its certificate; or add a name there (tlsextradomain in signer-lnd.conf)",
			"the certificate of the signer at %q is good for other names: %s", r.Addr, tail(text))
	case strings.Contains(text, "x509: certificate has expired or is not yet valid"):
		return fault.New("signer_certificate", "check the clocks of both machines; if they are right, leyden signer export, then "+importHint,
			"the certificate of the signer at %q is not good at this time: %s", r.Addr, tail(text))
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls: "):
		return fault.New("signer_certificate", "leyden signer export, then "+importHint,
			"the signer at %q has another certificate than the bundle's: %s", r.Addr, tail(text))
	case s.Code() == codes.DeadlineExceeded:
		return r.away(errSilent)
	default:
		return r.away(errors.New(tail(text)))
	}
}

// errSilent means that the signer has not answered for signerPatience.
var errSilent = errors.New("no answer in time")

func (r *RemoteSigner) away(why error) error {
	host, _, err := net.SplitHostPort(r.Addr)
	if err != nil {
		host = r.Addr
	}
	return fault.New("signer_unreachable", "start the signer on "+host+" (leyden signer start), or leyden node start --signer-host HOST:"+DefaultSignerPort,
		"the signer at %q cannot be reached: %w", r.Addr, why)
}

// tail leaves out gRPC's words around the reason that a connection failed.
func tail(text string) string {
	for _, sign := range []string{`Error while dialing: `, `desc = `, `authentication handshake failed: `} {
		if _, after, ok := strings.Cut(text, sign); ok {
			text = strings.TrimSuffix(strings.TrimPrefix(after, `"`), `"`)
		}
	}
	return text
}
