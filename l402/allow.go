package l402

import (
	"strconv"
	"strings"
	"time"
)

// Request is what a credential is asked to open.
type Request struct {
	// Service is the name of the service.
	Service string
	// Capability is what of the service is asked for. Empty means that the
	// service does not tell capabilities apart: its capabilities caveat may
	// still only narrow, and is otherwise skipped. Several, separated by
	// commas, are all needed.
	Capability string
	// Now is the time of the request.
	Now time.Time
	// Conditions are the constraints that the service knows.
	Conditions []Condition
}

// Condition judges the caveats of one key.
type Condition struct {
	// Key is the key of the caveat.
	Key string
	// Narrows reports whether a repeated caveat allows no more than the one
	// before it.
	Narrows func(previous, next string) bool
	// Holds reports whether the request is within the caveat.
	Holds func(value string) bool
}

// AtMost is the condition that a number, such as a volume in sat, is not over
// the value of the caveat, a decimal number that a repetition may only lower.
func AtMost(key string, number uint64) Condition {
	return Condition{
		Key: key,
		Narrows: func(previous, next string) bool {
			p, perr := parseNumber(previous)
			n, nerr := parseNumber(next)
			return perr == nil && nerr == nil && n <= p
		},
		Holds: func(value string) bool {
			limit, err := parseNumber(value)
			return err == nil && number <= limit
		},
	}
}

// Narrowing is the condition of a caveat that says something about what is
// sold and nothing about the request: it always holds, but a repetition may
// only narrow it. A number may only be lowered, a list separated by commas may
// only lose items, and everything else stays as it is.
func Narrowing(key string) Condition {
	return Condition{
		Key: key,
		Narrows: func(previous, next string) bool {
			if p, err := parseNumber(previous); err == nil {
				n, err := parseNumber(next)
				return err == nil && n <= p
			}
			for item := range strings.SplitSeq(next, ",") {
				if !contains(previous, item) {
					return false
				}
			}
			return true
		},
		Holds: func(string) bool { return true },
	}
}

// Allows reports whether the credential opens what is asked for: it has not
// been revoked, its services caveat names the service, the service's
// valid_until is later than now, its capabilities name the capability, every
// condition holds, and of all these no repetition widens what came before.
// Caveats of other keys are skipped, as the specification demands. A token
// without a services caveat opens nothing; one without the others is not
// restricted by them.
//
// revoked is asked for the token id; nil means that none is revoked.
//
// It must be asked for every request. The error is a [Refusal].
func (v Verified) Allows(req Request, revoked func(TokenID) bool) error {
	if revoked != nil && revoked(v.id.TokenID) {
		return refuse(ReasonRevoked, "revoked: token %v", v.id.TokenID)
	}
	if err := v.allowsService(req.Service); err != nil {
		return err
	}
	if err := v.allowsTime(req.Service, req.Now); err != nil {
		return err
	}
	if err := v.allowsCapability(req.Service, req.Capability); err != nil {
		return err
	}
	for _, condition := range req.Conditions {
		if err := v.satisfies(condition); err != nil {
			return err
		}
	}
	return nil
}

func (v Verified) allowsService(service string) error {
	services, seen, err := v.narrowest("", keyServices, narrowsServices)
	if err != nil {
		return err
	}
	for item := range strings.SplitSeq(services, ",") {
		if name, _, _ := strings.Cut(item, ":"); seen && name == service {
			return nil
		}
	}
	return refuse(ReasonWrongService, "wrong service: the token is not for %s", quote(service))
}

func (v Verified) allowsTime(service string, now time.Time) error {
	value, seen, err := v.narrowest(service, suffixValidUntil, narrowsNumber)
	if err != nil || !seen {
		return err
	}
	seconds, err := parseNumber(value)
	if err != nil {
		return err
	}
	until := time.Unix(int64(seconds), 0)
	if !now.Before(until) {
		return refuse(ReasonExpired, "expired: the token was valid for %s until %s",
			quote(service), until.UTC().Format(time.RFC3339))
	}
	return nil
}

func (v Verified) allowsCapability(service, capability string) error {
	capabilities, seen, err := v.narrowest(service, suffixCapabilities, narrowsNames)
	if err != nil || !seen {
		return err
	}
	if capability == "" {
		return nil
	}
	for needed := range strings.SplitSeq(capability, ",") {
		if !contains(capabilities, needed) {
			return refuse(ReasonNotCapable, "not capable: the token does not include %s of service %s",
				quote(needed), quote(service))
		}
	}
	return nil
}

func (v Verified) satisfies(condition Condition) error {
	value, seen, err := v.narrowest(condition.Key, "", func(previous string, repeated bool, next string) Reason {
		if repeated && !condition.Narrows(previous, next) {
			return ReasonWidened
		}
		return ""
	})
	if err != nil {
		return err
	}
	if seen && !condition.Holds(value) {
		return refuse(ReasonNotSatisfied, "not satisfied: caveat %s", quote(condition.Key+"="+value))
	}
	return nil
}

// narrowest returns the last value of the caveats with the key prefix+suffix,
// and whether there is one. Each is judged against the one before it.
func (v Verified) narrowest(
	prefix, suffix string, judge func(previous string, repeated bool, next string) Reason,
) (value string, seen bool, err error) {

	for _, c := range v.caveats {
		if rest, ok := strings.CutPrefix(c.Key, prefix); !ok || rest != suffix {
			continue
		}
		switch judge(value, seen, c.Value) {
		case ReasonMalformed:
			return "", false, refuse(ReasonMalformed, "malformed caveat %s", quote(c.String()))
		case ReasonWidened:
			return "", false, refuse(ReasonWidened,
				"widened: caveat %s allows more than the one before it", quote(c.String()))
		}
		value, seen = c.Value, true
	}
	return value, seen, nil
}

func narrowsServices(previous string, repeated bool, next string) Reason {
	return narrowsList(previous, repeated, next, func(item string) bool {
		_, ok := parseService(item)
		return ok
	})
}

func narrowsNames(previous string, repeated bool, next string) Reason {
	return narrowsList(previous, repeated, next, func(item string) bool {
		return validateName(item) == nil
	})
}

func narrowsList(previous string, repeated bool, next string, wellFormed func(string) bool) Reason {
	n := 0
	for item := range strings.SplitSeq(next, ",") {
		n++
		if n > MaxListItems || !wellFormed(item) {
			return ReasonMalformed
		}
		if repeated && !contains(previous, item) {
			return ReasonWidened
		}
	}
	return ""
}

func narrowsNumber(previous string, repeated bool, next string) Reason {
	n, err := parseNumber(next)
	if err != nil {
		return ReasonMalformed
	}
	if p, err := parseNumber(previous); repeated && (err != nil || n > p) {
		return ReasonWidened
	}
	return ""
}

func contains(list, item string) bool {
	for candidate := range strings.SplitSeq(list, ",") {
		if candidate == item {
			return true
		}
	}
	return false
}

// parseNumber reads decimal digits of a number that fits an int64.
func parseNumber(s string) (uint64, error) { return strconv.ParseUint(s, 10, 63) }
