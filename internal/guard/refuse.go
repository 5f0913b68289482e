package guard

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/policy"
)

func refuse(code codes.Code, reason, hint, format string, args ...any) *front.Refusal {
	return &front.Refusal{Code: code, Reason: reason, Hint: hint, Sentence: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *front.Refusal {
	return refuse(codes.InvalidArgument, "bad_request", "", format, args...)
}

// refusalCodes are the status codes of the ledger's own errors.
var refusalCodes = map[string]codes.Code{
	account.CodeUnknown:     codes.PermissionDenied,
	account.CodeExpired:     codes.PermissionDenied,
	account.CodeFrozen:      codes.PermissionDenied,
	account.CodeInFlight:    codes.AlreadyExists,
	account.CodeAlreadyPaid: codes.AlreadyExists,
	account.CodeHashTaken:   codes.AlreadyExists,
	account.CodeBadAmount:   codes.InvalidArgument,
	account.CodeSameNode:    codes.PermissionDenied,
	account.CodeCanceled:    codes.FailedPrecondition,
}

// refusal is what a client is told of an error of the ledger. Other errors are
// logged by the front and told as internal.
func refusal(err error) error {
	if d, ok := errors.AsType[*policy.Denied](err); ok {
		code := codes.ResourceExhausted
		if d.Reason == policy.PayeeDenied || d.Reason == policy.PrivateDenied {
			code = codes.PermissionDenied
		}
		return refuse(code, string(d.Reason), d.Hint, "%s", d.Sentence)
	}
	if code, ok := refusalCodes[fault.Code(err)]; ok {
		return refuse(code, fault.Code(err), fault.Hint(err), "%s", err.Error())
	}
	if strings.HasPrefix(fault.Code(err), "database_") {
		return errLedger
	}
	return err
}

// errLedger is for a database that cannot be read or written.
var errLedger = refuse(codes.Unavailable, "ledger_unavailable", "",
	"the guard's database cannot be read or written; nothing was done")
