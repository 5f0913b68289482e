package child

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// TestRemoteAddr: a connection counts as the address in its preamble, or as
// local, and nothing of what follows is lost.
func TestRemoteAddr(t *testing.T) {
	dir, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // stale
		t.Fatal(err)
	}
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket's mode: %v, %v", info.Mode(), err)
	}

	header := func(version byte, ip string) string {
		src := &net.TCPAddr{IP: net.ParseIP(ip), Port: 7}
		b, err := proxyproto.HeaderProxyFromAddrs(version, src, src).Format()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cases := map[string]struct{ preamble, want string }{
		"ok/none":           {"", "127.0.0.1:0"},
		"ok/version 1":      {header(1, "10.1.2.3"), "10.1.2.3:7"},
		"ok/version 2":      {header(2, "10.1.2.3"), "10.1.2.3:7"},
		"ok/version 2, IP6": {header(2, "2001:db8::1"), "[2001:db8::1]:7"},
		"ok/local":          {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1:0"},
		"ok/unknown":        {"PROXY UNKNOWN\r\n", "127.0.0.1:0"},
		"fail/malformed":    {"PROXY TCP4 10.1.2.3\r\n", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			if _, err := out.Write([]byte(c.preamble + "hello")); err != nil {
				t.Fatal(err)
			}
			in, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := in.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			addr := in.RemoteAddr().String()
			buf := make([]byte, 5)
			_, err = in.Read(buf)
			if c.want == "" {
				if err == nil {
					t.Errorf("taken as %s", addr)
				}
				return
			}
			if err != nil || string(buf) != "hello" || addr != c.want {
				t.Errorf("%s, %q, %v; want %s", addr, buf, err, c.want)
			}
		})
	}
}
