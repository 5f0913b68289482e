package doctor

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/leydenln/leyden/internal/fetch"
)

// gate writes a gate.yaml with further lines, in which nothing is wrong without
// them.
func (b *bench) gate(lines string) {
	b.Helper()
	if lines == "" {
		lines = b.paid()
	}
	b.write(".leyden/gate/gate.yaml", lines+`
prometheus:
  enabled: true
ratelimits:
  - requests: 10
    per: 1s
services:
  - name: data
    address: 127.0.0.1:8080
    timeout: 3600
`, 0o600)
}

// paid is an authenticator for gate.
func (b *bench) paid() string {
	return fmt.Sprintf("authenticator:\n  network: regtest\n  tlspath: %[1]s/tls.cert\n  macdir: %[1]s/macaroons\n", b.dir)
}

func TestGate(t *testing.T) {
	with := func(lines string) func(*bench) { return func(b *bench) { b.gate(b.paid() + lines) } }
	bare := func(service string) func(*bench) {
		return func(b *bench) {
			b.write(".leyden/gate/gate.yaml", b.paid()+"prometheus:\n  enabled: true\nservices:\n  - name: data\n    timeout: 3600\n"+service, 0o600)
		}
	}
	checked{
		"ok/none":                   {func(*bench) {}, nil},
		"ok/whole":                  {with(""), []want{{OK, "charges for every service"}}},
		"ok/insecure on loopback":   {with("insecure: true\nlistenaddr: localhost:8081\n"), []want{{OK, "charges"}}},
		"ok/limit of the service":   {bare("    address: 127.0.0.1:8080\n    ratelimits: [{requests: 1, per: 1s}]\n"), []want{{OK, "charges"}}},
		"fail/insecure":             {with("insecure: true\nlistenaddr: 0.0.0.0:8081\n"), []want{{Fail, "plain HTTP"}}},
		"fail/free":                 {func(b *bench) { b.gate("authenticator:\n  disable: true\n") }, []want{{Warn, "asks nobody for money"}}},
		"fail/shadow":               {with("shadow: true\n"), []want{{Warn, "charges nobody"}}},
		"fail/everybody is a proxy": {with("trustedproxies: [0.0.0.0/0]\n"), []want{{Fail, "X-Forwarded-For"}}},
		"fail/no rate limit":        {bare("    address: 127.0.0.1:8080\n"), []want{{Warn, "no rate limit"}}},
		"fail/plain to the backend": {bare("    address: 192.0.2.9:8080\n    ratelimits: [{requests: 1, per: 1s}]\n"), []want{{Warn, "plain HTTP with the backend"}}},
		"fail/credential passed on": {bare("    address: 127.0.0.1:8080\n    passcredential: true\n    ratelimits: [{requests: 1, per: 1s}]\n"), []want{{Info, "sees the buyers' credentials"}}},
		"fail/no figures": {func(b *bench) {
			b.write(".leyden/gate/gate.yaml", "authenticator:\n  disable: true\nservices:\n  - name: data\n    address: 127.0.0.1:8080\n    ratelimits: [{requests: 1, per: 1s}]\n", 0o600)
		}, []want{{Warn, "asks nobody"}, {Info, "never expire"}, {Info, "serves no figures"}}},
		"fail/unknown key": {with("nonsense: 1\n"), []want{{Fail, "nonsense"}}},
	}.run(t, checkGate)
}

func TestGateKey(t *testing.T) {
	aged := func(days int) func(*bench) {
		return func(b *bench) {
			path := b.write(".leyden/gate/master.key", "x", 0o600)
			at := now.AddDate(0, 0, -days)
			if err := os.Chtimes(path, at, at); err != nil {
				b.Fatal(err)
			}
		}
	}
	checked{
		"ok/none":  {func(*bench) {}, nil},
		"ok/young": {aged(300), []want{{OK, "300 days old"}}},
		"fail/old": {aged(400), []want{{Info, "400 days old"}}},
	}.run(t, checkGateKey)
}

func TestBackends(t *testing.T) {
	const head = "  sl  local_address rem_address   st\n"
	table := func(name, text string) func(*bench) {
		return func(b *bench) {
			b.gate(b.paid())
			b.write("proc/net/"+name, head+text, 0o600)
		}
	}
	checked{
		"ok/none":                  {func(*bench) {}, nil},
		"ok/loopback":              {table("tcp", "   0: 0100007F:1F90 00000000:0000 0A 0\n"), []want{{OK, "this machine's alone"}}},
		"ok/loopback6":             {table("tcp6", "   0: 00000000000000000000000001000000:1F90 0:0 0A 0\n"), []want{{OK, "this machine's alone"}}},
		"ok/only connected":        {table("tcp", "   0: 00000000:1F90 00000000:0000 01 0\n"), []want{{Info, "nothing listens on port 8080"}}},
		"fail/every":               {table("tcp", "   0: 00000000:1F90 00000000:0000 0A 0\n"), []want{{Fail, "past the gate"}}},
		"fail/every6":              {table("tcp6", "   0: 00000000000000000000000000000000:1F90 0:0 0A 0\n"), []want{{Fail, "past the gate"}}},
		"fail/one too many, first": {table("tcp", "   0: 070200C0:1F90 00000000:0000 0A 0\n   1: 0100007F:1F90 00000000:0000 0A 0\n"), []want{{Fail, "past the gate"}}},
		"fail/one too many":        {table("tcp", "   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 070200C0:1F90 00000000:0000 0A 0\n"), []want{{Fail, "past the gate"}}},
		"fail/no table":            {func(b *bench) { b.gate(b.paid()) }, []want{{Info, "cannot see"}}},
		"fail/garbage":             {table("tcp", "   0: zz:1F90 00000000:0000 0A 0\n 1: 00:1 2 0A\n"), []want{{Info, "nothing listens"}}},
	}.run(t, checkBackends)
}

// TestListenersOfThisMachine reads the kernel's own table.
func TestListenersOfThisMachine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.Proc = "/proc"
	ports, readable := b.listeners()
	if !readable {
		t.Skip("no /proc/net here")
	}
	if open, on := ports[port]; !on || open {
		t.Errorf("port %s: listening %t, open %t", port, on, open)
	}
}

func TestPorts(t *testing.T) {
	node := func(r running) func(*bench) { return func(b *bench) { b.runs(aNode, r) } }
	local := running{RPC: []string{"127.0.0.1:10009"}, API: "[::1]:8443"}
	checked{
		"ok/nothing runs": {func(*bench) {}, nil},
		"ok/loopback":     {node(local), []want{{OK, "gRPC"}, {OK, "operators' API"}}},
		"fail/rpc": {node(running{RPC: []string{"127.0.0.1:10009", "0.0.0.0:10009"}, API: "127.0.0.1:8443"}),
			[]want{{Warn, "gRPC port 0.0.0.0:10009"}, {OK, "operators' API"}}},
		"fail/api": {node(running{RPC: local.RPC, API: "192.0.2.1:8443"}), []want{{OK, "gRPC"}, {Warn, "operators' API port 192.0.2.1"}}},
		"fail/rest": {node(running{RPC: local.RPC, REST: []string{"[::]:8080"}, API: local.API}),
			[]want{{OK, "gRPC"}, {Warn, "REST port [::]:8080"}, {OK, "operators' API"}}},
		"fail/rest without TLS": {func(b *bench) {
			b.runs(aNode, running{RPC: local.RPC, REST: []string{"0.0.0.0:8080"}, API: local.API})
			b.write(".leyden/node/lnd.conf", "no-rest-tls=1\n", 0o600)
		}, []want{{OK, "gRPC"}, {Fail, "REST port"}, {OK, "operators' API"}}},
		"fail/guard": {func(b *bench) { b.runs(aGuard, running{RPC: []string{"0.0.0.0:10019"}, API: "0.0.0.0:8443"}) },
			[]want{{Info, "guard's gRPC"}, {Warn, "operators' API"}}},
		"fail/signer": {func(b *bench) {
			b.runs(aSigner, running{RPC: []string{"0.0.0.0:10012"}, REST: []string{"0.0.0.0:10013"}})
		}, []want{{Info, "signer's gRPC"}, {Fail, "signer's REST"}}},
	}.run(t, checkPorts)
}

func TestLngetLimits(t *testing.T) {
	with := func(change func(*fetch.Config)) func(*bench) { return func(b *bench) { b.lnget(change) } }
	checked{
		"ok/no lnget": {func(*bench) {}, nil},
		"ok/defaults": {with(nil), []want{{OK, "1000 sat for one fetch"}}},
		"ok/no file":  {func(b *bench) { b.mkdir(b.Lnget, 0o700) }, []want{{Info, "no configuration"}}},
		"fail/cost":   {with(func(c *fetch.Config) { c.L402.MaxCostSats = largeCost + 1 }), []want{{Warn, "100001 sat for one fetch"}}},
		"fail/fee": {with(func(c *fetch.Config) { c.L402.MaxFeeSats = largeCost + 1 }),
			[]want{{OK, "1000 sat"}, {Warn, "of fees for one payment"}}},
		"fail/cost by the environment": {func(b *bench) {
			b.lnget(nil)
			b.Environ = []string{"LNGET_L402_MAX_COST_SATS=5000000"}
		}, []want{{Warn, "5000000 sat"}}},
		"fail/insecure":           {with(func(c *fetch.Config) { c.HTTP.AllowInsecure = true }), []want{{Fail, "does not check certificates"}, {OK, ""}}},
		"fail/insecure, no money": {with(func(c *fetch.Config) { c.HTTP.AllowInsecure, c.LN.LND.Network = true, "regtest" }), []want{{Warn, "does not check certificates"}, {OK, ""}}},
		"fail/malformed":          {func(b *bench) { b.write(".lnget/config.yaml", "nonsense: 1\n", 0o600) }, []want{{Fail, "nonsense"}}},
		"fail/misspelt variable": {func(b *bench) {
			b.lnget(nil)
			b.Environ = []string{"LNGET_MAX_COST_SATS=5"}
		}, []want{{Fail, "LNGET_MAX_COST_SATS"}, {OK, ""}}},
	}.run(t, checkLngetLimits)
}
