package relay

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// appendBoxFrame appends the frame that puts a message into a box: a
// CipherBox in JSON.
func appendBoxFrame(dst []byte, id ID, msg []byte) []byte {
	dst = append(dst, `{"desc":{"stream_id":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, id[:])
	dst = append(dst, `"},"msg":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, msg)
	return append(dst, `"}`...)
}

// descFrame returns the frame that asks for a box's messages: a CipherBoxDesc
// in JSON.
func descFrame(id ID) []byte {
	frame := append([]byte(nil), `{"stream_id":"`...)
	frame = base64.StdEncoding.AppendEncode(frame, id[:])
	return append(frame, `"}`...)
}

// rpcStatus is an error in JSON.
type rpcStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (s rpcStatus) error() error { return refusal(s.Message) }

// parseBoxFrame returns the message in a frame from a box, or the error that
// the relay reports in it.
func parseBoxFrame(frame []byte) ([]byte, error) {
	var parsed struct {
		Result *struct {
			Msg []byte `json:"msg"`
		} `json:"result"`
		Error *rpcStatus `json:"error"`
		rpcStatus
	}
	if err := json.Unmarshal(frame, &parsed); err != nil {
		return nil, fmt.Errorf("malformed frame of %d bytes from the relay", len(frame))
	}
	switch {
	case parsed.Error != nil:
		return nil, parsed.Error.error()
	case parsed.Result == nil:
		return nil, parsed.rpcStatus.error()
	case len(parsed.Result.Msg) > maxMessage:
		return nil, fmt.Errorf("message of %d bytes from the relay", len(parsed.Result.Msg))
	}
	return parsed.Result.Msg, nil
}

// parseSendFrame returns the error in a frame that came where messages are
// only sent: nothing but errors comes there.
func parseSendFrame(frame []byte) error {
	var parsed struct {
		Error *rpcStatus `json:"error"`
		rpcStatus
	}
	if err := json.Unmarshal(frame, &parsed); err != nil {
		return fmt.Errorf("malformed frame of %d bytes from the relay", len(frame))
	}
	if parsed.Error != nil {
		return parsed.Error.error()
	}
	return parsed.rpcStatus.error()
}
