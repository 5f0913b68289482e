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

	// The fields of lnrpc.Op.
	entityField = 1
	actionField = 2
)

// Permission is one of lnd's: {"offchain", "write"}, or {"uri", a full method}.
type Permission struct{ Entity, Action string }

// RootKeyID is that of a macaroon in binary form. Errors are Parse's and the method's.
func RootKeyID(raw []byte) (uint64, error) {
	m, err := Parse(raw)
	if err != nil {
		return 0, err
	}
	return m.RootKeyID()
}

// RootKeyID returns the id of the root key that the macaroon claims to hang on.
// The identifier is a version byte and the message lnrpc.MacaroonId, whose
// storageId is the root key id in decimal. Anything that lnd itself would not
// have written is ErrRootKeyID.
func (m *Macaroon) RootKeyID() (uint64, error) {
	id, err := m.identifier()
	return id.rootKey, err
}

// Permissions returns what the macaroon claims to permit, before its caveats. An
// identifier that lnd would not have written is ErrRootKeyID.
func (m *Macaroon) Permissions() ([]Permission, error) {
	id, err := m.identifier()
	return id.permissions, err
}

type identifier struct {
	rootKey     uint64
	permissions []Permission
}

func (m *Macaroon) identifier() (identifier, error) {
	if len(m.id) == 0 || m.id[0] != idVersion {
		return identifier{}, ErrRootKeyID
	}
	var storageID []string
	var id identifier
	ok := eachField(m.id[1:], func(field protowire.Number, value []byte) bool {
		switch field {
		case nonceField:
		case storageIDField:
			storageID = append(storageID, string(value))
		case opsField:
			return id.op(value)
		default:
			return false
		}
		return true
	})
	if !ok || len(storageID) != 1 {
		return identifier{}, ErrRootKeyID
	}
	rootKey, err := strconv.ParseUint(storageID[0], 10, 64)
	if err != nil || strconv.FormatUint(rootKey, 10) != storageID[0] {
		return identifier{}, ErrRootKeyID
	}
	id.rootKey = rootKey
	return id, nil
}

// op reads an encoded lnrpc.Op: an entity and its actions.
func (id *identifier) op(msg []byte) bool {
	var entities, actions []string
	ok := eachField(msg, func(field protowire.Number, value []byte) bool {
		switch field {
		case entityField:
			entities = append(entities, string(value))
		case actionField:
			actions = append(actions, string(value))
		default:
			return false
		}
		return true
	})
	if !ok || len(entities) != 1 {
		return false
	}
	for _, action := range actions {
		id.permissions = append(id.permissions, Permission{entities[0], action})
	}
	return true
}

// eachField calls fn with the fields of an encoded message, which must all be of
// bytes, until it returns false.
func eachField(msg []byte, fn func(protowire.Number, []byte) bool) bool {
	for len(msg) > 0 {
		field, kind, n := protowire.ConsumeTag(msg)
		if n < 0 || kind != protowire.BytesType {
			return false
		}
		value, m := protowire.ConsumeBytes(msg[n:])
		if m < 0 || !fn(field, value) {
			return false
		}
		msg = msg[n+m:]
	}
	return true
}
