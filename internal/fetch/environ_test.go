package fetch

import (
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

func TestCheckEnviron(t *testing.T) {
	cases := map[string]struct{ variable, hint string }{
		"ok/a key":               {"LNGET_L402_MAX_COST_SATS=5", ""},
		"ok/a key of a key":      {"LNGET_LN_LND_HOST=x", ""},
		"ok/somebody else's":     {"LNGET_VERSION=1", ""},
		"ok/nothing":             {"LNGET_=1", ""},
		"ok/empty":               {"LNGET_MAX_COST=", ""},
		"ok/another program's":   {"MAX_COST=1", ""},
		"fail/half of a limit":   {"LNGET_L402_MAX_COST=5", "LNGET_L402_MAX_COST_SATS"},
		"fail/a limit's flag":    {"LNGET_MAX_COST=5", "LNGET_L402_MAX_COST_SATS"},
		"fail/without a section": {"LNGET_AUTO_PAY=false", "LNGET_L402_AUTO_PAY"},
		"fail/misspelt":          {"LNGET_L402_AUTOPAY=false", "config show"},
		"fail/of another":        {"LNGET_TOKENS_FOLDER=/x", "config show"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := CheckEnviron([]string{"HOME=/", c.variable})
			if (c.hint == "") != (err == nil) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
		})
	}
}
