package lnd

import (
	"context"
	"encoding/hex"

	"google.golang.org/grpc"
)

// WithMacaroon makes every call of a connection carry the macaroon, in lnd's binary
// form. The connection must be over TLS.
func WithMacaroon(raw []byte) grpc.DialOption {
	return grpc.WithPerRPCCredentials(macaroonCredential(hex.EncodeToString(raw)))
}

type macaroonCredential string

// GetRequestMetadata is part of credentials.PerRPCCredentials.
func (c macaroonCredential) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"macaroon": string(c)}, nil
}

// RequireTransportSecurity is part of credentials.PerRPCCredentials.
func (c macaroonCredential) RequireTransportSecurity() bool { return true }
