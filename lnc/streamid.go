package lnc

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/noise"
)

// StreamID names a box of the relay. Whoever knows it can read, fill and
// delete the box, and so it prints in part only.
type StreamID [64]byte

// String returns the first four bytes in hex.
func (id StreamID) String() string { return hex.EncodeToString(id[:4]) + "…" }

// Format prints what String returns, whatever the verb.
func (id StreamID) Format(f fmt.State, _ rune) { fmt.Fprint(f, id.String()) }

// StaticStreamIDs returns where the two sides meet who have paired: both get
// the same from their own private and the other's public key.
func StaticStreamIDs(own *btcec.PrivateKey, remote *btcec.PublicKey) (toClient, toServer StreamID) {
	secret := noise.ECDH(own, remote)
	defer clear(secret[:])
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("mailbox"))
	return streamIDs(sha512.Sum512(mac.Sum(nil)))
}

func streamIDs(base StreamID) (toClient, toServer StreamID) {
	toClient, toServer = base, base
	toServer[len(toServer)-1] ^= 1
	return toClient, toServer
}
