package lnc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// msgDataHeader is the version, always 0, and the length of what follows in 4
// bytes.
const msgDataHeader = 1 + 4

// dataHeader is what the go-back-n layer puts before a message.
const dataHeader = 4

var errMsgData = errors.New("malformed MsgData")

// beginMsgData returns dst with room for the header of a MsgData, whose payload
// is to be appended.
func beginMsgData(dst []byte) []byte {
	return append(dst, make([]byte, msgDataHeader)...)
}

// endMsgData writes the header of the MsgData that makes up msg.
func endMsgData(msg []byte) []byte {
	binary.BigEndian.PutUint32(msg[1:], uint32(len(msg)-msgDataHeader))
	return msg
}

// encodeMsgData returns the MsgData of a payload.
func encodeMsgData(payload []byte) []byte {
	return endMsgData(append(beginMsgData(make([]byte, 0, msgDataHeader+len(payload)+1)), payload...))
}

// decodeMsgData returns the payload, which shares msg's memory. What follows it
// is ignored, as is the version.
func decodeMsgData(msg []byte) ([]byte, error) {
	if len(msg) < msgDataHeader {
		return nil, fmt.Errorf("%w of %d bytes", errMsgData, len(msg))
	}
	length := binary.BigEndian.Uint32(msg[1:])
	payload := msg[msgDataHeader:]
	if uint64(length) > uint64(len(payload)) {
		return nil, fmt.Errorf("%w: %d bytes announced, %d there", errMsgData, length, len(payload))
	}
	return payload[:length], nil
}

// heldBack reports whether a relay of the wrong kind holds a message back until
// the next, and then loses that one (section 2.6 of the protocol): when the
// message and the protobuf encoding of its length fill blocks of 4096 bytes.
// size is that of the MsgData.
func heldBack(size int) bool {
	const block = 4096
	switch size += dataHeader; {
	case size < 253:
		return false
	case size <= 65535:
		return (size+3)%block == 0
	}
	return (size+5)%block == 0
}
