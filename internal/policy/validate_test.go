package policy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/policy"
)

func TestValidate(t *testing.T) {
	type L = policy.Limits
	const over = policy.MaxAmount + 1
	for name, c := range map[string]struct {
		limits L
		want   string // part of the error
	}{
		"ok/none": {L{}, ""},
		"ok/all": {L{MaxPayment: policy.MaxAmount, MaxFee: 1, MaxFeePPM: 1_000_000, Hour: 1, Day: 1, Week: 1, Month: 1,
			MaxPayments: 1, Per: time.Second, InFlight: 1, MaxFinalCLTV: 1, MaxTimeLock: 1, OpenInvoices: 1,
			MaxInvoice: 1, PrivateInvoices: true, AllowPayees: keys(shop), DenyPayees: keys(other)}, ""},
		"fail/payment":      {L{MaxPayment: over}, "largest payment"},
		"fail/fee":          {L{MaxFee: over}, "largest fee"},
		"fail/hour":         {L{Hour: over}, "hourly limit"},
		"fail/day":          {L{Day: over}, "daily limit of 2,100,000,000,000,000.001 sat"},
		"fail/week":         {L{Week: over}, "weekly limit"},
		"fail/month":        {L{Month: over}, "30-day limit"},
		"fail/invoice":      {L{MaxInvoice: over}, "largest invoice"},
		"fail/ppm":          {L{MaxFeePPM: 1_000_001}, "1000001 ppm"},
		"fail/no time":      {L{MaxPayments: 10}, "not in which time"},
		"fail/no count":     {L{Per: time.Hour}, "not how many"},
		"fail/short time":   {L{MaxPayments: 1, Per: time.Millisecond}, "1ms"},
		"fail/negative":     {L{MaxPayments: 1, Per: -time.Hour}, "-1h"},
		"fail/long time":    {L{MaxPayments: 1, Per: 400 * policy.Day}, "366 days"},
		"fail/hosts":        {L{AllowHosts: []string{"example.com"}}, "hosts"},
		"fail/no key":       {L{AllowPayees: keys(policy.PubKey{})}, "node key"},
		"fail/uncompressed": {L{DenyPayees: keys(policy.PubKey{4})}, "node key"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.limits.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestLimitsAsJSON(t *testing.T) {
	l := policy.Limits{MaxPayment: 5000, MaxPayments: 10, Per: time.Hour, AllowPayees: keys(shop)}
	raw, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"max_payment_msat":5000,"max_payments":10,"max_payments_per":3600000000000,"allow_payees":["` + shop.String() + `"]}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
	var back policy.Limits
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(back, l) {
		t.Errorf("came back as %+v, %v", back, err)
	}
}

func TestParsePubKey(t *testing.T) {
	if got, err := policy.ParsePubKey(shop.String()); err != nil || got != shop {
		t.Errorf("got %s, %v", got, err)
	}
	for name, text := range map[string]string{
		"empty": "", "short": shop.String()[2:], "long": shop.String() + "00", "not hex": strings.Repeat("zz", 33),
		"uncompressed": "04" + shop.String()[2:], "space": " " + shop.String(),
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			if key, err := policy.ParsePubKey(text); err == nil {
				t.Errorf("read as %s", key)
			}
		})
	}
}
