package mailbox

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// Fields of a CipherBox.
const (
	fieldDesc protowire.Number = 1
	fieldMsg  protowire.Number = 2
)

// parseBox reads a CipherBox as proto.Unmarshal does, but msg is a part of raw:
// messages are large, and copying them is most of a relay's work.
func parseBox(raw []byte) (desc *hashmailrpc.CipherBoxDesc, msg []byte, err error) {
	whole := len(raw)
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || number > protowire.MaxValidNumber {
			return nil, nil, errMalformed
		}
		raw = raw[n:]
		if kind != protowire.BytesType || number != fieldDesc && number != fieldMsg {
			if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
				return nil, nil, errMalformed
			}
			raw = raw[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return nil, nil, errMalformed
		}
		raw = raw[n:]
		if number == fieldMsg {
			msg = value[:len(value):len(value)]
			continue
		}
		if desc == nil {
			desc = new(hashmailrpc.CipherBoxDesc)
		}
		if (proto.UnmarshalOptions{Merge: true}).Unmarshal(value, desc) != nil {
			return nil, nil, errMalformed
		}
	}
	if whole-len(msg) > descOverhead {
		msg = bytes.Clone(msg) // what is not a message must not be kept with it
	}
	return desc, msg, nil
}

// appendBox appends a CipherBox whose desc field is encoded already.
func appendBox(dst, desc, msg []byte) []byte {
	dst = append(dst, desc...)
	if len(msg) == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, fieldMsg, protowire.BytesType)
	return protowire.AppendBytes(dst, msg)
}
