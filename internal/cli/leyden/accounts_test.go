package leyden

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func TestExpiration(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]int64{
		"0": 0, "never": 0, "1800000000": 1_800_000_000,
		"30d": now.Add(30 * 24 * time.Hour).Unix(), "2w": now.Add(14 * 24 * time.Hour).Unix(), "90m": now.Add(90 * time.Minute).Unix(),
		"2027-01-31T12:00:00Z": time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC).Unix(),
		"2027-01-31":           time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local).Unix(),
	} {
		got, err := expiration(&cobra.Command{}, text)
		if err != nil || got < want || got > want+60 {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-30d", "d", "soon", "2027-13-01", "99999999999999d"} {
		if got, err := expiration(&cobra.Command{}, text); fault.Code(err) != "usage" {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string][2]uint32{"10/1h": {10, 3600}, "1/30d": {1, 30 * 86400}, "3/1m30s": {3, 90}} {
		n, per, err := rate(&cobra.Command{}, text)
		if err != nil || *n != want[0] || *per != want[1] {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "10", "10/", "/1h", "x/1h", "10/1ms", "10/1500ms", "10/400d", "-1/1h", "10/-1h", "4294967296/1h"} {
		if _, _, err := rate(&cobra.Command{}, text); fault.Code(err) != "usage" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSpanReadsBack: a span is shown as --max_payments reads it.
func TestSpanReadsBack(t *testing.T) {
	for seconds, want := range map[uint32]string{1: "1s", 120: "2m", 3600: "1h", 5400: "90m", 86400: "1d", 30 * 86400: "30d"} {
		got := policy.Span(time.Duration(seconds) * time.Second)
		if _, per, err := rate(&cobra.Command{}, "1/"+got); err != nil || *per != seconds || got != want {
			t.Errorf("%d: %s, %v, want %s", seconds, got, err, want)
		}
	}
}

func limitsOf(t *testing.T, args ...string) (*leydenv1.Limits, error) {
	t.Helper()
	var limits limitFlags
	cmd := &cobra.Command{}
	cmd.SetGlobalNormalizationFunc(underscores)
	limits.flags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return limits.read(cmd)
}

func TestLimitFlags(t *testing.T) {
	if got, err := limitsOf(t); got != nil || err != nil {
		t.Errorf("no flags: %v, %v", got, err)
	}
	key := "02" + strings.Repeat("ab", 32)
	got, err := limitsOf(t, "--max-payment=500", "--limit_day=5000", "--max_payments", "10/1h", "--private_invoices", "--deny-payee", key)
	if err != nil || got.GetMaxPaymentMsat() != 500_000 || got.GetLimitDayMsat() != 5_000_000 || got.GetMaxPayments() != 10 ||
		got.GetMaxPaymentsPerSeconds() != 3600 || !got.GetPrivateInvoices() || len(got.DenyPayees) != 1 || got.MaxFeeMsat != nil {
		t.Errorf("%v, %v", got, err)
	}
	// A 0 that was given is told apart from no flag: the server refuses it.
	if got, err := limitsOf(t, "--max_fee=0"); err != nil || got.MaxFeeMsat == nil {
		t.Errorf("0: %v, %v", got, err)
	}
	for _, args := range [][]string{{"--max_fee=2100000000000001"}, {"--allow_payee=02"}, {"--max_payments=5"}} {
		if _, err := limitsOf(t, args...); fault.Code(err) != "usage" {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestSat(t *testing.T) {
	for msat, want := range map[uint64]string{0: "0", 1: "0.001", 1000: "1", 1001: "1.001", 50_000_120: "50000.120"} {
		if got := sat(msat); got != want {
			t.Errorf("%d: %s, want %s", msat, got, want)
		}
	}
}

func TestWho(t *testing.T) {
	for _, c := range []struct {
		w    who
		args []string
		name string
		rest int
	}{
		{who{}, []string{"a", "b"}, "a", 1},
		{who{id: "x"}, []string{"b"}, "x", 1},
		{who{label: "x"}, nil, "x", 0},
		{who{}, nil, "", 0},
		{who{id: "x", label: "y"}, nil, "", 0},
	} {
		name, rest, err := c.w.take(&cobra.Command{}, c.args)
		if name != c.name || len(rest) != c.rest || (err == nil) != (c.name != "") {
			t.Errorf("%v %v: %q, %v, %v", c.w, c.args, name, rest, err)
		}
	}
}

func TestAmount(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "50000": 50_000, "2100000000000000": 2_100_000_000_000_000} {
		if got, err := amount(&cobra.Command{}, "balance", text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"": "whole", "-5": "whole", "1.5": "whole", "1e3": "whole", "many": "whole",
		"2100000000000001": "no more than", "18446744073709551616": "no more than",
	} {
		if _, err := amount(&cobra.Command{}, "balance", text); fault.Code(err) != "usage" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBare(t *testing.T) {
	for text, want := range map[string]string{"": "", "agent": "agent", "a\x1b[2J": `a\x1b[2J`, "a\nb": `a\nb`} {
		if got := bare(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for ago, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s",
		3*time.Hour + 5*time.Minute + 59*time.Second: "3h5m", 50 * time.Hour: "2d2h",
	} {
		if got := age(now.Add(-ago).Unix(), now); got != want {
			t.Errorf("%s: %s, want %s", ago, got, want)
		}
	}
}
