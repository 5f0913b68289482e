package gate

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/l402"
)

// writeConfig writes the gate.yaml that a gate reads when it reloads.
func writeConfig(t testing.TB, g *Gate, services string) {
	t.Helper()
	writeConfigFile(t, g.now.Load().cfg.path, services)
}

func writeConfigFile(t testing.TB, path, services string) {
	t.Helper()
	text := "listenaddr: 127.0.0.1:0\nauthenticator: {network: regtest, tlspath: t, macdir: m}\n" + services
	if !strings.Contains(services, "insecure:") {
		text += "insecure: true\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReloadUnderLoad reloads a hundred times, with and without the paid
// service, while clients use another one: none of them may notice.
func TestReloadUnderLoad(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	const one = "services:\n  - {name: news, pathregexp: '^/news/', address: %[1]q, price: 100}\n"
	const two = one + "  - {name: more, pathregexp: '^/more/', address: %[1]q, auth: off}\n"
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(one, b.addr()))
	token := buy(t, node, get(t, g, "/news/1"))

	var (
		clients sync.WaitGroup
		stop    atomic.Bool
		served  atomic.Int64
	)
	for i := range 8 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			defer client.CloseIdleConnections()
			for !stop.Load() {
				req, err := http.NewRequest(http.MethodPost, "http://"+g.Addr().String()+"/news/1", strings.NewReader(strings.Repeat("x", 10_000)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set(token[0], token[1])
				resp, err := client.Do(req)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK || string(body) != "goods of /news/1" {
					t.Errorf("a request was lost: %d %q %v", resp.StatusCode, body, err)
				}
				_ = resp.Body.Close()
				served.Add(1)
			}
		})
	}
	for i := range 100 {
		before := served.Load()
		writeConfig(t, g, fmt.Sprintf([]string{one, two}[i%2], b.addr()))
		if err := g.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []int{http.StatusNotFound, http.StatusOK}[i%2]
		if resp := get(t, g, "/more/1"); resp.StatusCode != want {
			t.Fatalf("reload %d: status %d, want %d", i, resp.StatusCode, want)
		}
		until.True(t, "clients go on", func() bool { return served.Load() > before })
	}
	stop.Store(true)
	clients.Wait()
}

// TestReloadKeepsRequests reloads while a backend answers slowly: the answer
// ends as it began, though its service is gone.
func TestReloadKeepsRequests(t *testing.T) {
	node := newFakeNode()
	began, finish := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		close(began)
		<-finish
		_, _ = io.WriteString(w, "last")
	}))
	defer slow.Close()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf("services: [{name: slow, address: %q, auth: off}]\n", strings.TrimPrefix(slow.URL, "http://")))
	answer := make(chan string)
	go func() { answer <- text(t, get(t, g, "/")) }()
	<-began
	writeConfig(t, g, "services: [{name: other, pathregexp: '^/other', address: 'localhost:1'}]\n")
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g, "/"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the new configuration: %d", resp.StatusCode)
	}
	close(finish)
	if got := <-answer; got != "first last" {
		t.Errorf("the answer under way: %q", got)
	}
}

// TestBadReload breaks one thing at a time: each is told, and the gate goes on
// with what it had.
func TestBadReload(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	good := fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, dir, node, good)
	token := buy(t, node, get(t, g, "/news/1"))
	for name, c := range map[string]struct{ text, code, message string }{
		"fail/no YAML":      {"services: [", CodeBadConfig, "line"},
		"fail/unknown key":  {good + "prize: 1\n", CodeBadConfig, `unknown key "prize"`},
		"fail/bad service":  {good + "  - {name: x, address: nowhere}\n", CodeBadConfig, `address "nowhere"`},
		"fail/static root":  {good + "servestatic: true\nstaticroot: nowhere\n", CodeBadConfig, "staticroot"},
		"fail/header file":  {strings.Replace(good, "seller", "'!file+hex:gone'", 1), CodeBadConfig, "header X-Api-Key"},
		"fail/scheme":       {good + "insecure: false\n", codeNeedsRestart, "insecure cannot change from true to false"},
		"fail/database":     {good + "sqlite: {dbfile: other.db}\n", codeNeedsRestart, "sqlite.dbfile cannot change"},
		"fail/prometheus":   {good + "prometheus: {enabled: true}\n", codeNeedsRestart, "prometheus.enabled"},
		"fail/folder":       {good + "basedir: /elsewhere\n", codeNeedsRestart, "basedir"},
		"fail/idle timeout": {good + "idletimeout: 7s\n", codeNeedsRestart, "idletimeout cannot change from 2m0s to 7s"},
	} {
		t.Run(name, func(t *testing.T) {
			writeConfig(t, g, c.text)
			err := g.Reload(t.Context())
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), c.message) || fault.Hint(err) == "" {
				t.Errorf("got %q %v, want %q with %q", fault.Code(err), err, c.code, c.message)
			}
			if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d", resp.StatusCode)
			}
			if resp := get(t, g, "/open/1"); resp.StatusCode != http.StatusOK {
				t.Errorf("another service: %d", resp.StatusCode)
			}
		})
	}
	if err := os.Remove(g.now.Load().cfg.path); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); fault.Code(err) != CodeBadConfig {
		t.Errorf("no file: %v", err)
	}
	for key, line := range map[string]string{
		"listenaddr": "listenaddr: 127.0.0.1:1\nauthenticator: {network: regtest, tlspath: t, macdir: m}\n",
		"network":    "listenaddr: 127.0.0.1:0\nauthenticator: {network: signet, tlspath: t, macdir: m}\n",
		"lndhost":    "listenaddr: 127.0.0.1:0\nauthenticator: {network: regtest, lndhost: 'x:1', tlspath: t, macdir: m}\n",
		"macdir":     "listenaddr: 127.0.0.1:0\nauthenticator: {network: regtest, tlspath: t, macdir: n}\n",
		"disable":    "listenaddr: 127.0.0.1:0\nauthenticator: {network: regtest, tlspath: t, macdir: m, disable: true}\n",
	} {
		if err := os.WriteFile(g.now.Load().cfg.path, []byte(line+"insecure: true\n"+good), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.Reload(t.Context()); fault.Code(err) != codeNeedsRestart || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestReloadReadsKeys: a new master key mints from the reload on, and tokens
// of the key before stay good as long as it is in the file.
func TestReloadReadsKeys(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr())
	g := openGate(t, dir, node, services)
	writeConfig(t, g, services)
	old := buy(t, node, get(t, g, "/news/1"))
	made, err := rotateKeys(filepath.Join(dir, keyFile), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := get(t, g, "/news/1")
	if identifier := identifierOf(t, challenge(t, fresh).Tokens[0]); identifier.TokenID.KeyID().String() != made.KeyID {
		t.Errorf("minted by %v, want %v", identifier.TokenID.KeyID(), made.KeyID)
	}
	for what, token := range map[string][]string{"old": old, "new": buy(t, node, fresh)} {
		if resp := get(t, g, "/news/1", token...); resp.StatusCode != http.StatusOK {
			t.Errorf("%s token: %d", what, resp.StatusCode)
		}
	}
	keys, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(keys)), "\n")
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(strings.Join(lines[:len(lines)-1], "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, g, "/news/1", old...); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("a token of a key that is gone: %d", resp.StatusCode)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); fault.Code(err) != "key_missing" {
		t.Errorf("no key file: %v", err)
	}
}

// TestDroppedKeySellsNothing: what a dropped key minted and nobody has paid is
// neither given again, also by a gate that starts, nor payable for long.
func TestDroppedKeySellsNothing(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr())
	client := []string{"L402-Client", l402.ClientNonce{1}.String()}
	dropped := func(t *testing.T, g *Gate, old l402.Challenge) l402.Challenge {
		t.Helper()
		next := challenge(t, get(t, g, "/news/1", client...))
		if next.Invoice == old.Invoice {
			t.Fatal("the buyer is to pay for a token of a dropped key")
		}
		g.watcher.tidy(t.Context())
		if inv, err := node.LookupInvoice(t.Context(), identifierOf(t, old.Tokens[0]).PaymentHash); err != nil ||
			inv.State != lightning.InvoiceCanceled {
			t.Errorf("the old invoice is %s, %v", inv.State, err)
		}
		return next
	}
	g := openGate(t, dir, node, services)
	first := challenge(t, get(t, g, "/news/1", client...))
	if _, err := g.rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	second := dropped(t, g, first)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := rotateKeys(filepath.Join(dir, keyFile), true); err != nil {
		t.Fatal(err)
	}
	g = openGate(t, dir, node, services)
	if err := g.watcher.reconcile(t.Context(), time.Time{}); err != nil { // gives the invoices back to the seller
		t.Fatal(err)
	}
	dropped(t, g, second)
}

// TestReloadWithdrawsWhatIsNoLongerSold: an invoice whose payment would open
// nothing after a change of its service can soon not be paid any more.
func TestReloadWithdrawsWhatIsNoLongerSold(t *testing.T) {
	const head = "authenticator: {network: regtest, tlspath: t, macdir: m, enablempp: true}\ninsecure: true\nlistenaddr: 127.0.0.1:0\nservices:\n"
	service := func(what string) string { return head + "  - {address: 'localhost:1', " + what + "}\n" }
	for name, c := range map[string]struct {
		was, is string
		open    bool
	}{
		"ok/as before":                   {"name: a, price: 5", "name: a, price: 5", true},
		"ok/cheaper":                     {"name: a, price: 5", "name: a, price: 4", true},
		"ok/dearer, a token is a token":  {"name: a, price: 5, authscheme: l402", "name: a, price: 6, authscheme: l402", true},
		"ok/Payment besides":             {"name: a, price: 5, authscheme: l402", "name: a, price: 5", true},
		"ok/Payment, and tokens besides": {"name: a, price: 5, authscheme: mpp", "name: a, price: 5", true},
		"fail/dearer":                    {"name: a, price: 5", "name: a, price: 6", false},
		"fail/dearer, Payment alone":     {"name: a, price: 5, authscheme: mpp", "name: a, price: 6, authscheme: mpp", false},
		"fail/other name":                {"name: a, price: 5", "name: b, price: 5", false},
		"fail/free":                      {"name: a, price: 5", "name: a, auth: off", false},
		"fail/no tokens any more":        {"name: a, price: 5", "name: a, price: 5, authscheme: mpp", false},
		"fail/no Payment any more":       {"name: a, price: 5, authscheme: mpp", "name: a, price: 5, authscheme: l402", false},
	} {
		t.Run(name, func(t *testing.T) {
			node := newFakeNode()
			g := openGate(t, t.TempDir(), node, strings.Replace(service(c.was), "listenaddr: 127.0.0.1:0\n", "", 1))
			if resp := get(t, g, "/x"); resp.StatusCode != http.StatusPaymentRequired {
				t.Fatal(resp.StatusCode)
			}
			if err := os.WriteFile(g.now.Load().cfg.path, []byte(service(c.is)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := g.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watcher.tidy(t.Context())
			node.mu.Lock()
			defer node.mu.Unlock()
			for _, inv := range node.invoices {
				if open := inv.State == lightning.InvoiceOpen; open != c.open {
					t.Errorf("the invoice is %s", inv.State)
				}
			}
			if len(node.invoices) != 1 {
				t.Errorf("%d invoices", len(node.invoices))
			}
		})
	}
}

func identifierOf(t *testing.T, token l402.Token) l402.Identifier {
	t.Helper()
	id, err := token.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestReloadReadsCertificate: a certificate renewed on disk is served to the
// next connection, without a word to the configuration.
func TestReloadReadsCertificate(t *testing.T) {
	node, dir := newFakeNode(), t.TempDir()
	services := "insecure: false\ntlscertpath: tls.cert\ntlskeypath: tls.key\nservices: [{name: a, address: 'localhost:1'}]\n"
	renew := func() {
		t.Helper()
		for _, name := range []string{"tls.cert", "tls.key"} {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := (&Config{}).ensureSelfSigned(filepath.Join(dir, "tls.cert"), filepath.Join(dir, "tls.key")); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	g := openGate(t, dir, node, services)
	writeConfig(t, g, services)
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", g.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if conn.ConnectionState().NegotiatedProtocol != "h2" {
			t.Error("no HTTP/2")
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	renew()
	if got := serial(); got != before {
		t.Error("the certificate changed before the reload")
	}
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := serial()
	if after == before {
		t.Error("the old certificate is served after the reload")
	}
	if err := os.WriteFile(filepath.Join(dir, "tls.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); fault.Code(err) != codeBadTLS {
		t.Errorf("a broken key: %v", err)
	}
	if got := serial(); got != after {
		t.Error("a failed reload changed the certificate")
	}
}

// TestReloadReopensAccessLog: what rotates logs moves the file away and says
// so.
func TestReloadReopensAccessLog(t *testing.T) {
	b, dir := newBackend(t), t.TempDir()
	services := fmt.Sprintf(twoServices, b.addr()) + "accesslog: access.log\n"
	g := openGate(t, dir, newFakeNode(), services)
	writeConfig(t, g, services)
	get(t, g, "/open/before")
	path, moved := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.1")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	get(t, g, "/open/after")
	g.observer.access.flushNow()
	for file, want := range map[string]string{path: "/open/after", moved: "/open/before"} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	// A log that cannot be opened is a mistake like any other.
	writeConfig(t, g, strings.Replace(services, "access.log", "no/such/folder/log", 1))
	if err := g.Reload(t.Context()); fault.Code(err) != CodeBadConfig {
		t.Errorf("a folder that is not there: %v", err)
	}
	get(t, g, "/open/last")
	g.observer.access.flushNow()
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "/open/last") {
		t.Errorf("after a failed reload: %q, %v", text, err)
	}
}

// TestRenewsItsOwn: a gate that runs for longer than its certificate lives
// makes another, and takes over nothing else.
func TestRenewsItsOwn(t *testing.T) {
	dir := t.TempDir()
	g := openGate(t, dir, newFakeNode(), "insecure: false\nservices: [{name: a, address: 'localhost:1'}]\n")
	first := g.now.Load()
	if err := g.renewIfOutdated(); err != nil || g.now.Load() != first {
		t.Fatalf("a new certificate was renewed: %v", err)
	}
	certPEM, keyPEM, err := cert.GenCertPair(certOrganization, nil, nil, false, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	first.tls = serving(old)
	for name, text := range map[string][]byte{"tls.cert": certPEM, "tls.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.renewIfOutdated(); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(g.now.Load().tls.Certificates[0].Leaf.NotAfter); left < certRenewBefore {
		t.Errorf("the new certificate is good for %v", left)
	}
}
