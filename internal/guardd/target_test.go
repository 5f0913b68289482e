package guardd

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

func TestRecent(t *testing.T) {
	for name, c := range map[string]struct{ version, code string }{
		"ok/tried":       {"0.21.2-beta commit=v0.21.2-beta", ""},
		"ok/next":        {"0.22.0-beta.rc1 commit=", ""},
		"ok/major":       {"1.0.0", ""},
		"fail/older":     {"0.20.1-beta commit=x", "lnd_too_old"},
		"fail/much":      {"0.9.0-beta", "lnd_too_old"},
		"fail/nothing":   {"", "lnd_too_old"},
		"fail/no number": {"beta", "lnd_too_old"},
	} {
		t.Run(name, func(t *testing.T) {
			err := recent(c.version)
			if (err == nil) != (c.code == "") || err != nil && fault.Code(err) != c.code {
				t.Errorf("%q: %v", c.version, err)
			}
		})
	}
}

// TestReasons: what lnd says gets a code, and a hint to act on.
func TestReasons(t *testing.T) {
	target := Target{Address: "localhost:10009"}
	for _, c := range []struct{ said, code string }{
		{"wallet locked, unlock it to enable full RPC access", "node_locked"},
		{"wallet not created, create one to enable full RPC access", "node_locked"},
		{"the RPC server is in the process of starting up, but not yet ready to accept calls", "node_starting"},
		{"waiting to start, RPC services not available", "node_starting"},
		{"permission denied", "weak_macaroon"},
		{"verification failed: signature mismatch after caveat verification", "bad_macaroon"},
		{"cannot get macaroon: root key with id 7 doesn't exist", "bad_macaroon"},
		{`authentication handshake failed: lnd's certificate is not the one in "tls.cert"`, "bad_certificate"},
		{"connection refused", "node_unreachable"},
	} {
		err := target.unreachable(status.Error(codes.Unknown, c.said))
		if fault.Code(err) != c.code || fault.Hint(err) == "" {
			t.Errorf("%q: code %q, hint %q", c.said, fault.Code(err), fault.Hint(err))
		}
	}
	for _, c := range []struct{ said, code string }{
		{"register the middleware: rpc error: code = Unknown desc = RPC middleware not enabled in config", "rpcmiddleware_off"},
		{"error registering middleware: a middleware with the name 'leyden-guard' is already registered", "middleware_taken"},
		{"leyden: method_blocked: RPC middleware cannot be registered through this port", "middleware_taken"},
		{"strange", "not_attached"},
	} {
		err := explain(errors.New(c.said))
		if fault.Code(err) != c.code || fault.Hint(err) == "" {
			t.Errorf("%q: code %q, hint %q", c.said, fault.Code(err), fault.Hint(err))
		}
	}
}
