package lnget_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/l402/l402http"
)

// asProgram makes this test binary lnget.
const asProgram = "LNGET_TEST_PROGRAM"

// tooLong is how long a run that hangs may hang. None gets more than 256 MB of
// memory, most of which is what Go keeps in reserve.
const (
	tooLong = 3 * time.Minute
	limited = `ulimit -d 262144 && exec "$0" "$@"`
)

// victim is a buyer's machine: lnget, its home, a node and its money.
type victim struct {
	t      *testing.T
	home   string
	ledger fetchtest.Ledger
	seller *fetchtest.Seller
	node   *fetchtest.Node
	env    []string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, home: t.TempDir(), ledger: fetchtest.Ledger(t.TempDir())}
	v.seller = fetchtest.NewSeller(v.ledger)
	node, err := fetchtest.StartNode(t.TempDir(), v.ledger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	v.node = node
	v.env = []string{"HOME=" + v.home, asProgram + "=1", "LNGET_LN_LND_HOST=" + node.Addr, "LNGET_LN_LND_NETWORK=regtest",
		"LNGET_LN_LND_TLS_CERT=" + filepath.Join(node.Dir, "tls.cert"),
		"LNGET_LN_LND_MACAROON=" + filepath.Join(node.Dir, "data/chain/bitcoin/regtest/admin.macaroon")}
	return v
}

// serve is a seller that answers as h does.
func (v *victim) serve(h http.HandlerFunc) string {
	server := httptest.NewServer(h)
	v.t.Cleanup(server.Close)
	server.Config.ErrorLog = quiet
	return server.URL
}

// ran is what became of a run of lnget.
type ran struct {
	exit     int
	out, err string
}

// run runs the real program: bin/lnget where there is one, or this binary.
func (v *victim) run(args ...string) ran {
	v.t.Helper()
	program, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	if dir := os.Getenv(testbin.Env); dir != "" {
		program = filepath.Join(dir, "lnget")
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), tooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", limited, program}, args...)...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = v.home, v.env, &out, &said
	err = cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || ctx.Err() != nil {
		v.t.Fatalf("lnget %q: %v (hangs: %t)", args, err, ctx.Err() != nil)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), said.String()}
}

// expect checks how a run with --json ended: one error with that code and a
// sentence, no more; "" for none.
func (v *victim) expect(r ran, exit int, code string) {
	v.t.Helper()
	var said struct {
		Error struct{ Code, Message string }
	}
	dec := json.NewDecoder(strings.NewReader(r.err))
	for dec.More() && said.Error.Code == "" {
		if err := dec.Decode(&said); err != nil {
			v.t.Fatalf("standard error is not JSON: %v: %s", err, r.err)
		}
	}
	if r.exit != exit || said.Error.Code != code || dec.More() {
		v.t.Errorf("exit status %d, want %d; code %q, want %q: %s", r.exit, exit, said.Error.Code, code, r.err)
	}
	if m := said.Error.Message; (code == "") != (m == "") || strings.Contains(m, "\n") || len(m) > 1000 {
		v.t.Errorf("the sentence: %q", m)
	}
	v.plain(r.err)
}

// plain fails for what a terminal would not print as text.
func (v *victim) plain(s string) {
	v.t.Helper()
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || 0x7f <= r && r < 0xa0 }); i >= 0 {
		v.t.Errorf("a control character is printed: %q", s[max(0, i-20):min(len(s), i+20)])
	}
}

// paid checks how many payments were made, and that none is left open.
func (v *victim) paid(want int) {
	v.t.Helper()
	if got := v.ledger.Payments(); got != want {
		v.t.Errorf("%d payments, want %d", got, want)
	}
	list := v.run("payments", "list", "--json")
	var all []struct {
		State     string
		AmountSat int64 `json:"amount_paid_sat"`
	}
	if err := json.Unmarshal([]byte(list.out), &all); err != nil {
		v.t.Fatalf("payments list: %v: %s%s", err, list.out, list.err)
	}
	settled := 0
	for _, p := range all {
		if p.State == string(l402http.StatePending) {
			v.t.Error("a payment is left open")
		}
		if p.AmountSat > 0 {
			settled++
		}
	}
	if settled != want {
		v.t.Errorf("%d payments in the journal, want %d", settled, want)
	}
}

// kept checks that a file of the user is as it was.
func (v *victim) kept(name, want string) {
	v.t.Helper()
	if got, err := os.ReadFile(filepath.Join(v.home, name)); err != nil || string(got) != want {
		v.t.Errorf("%s: %d bytes, %v", name, len(got), err)
	}
}
