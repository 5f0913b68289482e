package mailbox

import "google.golang.org/grpc/codes"

// refusal is an error as clients get it: a gRPC status. Existing clients look
// for the words of some, which are therefore not ours.
type refusal struct {
	code    codes.Code
	message string
	reason  string // for the figures
}

func (r *refusal) Error() string { return r.message }

var (
	errExists         = &refusal{codes.AlreadyExists, "stream already active", "exists"}
	errNotFound       = &refusal{codes.Unknown, "stream not found", "not_found"}
	errReading        = &refusal{codes.Unknown, "read stream occupied", "occupied"}
	errWriting        = &refusal{codes.Unknown, "write stream occupied", "occupied"}
	errGone           = &refusal{codes.Unknown, "EOF", "gone"}
	errNoDesc         = &refusal{codes.Unknown, "cipher box descriptor required", "malformed"}
	errNoStreamID     = &refusal{codes.Unknown, "stream_id required", "malformed"}
	errNoAuth         = &refusal{codes.Unknown, "auth type required", "malformed"}
	errClosing        = &refusal{codes.Unavailable, "the relay is going away", "closing"}
	errFull           = &refusal{codes.ResourceExhausted, "nobody reads: the box is full", "full"}
	errTooLong        = &refusal{codes.ResourceExhausted, "the message is too long", "too_long"}
	errSlow           = &refusal{codes.DeadlineExceeded, "the message came too slowly", "slow"}
	errCompressed     = &refusal{codes.Unimplemented, "compressed messages are not taken", "malformed"}
	errMalformed      = &refusal{codes.InvalidArgument, "malformed message", "malformed"}
	errNoMethod       = &refusal{codes.Unimplemented, "unknown method", "malformed"}
	errCancelled      = &refusal{codes.Canceled, "the client has gone", "cancelled"}
	errTimeout        = &refusal{codes.DeadlineExceeded, "the client's deadline is over", "timeout"}
	errInternal       = &refusal{codes.Internal, "internal error", "internal"}
	errTooManyBoxes   = &refusal{codes.ResourceExhausted, "too many boxes", "boxes"}
	errTooManyStreams = &refusal{codes.ResourceExhausted, "too many streams", "streams"}
)
