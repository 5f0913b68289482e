package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

func TestCodeAndHint(t *testing.T) {
	inner := fault.New("node_down", "leyden node start", "dial: %w", io.EOF)
	outer := fault.New("no_balance", "", "read balance: %w", inner)
	cases := map[string]struct {
		err        error
		code, hint string
	}{
		"ok/nil":                 {nil, "", ""},
		"ok/plain":               {io.EOF, fault.Internal, ""},
		"ok/direct":              {inner, "node_down", "leyden node start"},
		"ok/wrapped by fmt":      {fmt.Errorf("x: %w", inner), "node_down", "leyden node start"},
		"ok/outer code, in hint": {outer, "no_balance", "leyden node start"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := fault.Code(c.err); got != c.code {
				t.Errorf("code %q, want %q", got, c.code)
			}
			if got := fault.Hint(c.err); got != c.hint {
				t.Errorf("hint %q, want %q", got, c.hint)
			}
		})
	}
	if !errors.Is(outer, io.EOF) {
		t.Error("the cause is lost")
	}
}
