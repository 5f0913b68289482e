package mailbox

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// JSON as grpc-gateway writes it: names as in the .proto, what is unset as
// well, bytes in base64.
var writeJSON = protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}

// readJSON reads a message; unknown fields are an error, as is bytes in
// anything but base64.
func readJSON(raw []byte, into proto.Message) error {
	if err := protojson.Unmarshal(raw, into); err != nil {
		return errMalformed
	}
	return nil
}

// resultJSON appends the JSON of one message of a stream.
func resultJSON(dst []byte, desc *hashmailrpc.CipherBoxDesc, msg []byte) []byte {
	dst = append(dst, `{"result":{"desc":{"stream_id":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, desc.GetStreamId())
	dst = append(dst, `"},"msg":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, msg)
	return append(dst, `"}}`...)
}

// decodeBase64 reads what JSON or a query may have of it: either alphabet,
// padded or not, and a plus that the query made a blank.
func decodeBase64(s string) ([]byte, error) {
	standard := strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(s)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(standard, "="))
}

// statusJSON appends a refusal; our messages need no escaping beyond Go's.
func (r *refusal) statusJSON(dst []byte) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(r.code), 10)
	dst = append(dst, `,"message":`...)
	dst = strconv.AppendQuote(dst, r.message)
	return append(dst, `,"details":[]}`...)
}

// errorJSON appends a refusal that ends a stream of results.
func (r *refusal) errorJSON(dst []byte) []byte {
	return append(r.statusJSON(append(dst, `{"error":`...)), '}')
}

// httpStatus is what grpc-gateway makes of a status.
func (r *refusal) httpStatus() int {
	switch r.code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.AlreadyExists:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Canceled:
		return 499
	}
	return http.StatusInternalServerError
}
