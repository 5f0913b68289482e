package fetch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

// TestProxies: which proxy is asked for which URL.
func TestProxies(t *testing.T) {
	const (
		web = "http://shop.example/"
		tls = "https://shop.example/"
	)
	cases := map[string]struct {
		vars      map[string]string
		url, want string
	}{
		"ok/none":                        {nil, web, ""},
		"ok/http":                        {map[string]string{"http_proxy": "http://p:1"}, web, "http://p:1"},
		"ok/http is not for https":       {map[string]string{"http_proxy": "http://p:1"}, tls, ""},
		"ok/https":                       {map[string]string{"HTTPS_PROXY": "http://p:1"}, tls, "http://p:1"},
		"ok/lower case first":            {map[string]string{"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"}, tls, "http://q:2"},
		"ok/all":                         {map[string]string{"ALL_PROXY": "socks5h://p:1"}, tls, "socks5h://p:1"},
		"ok/all, lower case":             {map[string]string{"all_proxy": "socks5://p:1"}, web, "socks5://p:1"},
		"ok/its own before all":          {map[string]string{"all_proxy": "socks5://p:1", "http_proxy": "q:2"}, web, "http://q:2"},
		"ok/not for these":               {map[string]string{"ALL_PROXY": "p:1", "NO_PROXY": "other,.example"}, web, ""},
		"ok/no_proxy, lower case first":  {map[string]string{"ALL_PROXY": "p:1", "NO_PROXY": "*", "no_proxy": "other"}, web, "http://p:1"},
		"ok/for none":                    {map[string]string{"ALL_PROXY": "p:1", "no_proxy": "*"}, web, ""},
		"ok/in a CGI program":            {map[string]string{"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, web, ""},
		"ok/in a CGI program, lower one": {map[string]string{"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, web, "http://p:1"},
		"fail/unknown kind":              {map[string]string{"ALL_PROXY": "socks4://u:secret@p:1"}, web, CodeBadProxy},
		"fail/no host":                   {map[string]string{"https_proxy": "http://"}, tls, CodeBadProxy},
		"fail/malformed":                 {map[string]string{"http_proxy": "http://secret:%zz@p"}, web, CodeBadProxy},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			find, err := proxies(func(name string) (string, bool) { v, ok := c.vars[name]; return v, ok })
			if err != nil {
				if fault.Code(err) != c.want || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
				return
			}
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := find(&http.Request{URL: u})
			if err != nil {
				t.Fatal(err)
			}
			if got == nil {
				got = &url.URL{}
			}
			if got.String() != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// socks is a SOCKS5 proxy (RFC 1928) that leads everywhere to one server, and
// tells the names it was asked for.
func socks(t *testing.T, server string) (addr string, asked chan string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	asked = make(chan string, 10)
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				name, err := greet(conn)
				if err != nil {
					return
				}
				asked <- name
				up, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(up, conn) }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	return lis.Addr().String(), asked
}

// greet answers a client, and returns where it wants to go: a name, or "an
// address".
func greet(conn net.Conn) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte{5, 0}); err != nil {
		return "", err
	}
	request := make([]byte, 5)
	if _, err := io.ReadFull(conn, request); err != nil {
		return "", err
	}
	rest := make([]byte, int(request[4])+2)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return "", err
	}
	_, err := conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	if request[3] != 3 {
		return "an address", err
	}
	port := binary.BigEndian.Uint16(rest[len(rest)-2:])
	return fmt.Sprintf("%s:%d", rest[:len(rest)-2], port), err
}

// TestTor: an .onion name goes to the proxy as it is, and never to DNS.
func TestTor(t *testing.T) {
	const name = "leydenleydenleydenleydenleydenleydenleydenleydenleydenab.onion"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hidden ", r.Host) }))
	defer server.Close()
	for _, unproxied := range []map[string]string{{}, {"ALL_PROXY": "socks5h://127.0.0.1:1", "NO_PROXY": "*"}} {
		for k, v := range unproxied {
			t.Setenv(k, v)
		}
		c, _ := newClient(t, nil)
		for _, host := range []string{name, strings.ToUpper(name), name + ".", name + ":8080"} {
			_, err := c.Do(t.Context(), Request{URL: "http://" + host + "/", Out: io.Discard})
			if fault.Code(err) != CodeNoTor || !strings.Contains(fault.Hint(err), "ALL_PROXY=socks5h") {
				t.Errorf("%s without a proxy: %v", host, err)
			}
		}
	}
	t.Setenv("NO_PROXY", "")
	for _, scheme := range []string{"socks5", "socks5h"} {
		addr, asked := socks(t, server.Listener.Addr().String())
		t.Setenv("ALL_PROXY", scheme+"://"+addr)
		c, _ := newClient(t, nil)
		var out bytes.Buffer
		if _, err := c.Do(t.Context(), Request{URL: name + "/page", Out: &out}); err != nil || out.String() != "hidden "+name {
			t.Fatalf("%s: %q, %v", scheme, out.String(), err)
		}
		if got := <-asked; got != name+":80" {
			t.Errorf("%s: the proxy was asked for %s", scheme, got)
		}
	}
}

// TestProxyThatIsDown is named as what is wrong, without its password.
func TestProxyThatIsDown(t *testing.T) {
	for _, scheme := range []string{"http", "socks5h"} {
		t.Setenv("ALL_PROXY", scheme+"://user:secret@127.0.0.1:1")
		c, _ := newClient(t, nil)
		_, err := c.Do(t.Context(), Request{URL: "http://shop.example/", Out: io.Discard})
		if fault.Code(err) != CodeNetwork || !strings.Contains(fault.Hint(err), "proxy") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, hint %q", scheme, err, fault.Hint(err))
		}
	}
}

// TestProxyThatRefuses: who says no is the proxy, not the server.
func TestProxyThatRefuses(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	t.Setenv("ALL_PROXY", strings.Replace(proxy.URL, "://", "://user:secret@", 1))
	c, _ := newClient(t, nil)
	_, err := c.Do(t.Context(), Request{URL: "https://shop.example/", Out: io.Discard})
	if fault.Code(err) != CodeNetwork || !strings.Contains(err.Error(), "the proxy 127.0.0.1") || !strings.Contains(err.Error(), "407") ||
		!strings.Contains(fault.Hint(err), "proxy") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
