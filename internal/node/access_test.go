package node_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/pires/go-proxyproto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
)

// checkLncli: lncli's own flags still reach lncli.
func checkLncli(t *testing.T, m *machine) {
	t.Helper()
	out, err := exec.Command(m.bin, "--home", m.home, "lncli", "--network=simnet", "getinfo").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "simnet/admin.macaroon") {
		t.Errorf("lncli's own flag: %v, %s", err, out)
	}
}

// checkLncliUnlock: wallets are opened by our commands only.
func checkLncliUnlock(t *testing.T, m *machine) {
	t.Helper()
	cmd := exec.Command(m.bin, "--home", m.home, "lncli", "unlock", "--stdin")
	cmd.Stdin = strings.NewReader("a password\n")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "leyden node unlock") {
		t.Errorf("lncli unlock: %v, %s", err, out)
	}
}

// TestAddressCaveats: lnd judges ipaddr caveats by the address the front
// names, and by loopback when nobody names one.
func TestAddressCaveats(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.create()
	r := m.start()
	raw, err := os.ReadFile(r.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		locked string
		conn   func(t *testing.T) *grpc.ClientConn
		code   codes.Code
	}{
		"ok/socket, local":          {"127.0.0.1", socket(r, ""), codes.OK},
		"ok/socket, preamble":       {"10.1.2.3", socket(r, "10.1.2.3"), codes.OK},
		"ok/front, loopback":        {"127.0.0.1", fromAddr(r, "127.0.0.1"), codes.OK},
		"ok/front, another address": {"127.0.0.2", fromAddr(r, "127.0.0.2"), codes.OK},
		"fail/socket, local":        {"10.1.2.3", socket(r, ""), codes.Unknown},
		"fail/socket, preamble":     {"127.0.0.1", socket(r, "10.1.2.3"), codes.Unknown},
		"fail/front":                {"10.1.2.3", fromAddr(r, "127.0.0.1"), codes.Unknown},
		"fail/front, loopback":      {"127.0.0.1", fromAddr(r, "127.0.0.2"), codes.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn := c.conn(t)
			defer conn.Close()
			_, err := lnrpc.NewLightningClient(conn).GetInfo(withMacaroon(t, raw, "ipaddr "+c.locked), &lnrpc.GetInfoRequest{})
			if status.Code(err) != c.code {
				t.Errorf("got %v", err)
			} else if err != nil && !strings.Contains(err.Error(), "ip") {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

// TestREST: REST is off unless asked for, and then answers as the front.
func TestREST(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.create()
	if r := m.start(); len(r.REST) != 0 {
		t.Errorf("REST is on: %+v", r)
	}
	m.must("node", "stop")
	rest := testbin.FreePort(t)
	r := m.start("--restlisten", rest)
	if len(r.REST) != 1 || r.REST[0] != rest {
		t.Fatalf("REST at %q", r.REST)
	}
	pem, err := os.ReadFile(r.TLSCert)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(r.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+rest+"/v1/getinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Grpc-Metadata-Macaroon", hex.EncodeToString(raw))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var info struct {
		Key string `json:"identity_pubkey"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || info.Key != identity(t, m) {
		t.Errorf("%s %q, %v", resp.Status, info.Key, err)
	}
}

// TestNeutrino: the default backend needs no full node beside it.
func TestNeutrino(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.copyWallet()
	r := m.parse(m.must("node", "start", "--detach", "--rpclisten", m.rpc,
		"--apilisten", m.api, "--listen", m.p2p,
		"--", "--lnd.neutrino.addpeer="+backend(t).P2P))
	if r.Backend != "neutrino" {
		t.Errorf("started: %+v", r)
	}
	m.await("active", func(r node.Running) bool { return r.State == "active" })
}

func withMacaroon(t *testing.T, raw []byte, caveat string) context.Context {
	t.Helper()
	mac := new(macaroon.Macaroon)
	if err := mac.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	if err := mac.AddFirstPartyCaveat([]byte(caveat)); err != nil {
		t.Fatal(err)
	}
	locked, err := mac.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "macaroon", hex.EncodeToString(locked))
}

// socket dials lnd past the front, naming a client if one is given.
func socket(r node.Running, client string) func(*testing.T) *grpc.ClientConn {
	return func(t *testing.T) *grpc.ClientConn {
		dialer := func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", r.Socket)
			if err != nil || client == "" {
				return c, err
			}
			src := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 1))
			_, err = proxyproto.HeaderProxyFromAddrs(2, src, src).WriteTo(c)
			return c, err
		}
		conn, err := lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}.Dial(grpc.WithContextDialer(dialer))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// fromAddr dials the front from an address of this machine.
func fromAddr(r node.Running, local string) func(*testing.T) *grpc.ClientConn {
	return func(t *testing.T) *grpc.ClientConn {
		creds, err := credentials.NewClientTLSFromFile(r.TLSCert, "")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient(r.RPC[0], grpc.WithTransportCredentials(creds),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
				return d.DialContext(ctx, "tcp", addr)
			}))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}
