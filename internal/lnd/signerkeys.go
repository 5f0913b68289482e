package lnd

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
)

// holds has the signer prove that it holds the private keys of Identity: it makes a
// secret with a key of ours that is used once (BOLT 8's ECDH), as at every
// connection to a peer. ctx carries the macaroon.
func (r *RemoteSigner) holds(ctx context.Context, conn grpc.ClientConnInterface) error {
	identity, err := identityKey(r.Identity)
	if err != nil {
		return err
	}
	ours, err := btcec.NewPrivateKey()
	if err != nil {
		return err
	}
	reply, err := signrpc.NewSignerClient(conn).DeriveSharedKey(ctx, &signrpc.SharedKeyRequest{
		EphemeralPubkey: ours.PubKey().SerializeCompressed(),
		KeyDesc: &signrpc.KeyDescriptor{
			KeyLoc: &signrpc.KeyLocator{KeyFamily: int32(keychain.KeyFamilyNodeKey)},
		},
	})
	if err != nil {
		if err := r.accepted(err); err != nil {
			return err
		}
		return r.otherKeys(err.Error())
	}
	if !bytes.Equal(reply.SharedKey, sharedKey(ours, identity)) {
		return r.otherKeys("its node key is another")
	}
	return nil
}

func (r *RemoteSigner) otherKeys(why string) error {
	return fault.New("signer_other_keys", "check --signer-host, or "+importHint,
		"the signer at %q does not hold the keys of the bundle: %s", r.Addr, why)
}

// identityKey is the first external key of the account.
func identityKey(xpub string) (*btcec.PublicKey, error) {
	key, err := hdkeychain.NewKeyFromString(xpub)
	for range 2 {
		if err == nil {
			key, err = key.Derive(0)
		}
	}
	if err != nil {
		return nil, fault.New("bad_bundle", importHint, "the signer's node key: %w", err)
	}
	return key.ECPubKey()
}

// sharedKey is SHA-256 over the compressed product of both keys.
func sharedKey(priv *btcec.PrivateKey, pub *btcec.PublicKey) []byte {
	var point, product btcec.JacobianPoint
	pub.AsJacobian(&point)
	btcec.ScalarMultNonConst(&priv.Key, &point, &product)
	product.ToAffine()
	sum := sha256.Sum256(btcec.NewPublicKey(&product.X, &product.Y).SerializeCompressed())
	return sum[:]
}
