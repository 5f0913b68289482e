package noise

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/btcsuite/btcd/btcec/v2"
)

// maskGenerator is the point N of SPAKE2, of which nobody knows the logarithm:
// its x is SHA-256 of a counter (8 bytes, big-endian) and "Lightning Node
// Connect", for the first counter that gives a point, with even y.
var maskGenerator = mustPoint("0254a58cd0f31c008fd0bc9b2dd5ba586144933829f6da33ac4130b555fb5ea32c")

func mustPoint(compressed string) *btcec.PublicKey {
	raw, err := hex.DecodeString(compressed)
	if err != nil {
		panic(err)
	}
	key, err := btcec.ParsePubKey(raw)
	if err != nil {
		panic(err)
	}
	return key
}

// ECDH returns SHA-256 of the compressed product of a private and a public key.
func ECDH(private *btcec.PrivateKey, public *btcec.PublicKey) [32]byte {
	var point, product btcec.JacobianPoint
	public.AsJacobian(&point)
	btcec.ScalarMultNonConst(&private.Key, &point, &product)
	product.ToAffine()
	return sha256.Sum256(btcec.NewPublicKey(&product.X, &product.Y).SerializeCompressed())
}

// mask adds the password's point to a key, unmask takes it off.
func mask(key *btcec.PublicKey, password [32]byte) (*btcec.PublicKey, error) {
	return addPassword(key, password, false)
}

func unmask(key *btcec.PublicKey, password [32]byte) (*btcec.PublicKey, error) {
	return addPassword(key, password, true)
}

func addPassword(key *btcec.PublicKey, password [32]byte, negate bool) (*btcec.PublicKey, error) {
	var scalar btcec.ModNScalar
	scalar.SetBytes(&password)
	defer scalar.Zero()
	if negate {
		scalar.Negate()
	}
	var point, generator, product, sum btcec.JacobianPoint
	key.AsJacobian(&point)
	maskGenerator.AsJacobian(&generator)
	btcec.ScalarMultNonConst(&scalar, &generator, &product)
	btcec.AddNonConst(&point, &product, &sum)
	if (sum.X.IsZero() && sum.Y.IsZero()) || sum.Z.IsZero() {
		return nil, ErrMalformed
	}
	sum.ToAffine()
	return btcec.NewPublicKey(&sum.X, &sum.Y), nil
}
