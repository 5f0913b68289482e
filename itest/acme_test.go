package itest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/gate"
	"github.com/leydenln/leyden/internal/testbin"
)

const shopName = "shop.example.com"

// authority is a pebble, the test authority of Let's Encrypt.
type authority struct {
	directory, root string // URL and PEM file
	management      string // URL
	client          *http.Client
}

// startAuthority starts one that finds every name on this machine, and asks
// for HTTP-01 and TLS-ALPN-01 at the ports. Its certificates are good for the
// time.
func startAuthority(t *testing.T, httpPort, tlsPort string, validity time.Duration) authority {
	t.Helper()
	dir := t.TempDir()
	certPEM, keyPEM, err := cert.GenCertPair("test authority", nil, nil, false, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	acme, management := freePort(t), freePort(t)
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:" + acme, "managementListenAddress": "127.0.0.1:" + management,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": number(t, httpPort), "tlsPort": number(t, tlsPort),
		"profiles": map[string]any{"default": map[string]any{"validityPeriod": int(validity.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM, "pebble.json": settings} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := owned.Start(owned.Command{
		Path: filepath.Join(testbin.Dir(t), "pebble"),
		Args: []string{"-config", filepath.Join(dir, "pebble.json"), "-dnsserver", nameServer(t)},
		Env:  append(devnet.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"), LogFile: filepath.Join(dir, "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("the authority said: %s", log[max(0, len(log)-5000):])
		}
		_ = p.Kill() // it keeps nothing
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	a := authority{"https://localhost:" + acme + "/dir", filepath.Join(dir, "cert.pem"), "https://localhost:" + management,
		&http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	await(t, "the authority answers", func() bool {
		resp, err := a.client.Get(a.directory)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return a
}

// issuer returns who the authority's certificates are trusted by.
func (a authority) issuer(t *testing.T) *x509.CertPool {
	t.Helper()
	resp, err := a.client.Get(a.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	pem, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("no root in %q", pem)
	}
	return pool
}

// nameServer says that every name is on this machine, over TCP.
func nameServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				for answerName(conn) == nil {
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return l.Addr().String()
}

// answerName answers one question (RFC 1035 section 4.2.2).
func answerName(conn net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return errors.Join(err, errors.New("want one question"))
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	}
	answer, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// certGate is a gate with autocert and a free service.
type certGate struct {
	*gate.Gate
	log func() string
}

func openCertGate(t *testing.T, home, port string, a authority) certGate {
	t.Helper()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "goods") }))
	t.Cleanup(shop.Close)
	path := filepath.Join(home, "gate.yaml")
	text := fmt.Sprintf("listenaddr: 127.0.0.1:%s\nservername: %s\nautocert: true\nautocertca: %s\nautocertroot: %q\n"+
		"authenticator: {disable: true}\nservices: [{name: a, address: %q}]\n", port, shopName, a.directory, a.root, shop.Listener.Addr())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := gate.Load(path, home)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	g, err := gate.Start(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the gate said: %s", log.String())
		}
	})
	return certGate{g, log.String}
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// presented returns the certificate that the gate shows to who asks for the
// name, and whether the roots vouch for it.
func (g certGate) presented(t *testing.T, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates})
	return state.PeerCertificates[0], err
}

// TestAutoCert gets a certificate by each challenge, on the gate's one port.
func TestAutoCert(t *testing.T) {
	for name, byHTTP := range map[string]bool{"TLS-ALPN-01": false, "HTTP-01": true} {
		t.Run(name, func(t *testing.T) {
			own, nobody := freePort(t), freePort(t)
			httpPort, tlsPort := nobody, own
			if byHTTP {
				httpPort, tlsPort = own, nobody
			}
			a := startAuthority(t, httpPort, tlsPort, 90*24*time.Hour)
			roots, home := a.issuer(t), t.TempDir()
			g := openCertGate(t, home, own, a)

			if _, err := g.presented(t, "localhost", nil); err == nil {
				t.Error("a stranger vouches for localhost")
			}
			await(t, "the authority's certificate", func() bool { _, err := g.presented(t, shopName, roots); return err == nil })
			first, _ := g.presented(t, shopName, roots)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
				TLSClientConfig: &tls.Config{ServerName: shopName, RootCAs: roots}}}
			resp, err := client.Get("https://" + g.Addr().String() + "/x")
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("a client that verifies: %v, %v", resp, err)
			}
			_ = resp.Body.Close()
			if err := g.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if again, err := g.presented(t, shopName, roots); err != nil || !again.Equal(first) {
				t.Errorf("after a reload: %v", err)
			}
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			onlyOurs(t, filepath.Join(home, "acme"))

			g = openCertGate(t, home, own, authority{directory: a.directory, root: a.root})
			await(t, "the certificate that was kept", func() bool {
				again, err := g.presented(t, shopName, roots)
				return err == nil && again.Equal(first)
			})
		})
	}
}

// TestAutoCertRenews starts with a certificate that has expired meanwhile.
func TestAutoCertRenews(t *testing.T) {
	own := freePort(t)
	a := startAuthority(t, own, own, 3*time.Second)
	roots, home := a.issuer(t), t.TempDir()
	g := openCertGate(t, home, own, a)
	await(t, "a certificate", func() bool { _, err := g.presented(t, shopName, roots); return err == nil })
	first, _ := g.presented(t, shopName, roots)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "it expires", func() bool { return time.Now().After(first.NotAfter) })
	g = openCertGate(t, home, own, a)
	await(t, "another one", func() bool {
		c, err := g.presented(t, shopName, roots)
		return err == nil && !c.Equal(first)
	})
}

// TestAutoCertWithoutAuthority: the gate sells all the same, with its own
// certificate, and says what is wrong.
func TestAutoCertWithoutAuthority(t *testing.T) {
	own := freePort(t)
	g := openCertGate(t, t.TempDir(), own, authority{directory: "https://localhost:" + freePort(t) + "/dir"})
	await(t, "the failure is told", func() bool { return strings.Contains(g.log(), "the authority gave no certificate") })
	c, _ := g.presented(t, shopName, nil)
	if c.VerifyHostname(shopName) != nil || c.VerifyHostname("localhost") != nil {
		t.Errorf("own certificate for %v", c.DNSNames)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + g.Addr().String() + "/x")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("service: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

// onlyOurs checks that nobody else may read what is in a folder.
func onlyOurs(t *testing.T, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		seen++
		return err
	})
	if err != nil || seen < 4 {
		t.Errorf("%d files in %s: %v", seen, dir, err)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
