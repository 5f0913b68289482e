package l402http

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/l402"
)

// grpcWebType begins the content types of gRPC-Web, whose clients read the
// status of an answer without a message from its header, as those of gRPC do.
const grpcWebType = "application/grpc-web"

// The gRPC status codes of answers.
const (
	grpcExhausted   = 8
	grpcInternal    = 13
	grpcUnavailable = 14
)

// grpcType returns the content type in which a call of gRPC or gRPC-Web is
// answered, "" for another request.
func grpcType(h http.Header) string {
	asked := h.Get("Content-Type")
	if l402.IsGRPC(h) {
		return "application/grpc"
	}
	rest, ok := strings.CutPrefix(strings.ToLower(asked), grpcWebType)
	if !ok {
		return ""
	}
	if strings.HasPrefix(rest, "-text") {
		return grpcWebType + "-text"
	}
	return grpcWebType
}

// answerGRPC answers with trailers only. A 402 is what l402.WriteGRPCChallenge
// says: status 13 and "payment required".
func answerGRPC(w http.ResponseWriter, contentType string, a Answer) {
	status, message := grpcUnavailable, a.Message
	switch a.Status {
	case http.StatusPaymentRequired:
		status, message = grpcInternal, "payment required"
	case http.StatusTooManyRequests:
		status = grpcExhausted
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Grpc-Status", strconv.Itoa(status))
	h.Set("Grpc-Message", grpcMessage(message))
	w.WriteHeader(http.StatusOK)
}

// grpcMessage percent-encodes what is not printable ASCII.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
