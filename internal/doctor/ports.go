package doctor

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/internal/lnd"
)

// checkPorts looks at which ports other machines can reach.
func checkPorts(_ context.Context, e *Env) (found []Finding) {
	if r, on := e.record(aNode); on {
		found = append(found, exposed("the node's gRPC", r.RPC, warn, "leyden node start --rpclisten localhost:10009, or allow only some addresses in the firewall")...)
		found = append(found, exposed("the node's REST", r.REST, e.restIsPlain(), "leyden node start --restlisten localhost:8080")...)
		found = append(found, exposed("the operators' API", []string{r.API}, warn, "leyden node start --apilisten localhost:8443")...)
	}
	if r, on := e.record(aGuard); on {
		found = append(found, exposed("the guard's gRPC", r.RPC, info, "leyden guard start --rpclisten localhost:10019")...)
		found = append(found, exposed("the operators' API", []string{r.API}, warn, "leyden guard start --apilisten localhost:8443")...)
	}
	if r, on := e.record(aSigner); on {
		found = append(found, exposed("the signer's gRPC", r.RPC, info, "allow only the node's address in the firewall")...)
		found = append(found, exposed("the signer's REST", r.REST, fail, "leyden signer start, without --rest")...)
	}
	return found
}

// restIsPlain makes REST without TLS worse than with it.
func (e *Env) restIsPlain() func(string, string, ...any) Finding {
	if e.on("no-rest-tls") {
		return fail
	}
	return warn
}

// on says whether a switch of the node's lnd is on: in lnd.conf, or by what the
// running node was started with.
func (e *Env) on(name string) (is bool) {
	for _, o := range append(e.conf(), e.arguments()...) {
		if o.Name == name {
			is = o.Value == "true" || o.Value == "1"
		}
	}
	return is
}

// conf is lnd.conf; nil where there is none that can be read.
func (e *Env) conf() []lnd.Option {
	options, err := lnd.LoadConf(filepath.Join(e.Home.Node(), "lnd.conf"))
	if err != nil {
		return nil
	}
	return options
}

// arguments are the options of lnd that the running node was given after --.
func (e *Env) arguments() []lnd.Option {
	r, running := e.record(aNode)
	if !running {
		return nil
	}
	line, err := os.ReadFile(filepath.Join(e.Proc, strconv.Itoa(r.PID), "cmdline"))
	if err != nil {
		return nil
	}
	_, after, _ := strings.Cut(string(line), "\x00--\x00")
	options, err := lnd.ParseArgs(strings.FieldsFunc(after, func(r rune) bool { return r == 0 }))
	if err != nil {
		return nil
	}
	return options
}

func exposed(what string, addrs []string, how func(string, string, ...any) Finding, fix string) []Finding {
	var open []string
	for _, addr := range addrs {
		if addr != "" && !loopback(addr) {
			open = append(open, addr)
		}
	}
	switch {
	case len(open) > 0:
		return []Finding{how(fix, "%s port %s can be reached from other machines, unless a firewall keeps them out", what, strings.Join(open, ", "))}
	case len(addrs) > 0 && addrs[0] != "":
		return []Finding{ok("%s port is this machine's alone", what)}
	}
	return nil
}

// checkBackends finds services behind a gate that buyers can reach past it.
func checkBackends(_ context.Context, e *Env) (found []Finding) {
	conf, err := e.gateConfig()
	if conf == nil || err != nil {
		return nil
	}
	listening, readable := e.listeners()
	for _, s := range conf.Services {
		host, port, err := net.SplitHostPort(s.Address)
		if err != nil || !loopback(host) {
			continue // on another machine
		}
		switch open, on := listening[port]; {
		case !readable:
			found = append(found, unseen("ss -ltn", "cannot see which addresses the backend of service %s listens on", s.Name))
		case !on:
			found = append(found, info("start it", "nothing listens on port %s, the backend of service %s", port, s.Name))
		case open:
			found = append(found, fail("have it listen on 127.0.0.1 alone", "the backend of service %s listens on every address, port %s: buyers can go past the gate without paying", s.Name, port))
		default:
			found = append(found, ok("the backend of service %s is this machine's alone", s.Name))
		}
	}
	return found
}

// listeners are the TCP ports that are listened on, and whether on more than the
// loopback. Linux's /proc/net says so to every user.
func (e *Env) listeners() (ports map[string]bool, readable bool) {
	ports = map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(filepath.Join(e.Proc, "net", table))
		if err != nil {
			continue
		}
		readable = true
		for line := range strings.Lines(string(data)) {
			if addr, is := listener(line); is {
				port := strconv.Itoa(int(addr.Port()))
				ports[port] = ports[port] || !addr.Addr().Unmap().IsLoopback()
			}
		}
	}
	return ports, readable
}

// listener reads a line of /proc/net/tcp: number, local address, remote address
// and state, of which 0A is listening. Addresses are hex words in the machine's
// order of bytes, which on Linux's machines of today is the little-endian one.
func listener(line string) (netip.AddrPort, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[3] != "0A" {
		return netip.AddrPort{}, false
	}
	host, port, ok := strings.Cut(fields[1], ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	addr, is := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !is || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(number)), true
}
