package guard

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

const (
	checkMethod = "/lnrpc.Lightning/CheckMacaroonPermissions"

	// verdictLife is how long lnd's yes counts, maxVerdicts how many are kept.
	verdictLife = 10 * time.Second
	maxVerdicts = 4096
)

// verify has lnd check signature, permissions and caveats of the credential for
// the call, as of the client's address. Lnd's no is passed on as lnd words it.
// id is the account's, or zero for an operator's.
func (g *Guard) verify(ctx context.Context, call *front.Call, lnd *attachment, cred credential, id account.ID) error {
	key := verdictKey{cred.hash, call.Method, call.Peer}
	if g.verdicts.holds(key) {
		return nil
	}
	epoch := g.verdicts.now()
	request, err := proto.Marshal(&lnrpc.CheckMacPermRequest{
		Macaroon: cred.raw, FullMethod: call.Method, CheckDefaultPermsFromFullMethod: true,
	})
	if err != nil {
		return err
	}
	raw, err := call.Invoke(ctx, checkMethod, lnd.Macaroon, request)
	switch status.Code(err) {
	case codes.OK:
	case codes.InvalidArgument, codes.Unknown:
		return status.Error(codes.Unknown, status.Convert(err).Message())
	default:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.log.Warn("lnd did not verify a macaroon", "method", call.Method, "err", err)
		return refuse(codes.Unavailable, "node_down", "", "lnd did not answer whether the macaroon is valid")
	}
	answer := new(lnrpc.CheckMacPermResponse)
	if err := proto.Unmarshal(raw, answer); err != nil {
		return err
	}
	if !answer.GetValid() {
		return status.Error(codes.Unknown, "verification failed")
	}
	g.verdicts.keep(key, id, cred.Caveats(), epoch)
	return nil
}

type verdictKey struct {
	macaroon [32]byte // SHA-256
	method   string
	client   netip.Addr
}

type verdict struct {
	account account.ID
	until   time.Time
}

// verdicts remembers for a moment what lnd has verified.
type verdicts struct {
	clock func() time.Time

	mu    sync.Mutex
	epoch uint64 // raised by forget: what was asked before does not count any more
	kept  map[verdictKey]verdict
}

func newVerdicts(clock func() time.Time) *verdicts {
	return &verdicts{clock: clock, kept: make(map[verdictKey]verdict)}
}

func (v *verdicts) holds(key verdictKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept, ok := v.kept[key]
	return ok && v.clock().Before(kept.until)
}

// now returns the epoch, to be read before lnd is asked.
func (v *verdicts) now() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.epoch
}

// keep remembers a yes that was asked for in the epoch.
func (v *verdicts) keep(key verdictKey, id account.ID, caveats []macaroon.Caveat, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	until := now.Add(verdictLife)
	if end, ok := timeBefore(caveats); ok && end.Before(until) {
		until = end
	}
	if epoch != v.epoch || !now.Before(until) {
		return
	}
	if len(v.kept) >= maxVerdicts {
		v.makeRoom(now)
	}
	v.kept[key] = verdict{id, until}
}

func (v *verdicts) makeRoom(now time.Time) {
	for key, kept := range v.kept {
		if !now.Before(kept.until) {
			delete(v.kept, key)
		}
	}
	if len(v.kept) >= maxVerdicts {
		clear(v.kept)
	}
}

func (v *verdicts) forget(which func(verdict) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch++
	for key, kept := range v.kept {
		if which(kept) {
			delete(v.kept, key)
		}
	}
}

func (v *verdicts) forgetAll() { v.forget(func(verdict) bool { return true }) }

// forget drops what lnd has verified for the account: its macaroons were
// revoked. Calls that are open must be cut by the caller, afterwards.
func (g *Guard) forget(id account.ID) {
	g.verdicts.forget(func(kept verdict) bool { return kept.account == id })
}

// timeBefore returns the earliest end of the caveats' lives. One that cannot be
// read ended long ago.
func timeBefore(caveats []macaroon.Caveat) (end time.Time, ok bool) {
	for _, c := range caveats {
		name, arg, _ := strings.Cut(c.Text, " ")
		if name != "time-before" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, arg)
		if err != nil {
			t = time.Time{}
		}
		if !ok || t.Before(end) {
			end, ok = t, true
		}
	}
	return end, ok
}

// judgeAddresses refuses a client at another address than the macaroon's ipaddr
// and iprange caveats name (lnd, macaroons/constraints.go: an IP address, a
// CIDR).
func judgeAddresses(caveats []macaroon.Caveat, client netip.Addr) error {
	client = client.Unmap()
	for _, c := range caveats {
		name, arg, _ := strings.Cut(c.Text, " ")
		var within bool
		switch name {
		case "ipaddr":
			addr, err := netip.ParseAddr(arg)
			within = err == nil && addr.Unmap() == client
		case "iprange":
			within = inRange(arg, client)
		default:
			continue
		}
		if !within {
			return refuse(codes.PermissionDenied, "address_denied", "",
				"this macaroon is locked to other addresses than %s", client)
		}
	}
	return nil
}

func inRange(cidr string, client netip.Addr) bool {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return false
	}
	if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
	}
	return prefix.Contains(client)
}
