package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402/l402http"
)

// hints are lnget's words for what the library leaves to its user.
var hints = map[string]string{
	l402http.CodeWrongNetwork:      "set ln.lnd.network, and use a node of that network: lnget config init",
	l402http.CodePaymentUnresolved: "lnget payments recover, or the same command again: it is not paid twice",
}

// accountHints say what to do about a refusal by the account's limits. The
// reader has a macaroon, not the power over the account.
var accountHints = map[string]string{
	"balance":           "the account needs more: leyden accounts credit ACCOUNT SAT",
	"limit_payment":     "the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_fee":         "the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_cltv":        "the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_time_lock":   "the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_hour":        "wait, or the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_day":         "wait, or the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_week":        "wait, or the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_month":       "wait, or the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_payments":    "wait, or the operator can raise it: leyden accounts limits ACCOUNT",
	"limit_in_flight":   "wait for the payments in flight to end",
	"payee_denied":      "the operator can allow it: leyden accounts limits ACCOUNT",
	"frozen":            "the operator can lift it: leyden thaw ACCOUNT",
	"account_expired":   "the operator can prolong it: leyden accounts update ACCOUNT 30d",
	"account_unknown":   "get another macaroon from the operator, then: lnget config init --macaroon FILE --force",
	"macaroon_rotated":  "get the new macaroon from the operator, then: lnget config init --macaroon FILE --force",
	"already_paid":      "somebody else on that node has paid this invoice: the same command again asks for a new one",
	"payment_in_flight": "somebody else on that node is paying this invoice: the same command again asks for a new one",
}

// Explain gives an error the code and hint that lnget shows. The errors of
// l402http and of the node stay within reach of errors.As.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if pay, ok := errors.AsType[*l402http.Error](err); ok {
		return explainPayment(pay)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return fault.New("interrupted", "", "interrupted")
	}
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return explainNetwork(broken)
	}
	return err
}

func explainPayment(pay *l402http.Error) error {
	hint := hints[pay.Code]
	if pay.Code == l402http.CodeOverMaxCost {
		hint = fmt.Sprintf("pass --max-cost %d if it is worth that", l402http.Sat(pay.Price))
	}
	if pay.Refused != nil {
		hint = hintRefused(pay)
	}
	if hint == "" {
		hint = pay.Hint
	}
	code := pay.Code
	if node, ok := errors.AsType[*fault.Error](pay.Unwrap()); ok {
		if code == l402http.CodePaymentFailed {
			code = node.Code
		}
		if node.Hint != "" && (code == node.Code || strings.HasPrefix(node.Code, "node_") || needsMacaroon(node.Code)) {
			hint = node.Hint
		}
	}
	if account := accountHints[code]; account != "" {
		hint = account
	}
	return fault.New(code, hint, "%w", pay)
}

// hintRefused says how to buy what a refused token does not open.
func hintRefused(pay *l402http.Error) string {
	remove := "lnget tokens remove " + pay.Refused.String()
	switch pay.Other {
	case "":
		return "ask the seller; `" + remove + "` lets it be bought again"
	case l402http.SchemeOfPayment:
		return remove + ", then the same with --prefer-scheme " + PreferPayment + ", which the seller offers too"
	}
	return remove + ", then the same with --prefer-scheme " + PreferL402 + ", which the seller offers too"
}

// needsMacaroon reports whether trying again is no use with the same macaroon.
func needsMacaroon(code string) bool {
	return code == lightning.CodePermissionDenied || code == lightning.CodeBadMacaroon
}

func explainNetwork(err *url.Error) error {
	hint := "check the URL and the network"
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	switch text := err.Err.Error(); {
	case badCert:
		hint = "pass -k if you know whose certificate it is"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		hint = "use http:// instead of https://"
	case viaProxy(err.Err):
		hint = hintProxy
	case err.Timeout():
		hint = "try again, or raise http.timeout"
	}
	return fault.New(CodeNetwork, hint, "%s: %w", err.URL, err.Err)
}
