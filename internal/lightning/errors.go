package lightning

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

// Codes of this package's errors.
const (
	CodeUnreachable      = "node_unreachable"
	CodeStarting         = "node_starting"
	CodeLocked           = "node_locked"
	CodeBadCertificate   = "bad_certificate"
	CodeBadMacaroon      = "bad_macaroon"
	CodePermissionDenied = "permission_denied"
	CodeNotFound         = "not_found"
	CodeAlreadyPaid      = "already_paid"
	CodeInFlight         = "payment_in_flight"
	CodePaymentFailed    = "payment_failed"
	CodeTimeout          = "timeout"
	CodeRefused          = "refused"
	CodeNode             = "node_error"
)

// explain turns a gRPC error into a fault. lnd gives most errors the code
// Unknown, so its sentences are matched where the reader must act differently.
func (c *Client) explain(method string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	st := status.Convert(err)
	name := method[strings.LastIndexByte(method, '/')+1:]
	if c.session != nil {
		if f := c.session.explain(name, st); f != nil {
			return f
		}
	}
	code, hint := classify(st)
	return fault.New(code, hint, "node %s: %s: %w", c.host, name, &rpcError{st: st})
}

// NotSent reports whether err says that the request itself never left this
// process, as when the node could not be reached.
func NotSent(err error) bool {
	_, ok := errors.AsType[*notSent](err)
	return ok
}

type notSent struct{ err error }

func (e *notSent) Error() string { return e.err.Error() }
func (e *notSent) Unwrap() error { return e.err }

// rpcError keeps the gRPC status within reach (status.FromError) while its
// text is the node's sentence alone.
type rpcError struct {
	st   *status.Status
	text string // in place of the sentence, "" for the sentence
}

func (e *rpcError) Error() string {
	if e.text != "" {
		return e.text
	}
	if r, ok := frontRefusal(e.st.Message()); ok {
		return r.sentence
	}
	return e.st.Message()
}

func (e *rpcError) GRPCStatus() *status.Status { return e.st }

func classify(st *status.Status) (code, hint string) {
	text := strings.ToLower(st.Message())
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	if r, ok := frontRefusal(st.Message()); ok {
		return r.reason, r.hint
	}
	switch {
	case st.Code() == codes.Canceled:
		return CodeTimeout, "try again"
	case st.Code() == codes.DeadlineExceeded:
		return CodeTimeout, "try again, or allow more time"
	case has("x509:", "certificate", "tls:"):
		return CodeBadCertificate, "copy the node's tls.cert again"
	case has("wallet locked", "wallet is encrypted"):
		return CodeLocked, "leyden node unlock"
	case has("wallet not created"):
		return CodeLocked, "leyden node create"
	case has("rpc server is in the process of starting", "the rpc server is", "waiting to start", "server is still in the process"):
		return CodeStarting, "wait a few seconds, then try again"
	case st.Code() == codes.Unavailable:
		return CodeUnreachable, "leyden node start"
	case has("permission denied"):
		return CodePermissionDenied, "use a macaroon that allows this call"
	case has("verification failed", "macaroon", "cannot determine data format"):
		return CodeBadMacaroon, "use a macaroon of this node"
	case has("already paid"):
		return CodeAlreadyPaid, ""
	case has("payment is in transition"):
		return CodeInFlight, "wait for the first payment to end"
	case st.Code() == codes.NotFound, has("payment isn't initiated", "unable to locate invoice", "there are no existing invoices"):
		return CodeNotFound, ""
	case st.Code() == codes.PermissionDenied, st.Code() == codes.ResourceExhausted, st.Code() == codes.FailedPrecondition:
		return CodeRefused, ""
	}
	return CodeNode, ""
}

// refusal is what a Leyden front said.
type refusal struct{ reason, sentence, hint string }

// frontRefusal reads the stable reason from a refusal of a Leyden front, its
// sentence, and the command that it says to try:
// "leyden: <reason>[:<id>]: <sentence> [(try: <command>)]". What a front says
// of an lnd that is away gets the code that an lnd's own port would have.
func frontRefusal(message string) (r refusal, ok bool) {
	rest, ok := strings.CutPrefix(message, "leyden: ")
	if !ok {
		return refusal{}, false
	}
	r.reason, rest, ok = strings.Cut(rest, ":")
	if !ok || r.reason == "" || strings.Trim(r.reason, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return refusal{}, false
	}
	if id, after, found := strings.Cut(rest, ": "); found && !strings.Contains(id, " ") {
		rest = after
	}
	r.sentence = strings.TrimSpace(rest)
	if sentence, try, found := strings.Cut(r.sentence, " (try: "); found {
		r.sentence, r.hint = sentence, strings.TrimSuffix(try, ")")
	}
	switch r.reason {
	case "starting":
		r.reason = CodeStarting
	case "wallet_locked":
		r.reason = CodeLocked
	case "lnd_down", "node_down", "stopping", "signer_unreachable":
		r.reason = CodeUnreachable
	}
	return r, true
}
