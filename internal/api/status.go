package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/policy"
)

// statusCodes are the gRPC codes of faults; others are Internal.
var statusCodes = map[string]codes.Code{
	account.CodeUnknown:        codes.NotFound,
	account.CodeNotFound:       codes.NotFound,
	account.CodeLabel:          codes.InvalidArgument,
	account.CodeBadAmount:      codes.InvalidArgument,
	account.CodeLimits:         codes.InvalidArgument,
	codeBadArgument:            codes.InvalidArgument,
	account.CodeBadSession:     codes.InvalidArgument,
	"bad_address":              codes.InvalidArgument,
	account.CodeSessionUnknown: codes.NotFound,
	account.CodeSessionEnded:   codes.FailedPrecondition,
	account.CodeKeyReused:      codes.InvalidArgument,
	account.CodeReserved:       codes.FailedPrecondition,
	account.CodeInFlight:       codes.FailedPrecondition,
	account.CodeExpired:        codes.FailedPrecondition,
	account.CodeFrozen:         codes.FailedPrecondition,
	"not_backed":               codes.FailedPrecondition,
	"node_unreachable":         codes.Unavailable,
	"database_busy":            codes.Unavailable,
	"database_closed":          codes.Unavailable,
	"database_unwritable":      codes.Unavailable,
	"disk_full":                codes.Unavailable,
	"database_corrupt":         codes.DataLoss,
	string(policy.Balance):     codes.FailedPrecondition,
}

// codeBadArgument is the code of a request that says nothing that can be done.
const codeBadArgument = "bad_argument"

func refusal(code codes.Code, reason, hint, format string, args ...any) *front.Refusal {
	return &front.Refusal{Code: code, Reason: reason, Hint: hint, Sentence: fmt.Sprintf(format, args...)}
}

// toStatus gives every error a gRPC status with an ErrorInfo detail. The reader
// is the operator: nothing is hidden.
func toStatus(err error) *status.Status {
	if r, ok := errors.AsType[*front.Refusal](err); ok {
		return r.GRPCStatus()
	}
	if reason := fault.Code(err); reason != fault.Internal {
		code, ok := statusCodes[reason]
		if !ok {
			code = codes.Internal
		}
		return refusal(code, reason, fault.Hint(err), "%v", err).GRPCStatus()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err)
	}
	if st, ok := status.FromError(err); ok {
		return st
	}
	return refusal(codes.Internal, fault.Internal, "", "%v", err).GRPCStatus()
}

// explain is the way back: the fault that a client's reader acts on.
func explain(addr string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	st := status.Convert(err)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == front.ErrorDomain {
			r := front.Refusal{Reason: info.Reason, ID: info.Metadata["id"], Hint: info.Metadata["hint"]}
			return fault.New(info.Reason, r.Hint, "%s", sentence(r, st.Message()))
		}
	}
	switch st.Code() {
	case codes.Unavailable:
		why := cause(st.Message())
		switch {
		case strings.Contains(why, "certificate has expired"):
			return fault.New("bad_certificate", "check the clock, then copy the node's tls.cert again", "operator API at %s: %s", addr, why)
		case strings.Contains(why, "x509:"), strings.Contains(why, "tls:"):
			return fault.New("bad_certificate", "copy the node's tls.cert again", "operator API at %s: %s", addr, why)
		}
		return fault.New("node_unreachable", "leyden node status", "operator API at %s: %s", addr, why)
	case codes.DeadlineExceeded:
		return fault.New("timeout", "try again", "operator API at %s: no answer in time", addr)
	case codes.Unimplemented:
		return fault.New("not_available", "leyden node stop && leyden node start --detach", "operator API at %s: %s", addr, st.Message())
	}
	return fault.New("node_error", "", "operator API at %s: %s", addr, st.Message())
}

// cause is what gRPC says of a connection that failed, without its frame:
// connection error: desc = "transport: …".
func cause(message string) string {
	if _, quoted, ok := strings.Cut(message, "desc = "); ok {
		if text, err := strconv.Unquote(quoted); err == nil {
			message = text
		}
	}
	for _, frame := range []string{"transport: ", "Error while dialing: ", "authentication handshake failed: "} {
		message = strings.TrimPrefix(message, frame)
	}
	return message
}

// sentence takes a refusal's own text out of the message that holds it.
func sentence(r front.Refusal, message string) string {
	head := (&front.Refusal{Reason: r.Reason, ID: r.ID}).Error()
	if len(message) < len(head) || message[:len(head)] != head {
		return message
	}
	message = message[len(head):]
	if tail := " (try: " + r.Hint + ")"; r.Hint != "" && len(message) >= len(tail) && message[len(message)-len(tail):] == tail {
		message = message[:len(message)-len(tail)]
	}
	return message
}
