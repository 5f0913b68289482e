package guard

import (
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// A channel holds 483 HTLCs (BOLT 2), and whoever is paid may hold them for
// days: what an account's payments may have in flight at once is bounded.
const (
	// maxParts is in how many HTLCs one payment may be split: what lnd does where
	// the client does not say.
	maxParts = 16

	// maxSlots is how many HTLCs the payments of one account share. Where they are
	// used up, a payment still gets one.
	maxSlots = 96
)

var errManyParts = refuse(codes.ResourceExhausted, string(policy.LimitInFlight), "lncli listpayments --include_incomplete",
	"a payment of an account may have %d HTLCs in flight, and its payments together %d", maxParts, maxSlots)

// askedParts reads max_parts: 0 is lnd's default.
func askedParts(asked uint32) uint32 {
	if asked == 0 {
		return maxParts
	}
	return min(asked, maxParts)
}

// slots counts the HTLCs that each account's payments may use.
type slots map[account.ID]uint32

// share takes places for a payment that asks for parts HTLCs: at most half of
// what is left, at least one.
func (s slots) share(of account.ID, parts uint32) (granted uint32) {
	left := maxSlots - min(s[of], maxSlots)
	granted = max(min(parts, left/2), 1)
	s[of] += granted
	return granted
}

// one takes one more place, if there is one.
func (s slots) one(of account.ID) bool {
	if s[of] >= maxSlots {
		return false
	}
	s[of]++
	return true
}

// granted is in how many HTLCs the payment may be split.
func (p *payer) granted() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parts
}

func (s slots) giveBack(of account.ID, parts uint32) {
	if s[of] -= min(parts, s[of]); s[of] == 0 {
		delete(s, of)
	}
}
