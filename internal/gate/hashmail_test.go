package gate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/mailbox"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// relayOnly is a gate that is nothing but a relay, with the time limits of
// aperture's sample, shortened.
const relayOnly = `hashmail: {enabled: true}
authenticator: {disable: true}
readtimeout: 200ms
writetimeout: 200ms
limits: {bodytimeout: 200ms, headertimeout: 200ms}
`

// lull is longer than every one of those limits.
const lull = 700 * time.Millisecond

func TestRelayLimits(t *testing.T) {
	usual := mailbox.DefaultLimits()
	for name, c := range map[string]struct {
		asked HashMail
		conns int
		want  mailbox.Limits
	}{
		"ok/defaults": {HashMail{Enabled: true}, 10_000, mailbox.Limits{Streams: 5000, ClientStreams: 1250}},
		"ok/sample": {HashMail{true, duration(20 * time.Millisecond), 1000, staleTime(-time.Second)}, 10_000,
			mailbox.Limits{BoxRate: 50, BoxBurst: 1000, Stale: 24 * time.Hour, Streams: 5000, ClientStreams: 1250}},
		"ok/small house": {HashMail{StaleTimeout: staleTime(time.Minute)}, 1, mailbox.Limits{Stale: time.Minute, Streams: 1, ClientStreams: 1}},
		"ok/large house": {HashMail{StaleTimeout: staleTime(48 * time.Hour)}, 1_000_000,
			mailbox.Limits{Stale: 24 * time.Hour, Streams: usual.Streams, ClientStreams: usual.ClientStreams}},
		"ok/slowest": {HashMail{MessageRate: duration(time.Second), MessageBurstAllowance: 99_999_999}, 80,
			mailbox.Limits{BoxRate: 1, BoxBurst: 99_999_999, Streams: 40, ClientStreams: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.asked.limits(c.conns)
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			r, err := mailbox.New(got, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
}

// meet lets a node and a client meet at a relay, twice: by the words, then by
// their keys.
func meet(t *testing.T, way lnc.Mailbox) {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	phrase, nodeWay := lnc.NewPhrase(), way
	nodeWay.WebSocket = false // as litd and our node have it
	node, err := lnc.NewListener(lnc.ListenerConfig{
		Mailbox: nodeWay, Phrase: phrase, Identity: lnc.Identity{Static: key}, AuthData: []byte("Macaroon: 00")})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	go func() {
		for {
			conn, err := node.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	client := &lnc.Dialer{Mailbox: way, Phrase: phrase}
	defer client.Close()
	for range 2 {
		conn, err := client.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 1<<20)
		_, _ = rand.Read(said)
		go func() { _, _ = conn.Write(said) }() // what comes back tells
		heard := make([]byte, len(said))
		if _, err := io.ReadFull(conn, heard); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(said, heard) {
			t.Error("something else came back")
		}
		conn.Close()
	}
}

// TestRelaySessions: nodes and clients meet at the gate.
func TestRelaySessions(t *testing.T) {
	dir := t.TempDir()
	secure := openGate(t, dir, newFakeNode(), "insecure: false\n"+relayOnly)
	pem, err := os.ReadFile(filepath.Join(dir, "tls.cert"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	plain := openGate(t, t.TempDir(), newFakeNode(), relayOnly)
	for name, way := range map[string]lnc.Mailbox{
		"TLS":      {Addr: secure.Addr().String(), TLS: &tls.Config{RootCAs: pool, ServerName: "localhost"}},
		"insecure": {Addr: plain.Addr().String(), Plaintext: true},
		"insecure, behind a proxy with TLS": {Addr: terminateTLS(t, secure, plain.Addr().String()),
			TLS: &tls.Config{RootCAs: pool, ServerName: "localhost"}},
	} {
		for _, way.WebSocket = range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, WebSocket %v", name, way.WebSocket), func(t *testing.T) { meet(t, way) })
		}
	}
}

// terminateTLS is a proxy that speaks TLS, with the certificate of a gate, for
// an address that does not.
func terminateTLS(t *testing.T, g *Gate, to string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", g.tlsConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return l.Addr().String()
}

// relayClient speaks gRPC with the relay of a gate that speaks plain HTTP.
func relayClient(t *testing.T, g *Gate) hashmailrpc.HashMailClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return hashmailrpc.NewHashMailClient(conn)
}

func boxOf(name string) *hashmailrpc.CipherBoxDesc {
	id := make([]byte, 64)
	copy(id, name)
	return &hashmailrpc.CipherBoxDesc{StreamId: id}
}

func makeBox(t *testing.T, c hashmailrpc.HashMailClient, name string) error {
	t.Helper()
	_, err := c.NewCipherBox(t.Context(), &hashmailrpc.CipherBoxAuth{Desc: boxOf(name),
		Auth: &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}}})
	return err
}

// TestRelayStreamsLast: none of the gate's time limits ends a stream of the
// relay, nor does a reload; a stop does at once, in words.
func TestRelayStreamsLast(t *testing.T) {
	g := openGate(t, t.TempDir(), newFakeNode(), relayOnly)
	c := relayClient(t, g)
	if err := makeBox(t, c, "a"); err != nil {
		t.Fatal(err)
	}
	reader, err := c.RecvStream(t.Context(), boxOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		for {
			m, err := reader.Recv()
			if err != nil {
				ended <- err
				return
			}
			heard <- string(m.Msg)
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case err := <-ended:
			t.Fatalf("the stream has ended: %v", err)
		}
	}
	silence := func() {
		t.Helper()
		select {
		case err := <-ended:
			t.Fatalf("the stream has ended: %v", err)
		case <-time.After(lull):
		}
	}
	line := func(text string) string {
		return fmt.Sprintf(`{"desc":{"stream_id":%q},"msg":%q}`+"\n", base64.StdEncoding.EncodeToString(boxOf("a").StreamId),
			base64.StdEncoding.EncodeToString([]byte(text)))
	}

	for name, protocols := range map[string]*http.Protocols{"HTTP/1": http1(), "HTTP/2": h2c()} {
		body, lines := io.Pipe()
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
		answered := make(chan error, 1)
		go func() {
			resp, err := client.Post("http://"+g.Addr().String()+"/v1/lightning-node-connect/hashmail/send", "application/json", body)
			if err == nil {
				resp.Body.Close()
			}
			answered <- err
		}()
		for _, text := range []string{name + " one", name + " two"} {
			if _, err := io.WriteString(lines, line(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			expect(text)
			silence()
		}
		lines.Close()
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	writer, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"before", "after"} {
		if err := writer.Send(&hashmailrpc.CipherBox{Desc: boxOf("a"), Msg: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		expect(text)
		silence()
		writeRelayConfig(t, g, relayOnly+"blocklist: [192.0.2.1]\n")
		if err := g.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	writeRelayConfig(t, g, strings.Replace(relayOnly, "enabled: true", "enabled: true, messagerate: 1ms", 1))
	if err := g.Reload(t.Context()); fault.Code(err) != codeNeedsRestart || !strings.Contains(err.Error(), "line 2: hashmail.messagerate") {
		t.Errorf("another rate: %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	_, sending := writer.CloseAndRecv()
	for what, err := range map[string]error{"reading": <-ended, "sending": sending} {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "going away") {
			t.Errorf("%s, when the gate ends: %v", what, err)
		}
	}
}

func writeRelayConfig(t *testing.T, g *Gate, text string) {
	t.Helper()
	text = "listenaddr: 127.0.0.1:0\n" + text + "insecure: true\n"
	if err := os.WriteFile(g.now.Load().cfg.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

func h2c() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// TestRelayBeside: the relay is served before the services, to whoever the gate
// takes for the client, has its figures beside the gate's, and leaves no lines.
func TestRelayBeside(t *testing.T) {
	b, dir := newBackend(t), t.TempDir()
	log := filepath.Join(dir, "access.log")
	g := openGate(t, dir, newFakeNode(), fmt.Sprintf(`
hashmail: {enabled: true}
accesslog: %q
blocklist: [192.0.2.66]
trustedproxies: [127.0.0.1]
prometheus: {enabled: true, listenaddr: "127.0.0.1:0"}
services: [{name: all, address: %q, auth: 'off'}]
`, log, b.addr()))
	create := func(name, from string) int {
		t.Helper()
		body := fmt.Sprintf(`{"desc":{"stream_id":%q},"lnd_auth":{}}`, base64.StdEncoding.EncodeToString(boxOf(name).StreamId))
		req, err := http.NewRequest(http.MethodPost, "http://"+g.Addr().String()+"/v1/lightning-node-connect/hashmail", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	for i, from := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2"} {
		if got := create(fmt.Sprint(i), from); got != http.StatusOK {
			t.Errorf("box %d: status %d", i, got)
		}
	}
	if got := create("0", "192.0.2.3"); got != http.StatusConflict {
		t.Errorf("a box that is there: status %d", got)
	}
	if got := create("4", "192.0.2.66"); got != http.StatusForbidden {
		t.Errorf("who is blocked: status %d", got)
	}
	for _, name := range []string{"/hashmailrpc.HashMai/RecvStream", "/v1/lightning-node-connect/hashmails"} {
		if resp := get(t, g, name); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, want the service's", name, resp.StatusCode)
		}
	}
	if resp := get(t, g, "/hashmailrpc.HashMail/RecvStream"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d", resp.StatusCode)
	}
	if n := len(b.requests()); n != 2 {
		t.Errorf("the backend saw %d requests, want 2", n)
	}
	resp, err := http.Get("http://" + g.metrics.listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	figures, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nleyden_mailbox_boxes 3\n", "\nleyden_mailbox_clients 2\n", `outcome="free",service="all"} 2`} {
		if !strings.Contains(string(figures), want) {
			t.Errorf("figures lack %q:\n%s", want, figures)
		}
	}
	if s, err := g.statusNow(t.Context()); err != nil || !s.HashMail {
		t.Errorf("%+v, %v", s, err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := readLines(t, log); len(got) != 2 {
		t.Errorf("%d lines, want 2: %+v", len(got), got)
	}
}

// TestRelayLeavesRoom: whatever its clients do, the relay leaves room for
// buyers: its streams take half of the connections at most, and bodies that
// nobody waits for hold none.
func TestRelayLeavesRoom(t *testing.T) {
	const most = 8
	b := newBackend(t)
	open := func(t *testing.T) *Gate {
		return openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(
			"hashmail: {enabled: true}\nlimits: {maxconnections: %d}\nservices: [{name: all, address: %q, auth: 'off'}]\n", most, b.addr()))
	}
	t.Run("streams", func(t *testing.T) {
		g := open(t)
		g.relay.Close()
		relay, err := mailbox.New(mailbox.Limits{Streams: most / 2, ClientStreams: most}, nil) // all come from one address here
		if err != nil {
			t.Fatal(err)
		}
		defer relay.Close()
		g.now.Load().handler.(*relayDoor).relay = relay.Handler()
		refused := 0
		for n := range most {
			c := dialGate(t, g)
			_, _ = io.WriteString(c, "POST /v1/lightning-node-connect/hashmail HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
			wait := patient
			if n < most/2 { // it stays, and has no answer
				until.True(t, "its stream", func() bool { return g.now.Load().inside.Load() == int64(n+1) })
				wait = lull
			}
			_ = c.SetReadDeadline(time.Now().Add(wait))
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode == http.StatusTooManyRequests {
				refused++
			}
		}
		if refused != most/2 {
			t.Errorf("%d streams were refused, want %d", refused, most/2)
		}
		if resp := get(t, g, "/"); resp.StatusCode != http.StatusOK {
			t.Errorf("a buyer: status %d", resp.StatusCode)
		}
	})
	t.Run("bodies", func(t *testing.T) {
		g := open(t)
		for range most {
			c := dialGate(t, g)
			_, _ = io.WriteString(c, "POST /v1/lightning-node-connect/hashmail/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
			if g.now.Load().inside.Load() > 0 {
				until.True(t, "the relay is done with it", func() bool { return g.now.Load().inside.Load() == 0 })
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Addr().String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		until.True(t, "a buyer is served", func() bool {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	})
}
