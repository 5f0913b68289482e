package itest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/lnc"
)

// TestGuardSessions: a guard before somebody else's lnd serves sessions. One that
// was revoked while lnd was away is worth nothing at lnd's own port either, once
// that is back.
func TestGuardSessions(t *testing.T) {
	w := theWorld(t)
	l := w.plainLnd(t)
	l.start(t, "--rpcmiddleware.enable")
	g := w.guardHome(t, l)
	g.must(t, g.startArgs()...)
	r := w.relay(t)
	lnd := client{addr: l.rpc, cert: l.cert(), macaroon: readMacaroon(t, l.macaroon("admin"))}.lightning(t)

	admin := g.session(t, r, "--type", "admin")
	g.must(t, "accounts", "create", "50000", "--label", "pos", "--save_to", t.TempDir()+"/pos.macaroon")
	pos := g.session(t, r, "--type", "account", "--account_id", "pos")
	if admin.info(t).IdentityPubkey != pos.info(t).IdentityPubkey {
		t.Error("the two see different nodes")
	}
	checkBalance(t, pos, 50_000)

	theirs := client{addr: l.rpc, cert: l.cert(), macaroon: lnc.AuthHeaders(authOf(t, admin))["macaroon"]}.lightning(t)
	if _, err := theirs.GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err != nil {
		t.Errorf("the macaroon of an open session: %v", err)
	}
	if err := l.process.Kill(); err != nil {
		t.Fatal(err)
	}
	g.must(t, "sessions", "revoke", admin.session)
	l.start(t, "--rpcmiddleware.enable")
	await(t, "the end of the root key", func() bool { return !slices.Contains(sessionKeys(t, lnd), admin.session) })
	if _, err := theirs.GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err == nil {
		t.Error("the macaroon of a revoked session is good at lnd's own port")
	}
	admin.refused(t)
	await(t, "an answer through the other session", func() bool {
		_, err := pos.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err == nil
	})

	g.must(t, "guard", "stop")
	g.must(t, g.startArgs("--firstlncconndeadline", "2s")...)
	pos.info(t)
	late := g.session(t, r, "--type", "readonly")
	await(t, "the end of words that nobody used", func() bool {
		return readSessions(t, []byte(g.must(t, "sessions", "list", "--all")))[late.session].State == "revoked"
	})
	late.refused(t)
}

// session is a client of a session of the guard's.
func (g *guardHome) session(t *testing.T, r *relay, flags ...string) *remote {
	t.Helper()
	var made madeSession
	out := g.must(t, append([]string{"sessions", "add", "--mailboxserveraddr", r.addr, "--devserver"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := r.w.client(r, made)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return c
}
