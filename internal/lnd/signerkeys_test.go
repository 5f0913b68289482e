package lnd

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"

	"github.com/leydenln/leyden/internal/fault"
)

func (s *fakeSigner) DeriveSharedKey(_ context.Context, r *signrpc.SharedKeyRequest) (*signrpc.SharedKeyResponse, error) {
	theirs, err := btcec.ParsePubKey(r.EphemeralPubkey)
	if err != nil || r.KeyDesc.GetKeyLoc().GetKeyFamily() != 6 || r.KeyDesc.GetKeyLoc().GetKeyIndex() != 0 {
		return nil, err
	}
	return &signrpc.SharedKeyResponse{SharedKey: sharedKey(s.key.Load(), theirs)}, nil
}

// account makes an account's key pair and the first external key below it.
func account(t *testing.T) (xpub string, first *btcec.PrivateKey) {
	t.Helper()
	var seed [32]byte
	rand.Read(seed[:])
	key, err := hdkeychain.NewMaster(seed[:], &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.Neuter()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if key, err = key.Derive(0); err != nil {
			t.Fatal(err)
		}
	}
	if first, err = key.ECPrivKey(); err != nil {
		t.Fatal(err)
	}
	return pub.String(), first
}

func TestHolds(t *testing.T) {
	xpub, first := account(t)
	other, _ := account(t)
	for name, c := range map[string]struct{ xpub, code string }{
		"ok/its keys":      {xpub, ""},
		"fail/another's":   {other, "signer_other_keys"},
		"fail/no key":      {"xpub", "bad_bundle"},
		"ok/not asked for": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSigner(t)
			s.key.Store(first)
			s.Identity = c.xpub
			if err := s.Check(t.Context()); fault.Code(err) != c.code {
				t.Errorf("%v, want %q", err, c.code)
			}
		})
	}
}
