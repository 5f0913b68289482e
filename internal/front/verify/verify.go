// Package verify has the lnd behind a front check macaroons, before a message of
// the call is read. It promises that a yes counts for that macaroon, method and
// client address alone, for ten seconds at most, and never past a time-before
// caveat or a revocation that it was told of. It leaves out what the macaroon's
// holder may do beyond lnd's own permissions.
package verify

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

const checkMethod = "/lnrpc.Lightning/CheckMacaroonPermissions"

// Verifier asks lnd, and remembers its yes for a moment. Owner is what macaroons
// are forgotten by. Safe for concurrent use.
type Verifier[Owner comparable] struct{ verdicts *verdicts[Owner] }

// New makes a Verifier that tells the time by the clock.
func New[Owner comparable](clock func() time.Time) *Verifier[Owner] {
	return &Verifier[Owner]{newVerdicts[Owner](clock)}
}

// Credential is a macaroon that a client sent: parsed, and in binary form.
type Credential struct {
	*macaroon.Macaroon
	Raw []byte
}

// Verify has lnd check signature, permissions and caveats of the credential for
// the call, as of the client's address; own returns a macaroon that may ask that. Lnd's
// no is an error with the code Unknown, in its words. Any other error means that
// it did not answer.
func (v *Verifier[Owner]) Verify(ctx context.Context, call *front.Call, own func() ([]byte, error), cred Credential, owner Owner) error {
	key := verdictKey{sha256.Sum256(cred.Raw), call.Method, call.Peer}
	if v.verdicts.holds(key) {
		return nil
	}
	epoch := v.verdicts.now()
	ours, err := own()
	if err != nil {
		return status.Errorf(codes.Internal, "a macaroon to ask lnd with: %v", err)
	}
	if err := ask(ctx, call, ours, cred.Raw); err != nil {
		return err
	}
	v.verdicts.keep(key, owner, cred.Caveats(), epoch)
	return nil
}

func ask(ctx context.Context, call *front.Call, own, raw []byte) error {
	request, err := proto.Marshal(&lnrpc.CheckMacPermRequest{
		Macaroon: raw, FullMethod: call.Method, CheckDefaultPermsFromFullMethod: true,
	})
	if err != nil {
		return err
	}
	reply, err := call.Invoke(ctx, checkMethod, own, request)
	if status.Code(err) == codes.InvalidArgument {
		return status.Error(codes.Unknown, status.Convert(err).Message())
	}
	if err != nil {
		return err
	}
	answer := new(lnrpc.CheckMacPermResponse)
	if err := proto.Unmarshal(reply, answer); err != nil {
		return status.Errorf(codes.Internal, "malformed answer to %s: %v", checkMethod, err)
	}
	if !answer.GetValid() {
		return status.Error(codes.Unknown, "verification failed")
	}
	return nil
}

// Forget drops what lnd has verified for the owner: its macaroons were revoked.
// Calls that are open must be cut by the caller, afterwards.
func (v *Verifier[Owner]) Forget(owner Owner) {
	v.verdicts.forget(func(of Owner) bool { return of == owner })
}

// ForgetAll drops all.
func (v *Verifier[Owner]) ForgetAll() { v.verdicts.forget(func(Owner) bool { return true }) }
