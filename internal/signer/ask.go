package signer

import (
	"context"
	"encoding/hex"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/fault"
)

// accountsOf lists the accounts of a signer's wallet.
func accountsOf(ctx context.Context, conn grpc.ClientConnInterface) ([]bundle.Account, error) {
	r, err := walletrpc.NewWalletKitClient(conn).ListAccounts(ctx, &walletrpc.ListAccountsRequest{})
	if err != nil {
		return nil, said("list the signer's accounts", err)
	}
	accounts := make([]bundle.Account, len(r.Accounts))
	for i, a := range r.Accounts {
		accounts[i] = bundle.Account{
			Name: a.Name, AddressType: a.AddressType.String(), ExtendedPublicKey: a.ExtendedPublicKey,
			MasterKeyFingerprint: a.MasterKeyFingerprint, DerivationPath: a.DerivationPath,
			ExternalKeyCount: bundle.Count(a.ExternalKeyCount), InternalKeyCount: bundle.Count(a.InternalKeyCount),
			WatchOnly: a.WatchOnly,
		}
	}
	return accounts, nil
}

// bakeSigning bakes a macaroon that allows what a watch-only node asks of its
// signer, and nothing else.
func bakeSigning(ctx context.Context, conn grpc.ClientConnInterface, rootKeyID uint64, caveats []string) ([]byte, error) {
	client := lnrpc.NewLightningClient(conn)
	request := &lnrpc.BakeMacaroonRequest{RootKeyId: rootKeyID}
	for _, method := range signing {
		request.Permissions = append(request.Permissions, &lnrpc.MacaroonPermission{Entity: "uri", Action: method})
	}
	r, err := client.BakeMacaroon(ctx, request)
	if err != nil {
		return nil, said("bake the signer's macaroon", err)
	}
	raw, err := hex.DecodeString(r.Macaroon)
	if err != nil {
		return nil, fault.New("bad_macaroon", "", "the signer baked a malformed macaroon")
	}
	return restricted(raw, caveats)
}

// restricted adds caveats.
func restricted(raw []byte, caveats []string) ([]byte, error) {
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, fault.New("bad_macaroon", "check the file", "malformed macaroon of %d bytes", len(raw))
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			return nil, fault.New("bad_bounds", "", "caveat %q: %w", c, err)
		}
	}
	return m.MarshalBinary()
}

// deleteRootKey kills every macaroon of the root key.
func deleteRootKey(ctx context.Context, conn grpc.ClientConnInterface, id uint64) error {
	_, err := lnrpc.NewLightningClient(conn).DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{RootKeyId: id})
	if err != nil {
		return said("delete the old root key", err)
	}
	return nil
}

// said makes a fault of what a signer answered.
func said(what string, err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded:
		return fault.New("signer_unreachable", "leyden signer status", "%s: %s", what, s.Message())
	case codes.PermissionDenied, codes.Unauthenticated:
		return fault.New("permission_denied", "use a macaroon that allows it", "%s: %s", what, s.Message())
	}
	if refusedMacaroon(s.Message()) {
		return fault.New("permission_denied", "use a macaroon that allows it", "%s: %s", what, s.Message())
	}
	return fault.New("signer_refused", "see the signer's log", "%s: %s", what, s.Message())
}
