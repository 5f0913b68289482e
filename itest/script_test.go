package itest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/port"
)

// TestScripts are sessions of both programs as text, most of them with bad
// input. They find the shared network in the environment: ALICE_RPC, ALICE_REST,
// ALICE_CERT, ALICE_MACAROON, ALICE_HOME, the same of BOB, GATE (a gate's URL
// on bob), BACKEND (host:port) and FREE_PORT (an address nobody listens on).
func TestScripts(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate := w.gate(t, false, back.services()...)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"accountid": accountid,
		},
		Setup: func(env *testscript.Env) error {
			free, err := port.Reserve()
			if err != nil {
				return err
			}
			env.Defer(func() { stopAll(w.program("leyden"), filepath.Join(env.WorkDir, ".leyden")) })
			env.Setenv("PATH", w.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GATE", gate.URL)
			env.Setenv("BACKEND", back.addr)
			env.Setenv("FREE_PORT", free)
			for _, n := range w.Nodes {
				name := map[string]string{"alice": "ALICE", "bob": "BOB"}[n.Name]
				env.Setenv(name+"_RPC", n.RPC)
				env.Setenv(name+"_REST", n.REST)
				env.Setenv(name+"_CERT", n.TLSCert)
				env.Setenv(name+"_MACAROON", n.AdminMacaroon)
				env.Setenv(name+"_HOME", string(n.Home()))
				env.Setenv(name+"_DIR", n.LndDir)
			}
			return nil
		},
	})
}

// stopAll ends what a session that failed half-way has left in the background.
// Usually nothing is there, which is an error not worth telling.
func stopAll(leyden, home string) {
	for _, args := range [][]string{{"node", "stop"}, {"signer", "stop"}, {"gate", "stop"}, {"devnet", "down"}} {
		cmd := exec.Command(leyden, append([]string{"--home", home}, args...)...)
		cmd.Env = devnet.Environ()
		_ = cmd.Run()
	}
}

// exits runs a program and insists on its exit status: exits 2 lnget …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
