package gate

import (
	"fmt"
	"testing"
)

func TestRewritePrefix(t *testing.T) {
	for name, c := range map[string]struct{ prefix, path, want string }{
		"ok/prefix":         {"/v1", "/news/1", "/v1/news/1"},
		"ok/trailing slash": {"/v1/", "/news/1", "/v1/news/1"},
		"ok/escaped":        {"/v1", "/news/a%20b?q=%2F", "/v1/news/a%20b?q=%2F"},
		"ok/none":           {"", "/news/1", "/news/1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			// What is matched, and free, is the path that the buyer asks for.
			g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf("services: [{name: a, pathregexp: '^/news/', address: %q, rewrite: {prefix: %q}, "+
				"authwhitelistpaths: ['^/news/']}]\n", b.addr(), c.prefix))
			get(t, g, c.path)
			seen := b.requests()
			if len(seen) != 1 || seen[0].URL.RequestURI() != c.want {
				t.Fatalf("the backend saw %v, want %s", seen, c.want)
			}
		})
	}
}
