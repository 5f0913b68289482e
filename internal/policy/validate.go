package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
)

// MaxAmount is all the bitcoin there will be, in msat.
const MaxAmount lnwire.MilliSatoshi = 2_100_000_000_000_000_000

// maxPer is the longest span for counting payments.
const maxPer = 366 * Day

// Validate says what is wrong with limits that somebody asks for: an amount
// above MaxAmount, MaxPayments without Per or Per without MaxPayments, Per
// outside of a second to a year, a share above the whole amount, a payee that
// is no key, or hosts.
func (l Limits) Validate() error {
	for _, a := range []struct {
		name   string
		amount lnwire.MilliSatoshi
	}{
		{"largest payment", l.MaxPayment}, {"largest fee", l.MaxFee}, {"hourly limit", l.Hour},
		{"daily limit", l.Day}, {"weekly limit", l.Week}, {"30-day limit", l.Month},
		{"largest invoice", l.MaxInvoice},
	} {
		if a.amount > MaxAmount {
			return fmt.Errorf("%s of %s: more than there is, %s", a.name, Sat(a.amount), Sat(MaxAmount))
		}
	}
	switch {
	case l.MaxFeePPM > 1_000_000:
		return fmt.Errorf("largest fee of %d ppm: more than the amount itself, 1000000", l.MaxFeePPM)
	case l.MaxPayments != 0 && l.Per == 0:
		return fmt.Errorf("%d payments allowed, but not in which time", l.MaxPayments)
	case l.MaxPayments == 0 && l.Per != 0:
		return fmt.Errorf("a time of %s for counting payments, but not how many are allowed", l.Per)
	case l.Per != 0 && (l.Per < time.Second || l.Per > maxPer):
		return fmt.Errorf("a time of %s for counting payments: want one second to 366 days", l.Per)
	case len(l.AllowHosts) > 0:
		return errors.New("allowed hosts: a node's front does not know which host is paid, so this cannot be enforced")
	}
	for _, list := range [][]PubKey{l.AllowPayees, l.DenyPayees} {
		for _, key := range list {
			if _, err := ParsePubKey(key.String()); err != nil {
				return err
			}
		}
	}
	return nil
}
