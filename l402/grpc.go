package l402

import (
	"net/http"
	"strings"
)

// The status with which a gRPC call is answered that has not been paid for.
// 13 is INTERNAL; aperture's clients look for both values.
const (
	grpcContentType = "application/grpc"
	grpcStatus      = "13"
	grpcMessage     = "payment required"
)

// IsGRPC reports whether a request is a gRPC call, which is answered with HTTP
// status 200 and [WriteGRPCChallenge].
func IsGRPC(h http.Header) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(h.Get("Content-Type")), grpcContentType)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// WriteGRPCChallenge makes h the header of a gRPC response that consists of
// trailers only: the challenge of [WriteChallenge] with status 13 and the
// message "payment required". It goes with HTTP status 200 and no body.
func WriteGRPCChallenge(h http.Header, token Token, invoice string) error {
	if err := WriteChallenge(h, token, invoice); err != nil {
		return err
	}
	h.Set("Content-Type", grpcContentType)
	h.Set("Grpc-Status", grpcStatus)
	h.Set("Grpc-Message", grpcMessage)
	return nil
}
