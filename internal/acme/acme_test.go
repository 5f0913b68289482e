package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/until"
)

// fakeIssuer is an authority that asks no questions. Its certificates are good
// for so short a time that each look finds them in need of renewal.
type fakeIssuer struct {
	key    crypto.Signer
	root   *x509.Certificate
	serial atomic.Int64
	refuse atomic.Pointer[error]
}

func newFakeIssuer(t *testing.T) *fakeIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &fakeIssuer{key: key, root: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}}
	i.serial.Store(1)
	return i
}

func (i *fakeIssuer) IssuerKey() string { return "fake" }

func (i *fakeIssuer) Issue(_ context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if err := i.refuse.Load(); err != nil {
		return nil, certmagic.ErrNoRetry{Err: *err}
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(i.serial.Add(1)), DNSNames: csr.DNSNames,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute)}, i.root, csr.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// TestAuthorityRenewsWhileRunning: a server that runs serves the renewed
// certificate from the next handshake on, and goes on with the one it has when
// the authority refuses.
func TestAuthorityRenewsWhileRunning(t *testing.T) {
	issuer, folder := newFakeIssuer(t), t.TempDir()
	name := strings.ToLower(rand.Text()) + ".example.com" // certmagic keeps its tasks by name, for the whole process
	a, err := New(Terms{Name: name, Folder: folder}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.prepare(&net.TCPAddr{Port: 1}); err != nil {
		t.Fatal(err)
	}
	a.config.Issuers = []certmagic.Issuer{issuer}
	if err := a.manage(); err != nil {
		t.Fatal(err)
	}
	defer a.End()
	serves := a.Extend(&tls.Config{Certificates: []tls.Certificate{ownPair(t)}})
	serial := func() int64 {
		t.Helper()
		mine, theirs := net.Pipe()
		go func() { _ = tls.Server(theirs, serves).HandshakeContext(t.Context()) }()
		client := tls.Client(mine, &tls.Config{ServerName: a.terms.Name, InsecureSkipVerify: true})
		defer theirs.Close()
		defer mine.Close()
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		leaf := client.ConnectionState().PeerCertificates[0]
		if leaf.VerifyHostname(a.terms.Name) != nil || !leaf.SerialNumber.IsInt64() {
			return 0 // our own
		}
		return leaf.SerialNumber.Int64()
	}
	until.True(t, "the first certificate", func() bool { return serial() > 1 })
	first := serial()
	look := func() {
		t.Helper()
		if err := a.cache.RenewManagedCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	until.True(t, "the renewed certificate", func() bool { return serial() > first })
	if got := a.Leaf().SerialNumber.Int64(); got != serial() {
		t.Errorf("status speaks of certificate %d, %d is served", got, serial())
	}

	refusal := errors.New("not today")
	issuer.refuse.Store(&refusal)
	before := serial()
	until.True(t, "the failure is told", func() bool {
		look() // once more, as the renewal before may have ended in that moment
		return fault.Code(a.Failure()) == CodeNoCertificate
	})
	if got := serial(); got != before {
		t.Errorf("after a refusal %d is served, want %d", got, before)
	}
}

// ownPair is a certificate of the server's own making.
func ownPair(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: []string{"own"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestRoot(t *testing.T) {
	_, err := New(Terms{Name: "shop.example.com", Root: filepath.Join(t.TempDir(), "gone.pem")}, slog.New(slog.DiscardHandler))
	if fault.Code(err) != codeBadTLS || fault.Hint(err) == "" {
		t.Errorf("no such root: %v", err)
	}
}
