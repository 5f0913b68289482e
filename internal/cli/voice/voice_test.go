package voice_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
)

func TestExit(t *testing.T) {
	cmd := &cobra.Command{Use: "leyden"}
	cases := map[string]struct {
		err    error
		status int
		out    string
	}{
		"ok/nil":            {nil, 0, ""},
		"fail/silent":       {voice.ErrSilent, 1, ""},
		"fail/plain":        {errors.New("a\nb"), 1, "leyden: a b\n"},
		"fail/hint":         {fault.New("x", "do it", "no"), 1, "leyden: no\n  hint: do it\n"},
		"fail/flag":         {voice.UsageError(cmd, errors.New("unknown flag")), 2, "leyden: unknown flag\n  hint: leyden --help\n"},
		"fail/below zero":   {voice.UsageError(cmd, errors.New("unknown shorthand flag: '5' in -5")), 2, "leyden: \"-5\" is no flag, and nothing here is below 0\n  hint: leyden --help\n"},
		"fail/shorthand":    {voice.UsageError(cmd, errors.New("unknown shorthand flag: 'x' in -x")), 2, "leyden: unknown shorthand flag: 'x' in -x\n  hint: leyden --help\n"},
		"fail/unknown verb": {errors.New(`unknown command "x" for "leyden"`), 2, "leyden: unknown command \"x\" for \"leyden\"\n  hint: leyden --help\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if got := voice.Exit(&out, "leyden", false, c.err); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if out.String() != c.out {
				t.Errorf("printed %q, want %q", out.String(), c.out)
			}
		})
	}
}

func TestPrintJSON(t *testing.T) {
	var out bytes.Buffer
	voice.Exit(&out, "leyden", true, fault.New("node_down", "leyden node start", "no <node>"))
	var got struct {
		Error struct{ Code, Message, Hint string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if e := got.Error; e.Code != "node_down" || e.Message != "no <node>" || e.Hint != "leyden node start" {
		t.Fatalf("got %s", out.String())
	}
}

// TestPlain: nothing that a stranger wrote moves the cursor.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"sat 5 ₿ ü":                "sat 5 ₿ ü",
		"\x1b[2Jred\x07":           `\x1b[2Jred\a`,
		"\u009b31m\u202eabc\u200b": `\u009b31m\u202eabc\u200b`,
		"a\x9bb":                   "a\ufffdb",
	} {
		if got := voice.Plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	var said bytes.Buffer
	voice.Print(&said, "lnget", false, errors.New("gone\r\n\x1b]0;title\x07"))
	if want := "lnget: gone \\x1b]0;title\\a\n"; said.String() != want {
		t.Errorf("got %q, want %q", said.String(), want)
	}
}
