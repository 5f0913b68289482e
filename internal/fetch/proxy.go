package fetch

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/leydenln/leyden/internal/fault"
)

// Codes of proxies.
const (
	CodeBadProxy = "bad_proxy"
	CodeNoTor    = "no_tor"
)

// proxySchemes are the proxies there are. A SOCKS proxy is always given the
// name, never an address: socks5 is socks5h.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// proxies reads the proxy variables, in lower case before upper case as curl
// does: http_proxy, https_proxy, all_proxy for what has none, and no_proxy.
func proxies(environ func(string) (string, bool)) (func(*http.Request) (*url.URL, error), error) {
	get := func(name string) string {
		lower, _ := environ(name)
		upper, _ := environ(strings.ToUpper(name))
		return cmp.Or(lower, upper)
	}
	_, cgi := environ("REQUEST_METHOD") // there HTTP_PROXY is a header of the client's
	all := get("all_proxy")
	conf := httpproxy.Config{HTTPProxy: cmp.Or(get("http_proxy"), all), HTTPSProxy: cmp.Or(get("https_proxy"), all),
		NoProxy: get("no_proxy")}
	if lower, _ := environ("http_proxy"); cgi {
		conf.HTTPProxy = cmp.Or(lower, all)
	}
	for _, text := range []string{conf.HTTPProxy, conf.HTTPSProxy} {
		if err := checkProxy(text); err != nil {
			return nil, err
		}
	}
	find := conf.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) { return find(req.URL) }, nil
}

// checkProxy does not quote what it refuses: it may hold a password.
func checkProxy(text string) error {
	if text == "" {
		return nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(proxySchemes, u.Scheme) {
		return fault.New(CodeBadProxy, "set it to such as socks5h://127.0.0.1:9050, or unset it",
			"a proxy variable of the environment (http_proxy, https_proxy or all_proxy) names no proxy of http, https, socks5 or socks5h")
	}
	return nil
}

// dialer connects to proxies and, without one, to servers. An .onion name is
// never looked up (RFC 7686).
type dialer struct{ net.Dialer }

// DialContext connects as [net.Dialer] does.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "onion" || strings.HasSuffix(name, ".onion") {
		return nil, fault.New(CodeNoTor, "ALL_PROXY=socks5h://127.0.0.1:9050 goes through Tor on this machine",
			"%q is a Tor service, and no proxy is set for it", name)
	}
	return d.Dialer.DialContext(ctx, network, addr)
}

func newDialer(timeout time.Duration) *dialer {
	return &dialer{net.Dialer{Timeout: timeout}}
}

// proxyAnswered is the error of a proxy that does not connect.
func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fault.New(CodeNetwork, hintProxy, "the proxy %s does not connect: %d %s", proxy.Host, resp.StatusCode,
		http.StatusText(resp.StatusCode))
}

const hintProxy = "check the proxy that http_proxy, https_proxy or all_proxy name"

// viaProxy reports whether err came about on the way to a proxy or in it.
func viaProxy(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks"))
}
