package leyden

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// run runs a command line without a terminal, in a home of its own.
func run(t *testing.T, args ...string) (status int, lncli []string, code string) {
	t.Helper()
	var out, said bytes.Buffer
	app := &App{In: new(bytes.Buffer), Out: &out, Err: &said, Lncli: func(args []string) { lncli = args }}
	status = Run(t.Context(), app, append([]string{"--home", t.TempDir()}, args...))
	if said.Len() == 0 {
		return status, lncli, ""
	}
	var e struct {
		Error struct{ Code, Message, Hint string }
	}
	if err := json.Unmarshal(said.Bytes(), &e); err != nil {
		t.Fatalf("%q says no JSON without a terminal: %v: %s", args, err, said.String())
	}
	return status, lncli, e.Error.Code
}

func TestWrongCommandLines(t *testing.T) {
	for _, args := range [][]string{{"bogus"}, {"--bogus"}, {"node", "bogus"}, {"node", "start", "--bogus"},
		{"devnet", "mine"}, {"devnet", "mine", "x"}, {"gate", "init", "extra"}, {"node", "create", "--mode"}} {
		if status, _, code := run(t, args...); status != 2 || code != "usage" {
			t.Errorf("%q: status %d, code %q", args, status, code)
		}
	}
}

// TestLncliWithoutNode: lncli's help needs no node, everything else does, and
// what the front would refuse is refused before lncli asks for a password.
func TestLncliWithoutNode(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"openchannel", "--help"}} {
		status, got, code := run(t, append([]string{"lncli"}, args...)...)
		if status != 0 || code != "" || !slices.Equal(got, append([]string{"lncli"}, args...)) {
			t.Errorf("%q: status %d, code %q, lncli got %q", args, status, code, got)
		}
	}
	for want, commands := range map[string][]string{
		"no_wallet":      {"getinfo"},
		"method_blocked": {"create", "createwatchonly", "unlock", "changepassword"},
	} {
		for _, command := range commands {
			if status, got, code := run(t, "lncli", command); status != 1 || code != want || got != nil {
				t.Errorf("%s: status %d, code %q, lncli got %q", command, status, code, got)
			}
		}
	}
}
