package fetch

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"gopkg.in/macaroon.v2"
)

// accountCaveat begins the caveat that binds a macaroon to a Leyden account.
const accountCaveat = "lnd-custom account "

// power is what a macaroon may do, as its own identifier says.
type power struct {
	pays, tracks bool // SendPaymentV2, TrackPaymentV2
	account      bool // bound to an account, whose limits hold
	rank         int  // the more the mightier
}

// readPower reads the permissions of an lnd macaroon. Nothing in it is
// verified: only the node can.
func readPower(raw []byte) (power, error) {
	m := new(macaroon.Macaroon)
	if err := m.UnmarshalBinary(raw); err != nil {
		return power{}, errors.New("not a macaroon")
	}
	ops, err := bakeryOps(m.Id())
	if err != nil {
		return power{}, err
	}
	var p power
	for _, o := range ops {
		p.rank += weight(o)
		p.pays = p.pays || o.is("offchain", "write") || o.is("uri", "/routerrpc.Router/SendPaymentV2")
		p.tracks = p.tracks || o.is("offchain", "read") || o.is("uri", "/routerrpc.Router/TrackPaymentV2")
	}
	for _, c := range m.Caveats() {
		p.account = p.account || strings.HasPrefix(string(c.Id), accountCaveat)
	}
	return p, nil
}

// op is one permission: an entity and an action on it. lnd writes a single
// method as entity "uri" and the method as the action.
type op struct{ entity, action string }

func (o op) is(entity, action string) bool { return o == op{entity, action} }

// weight orders macaroons by what they could do: a method counts 1, reading a
// whole kind of thing 10, writing one 100, and making macaroons 1000.
func weight(o op) int {
	switch {
	case o.entity == "macaroon" || strings.HasSuffix(o.action, "/BakeMacaroon"):
		return 1000
	case o.entity == "uri":
		return 1
	case o.action == "read":
		return 10
	}
	return 100
}

// bakeryOps reads the identifier that lnd's macaroon bakery writes: a byte 3,
// then the protobuf message MacaroonId {nonce = 1, storage id = 2,
// ops = 3 {entity = 1, actions = 2, repeated}} (macaroon-bakery v2, id.proto).
func bakeryOps(id []byte) ([]op, error) {
	if len(id) == 0 || id[0] != 3 {
		return nil, errors.New("not a macaroon of lnd")
	}
	var ops []op
	err := eachField(id[1:], func(n protowire.Number, value []byte) error {
		if n != 3 {
			return nil
		}
		var entity string
		var actions []string
		err := eachField(value, func(n protowire.Number, value []byte) error {
			switch n {
			case 1:
				entity = string(value)
			case 2:
				actions = append(actions, string(value))
			}
			return nil
		})
		for _, a := range actions {
			ops = append(ops, op{entity, a})
		}
		return err
	})
	return ops, err
}

// eachField calls f for every length-delimited field.
func eachField(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errors.New("malformed macaroon identifier")
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return errors.New("malformed macaroon identifier")
		}
		if typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			if err := f(num, value); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}
