package front

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrorDomain is the domain of the ErrorInfo detail of every refusal.
const ErrorDomain = "leyden"

// Refusal is why a front says no. Hooks return it as their error. Its text,
// which is also the gRPC status message, is `leyden: <reason>[:<id>]: <sentence>`.
type Refusal struct {
	// Code is the gRPC status code. OK is taken as Internal.
	Code codes.Code

	// Reason is stable, lower case with underscores: "wallet_locked".
	Reason string

	// ID names what the refusal is about, such as an approval. May be empty.
	ID string

	// Sentence says to a person what failed and why.
	Sentence string

	// Hint is the next command to type. May be empty.
	Hint string
}

// Error returns the text of the refusal, hint included.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("leyden: ")
	b.WriteString(r.Reason)
	if r.ID != "" {
		b.WriteString(":" + r.ID)
	}
	b.WriteString(": " + r.Sentence)
	if r.Hint != "" {
		b.WriteString(" (try: " + r.Hint + ")")
	}
	return b.String()
}

// GRPCStatus returns the status a client gets: the text, and an ErrorInfo
// detail with the reason and, where given, "id" and "hint" as metadata.
func (r *Refusal) GRPCStatus() *status.Status {
	code := r.Code
	if code == codes.OK {
		code = codes.Internal
	}
	info := &errdetails.ErrorInfo{Reason: r.Reason, Domain: ErrorDomain}
	for key, value := range map[string]string{"id": r.ID, "hint": r.Hint} {
		if value == "" {
			continue
		}
		if info.Metadata == nil {
			info.Metadata = make(map[string]string, 2)
		}
		info.Metadata[key] = value
	}
	st := status.New(code, r.Error())
	detailed, err := st.WithDetails(info)
	if err != nil {
		return st
	}
	return detailed
}

func refuse(code codes.Code, reason, hint, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: reason, Hint: hint, Sentence: fmt.Sprintf(format, args...)}
}
