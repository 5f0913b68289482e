package macaroon

import (
	"errors"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrRootKeyID means that a macaroon's identifier is not as lnd makes it.
var ErrRootKeyID = errors.New("malformed macaroon identifier")

const (
	// idVersion begins the identifier: macaroon-bakery's Version3.
	idVersion = 3

	// The fields of lnrpc.MacaroonId.
	nonceField     = 1
	storageIDField = 2
	opsField       = 3
)

// RootKeyID returns the id of the root key that the macaroon claims to hang on.
// The identifier is a version byte and the message lnrpc.MacaroonId, whose
// storageId is the root key id in decimal. Anything that lnd itself would not
// have written is ErrRootKeyID.
func (m *Macaroon) RootKeyID() (uint64, error) {
	if len(m.id) == 0 || m.id[0] != idVersion {
		return 0, ErrRootKeyID
	}
	text, ok := storageID(m.id[1:])
	if !ok {
		return 0, ErrRootKeyID
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(id, 10) != text {
		return 0, ErrRootKeyID
	}
	return id, nil
}

// storageID finds the one storageId of an encoded lnrpc.MacaroonId.
func storageID(msg []byte) (text string, ok bool) {
	for len(msg) > 0 {
		field, kind, n := protowire.ConsumeTag(msg)
		if n < 0 || kind != protowire.BytesType {
			return "", false
		}
		value, m := protowire.ConsumeBytes(msg[n:])
		if m < 0 {
			return "", false
		}
		msg = msg[n+m:]
		switch {
		case field == storageIDField && !ok:
			text, ok = string(value), true
		case field != nonceField && field != opsField:
			return "", false
		}
	}
	return text, ok
}
