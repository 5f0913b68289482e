package node

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestSignerLost(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		lost bool
	}{
		"ok/connection broke": {"error signing message in remote signer instance: rpc error: code = Unavailable desc = error reading from server: read tcp 192.0.2.1:45158->192.0.2.2:10012: read: connection reset by peer", true},
		"ok/too slow":         {"error signing PSBT in remote signer instance: rpc error: code = DeadlineExceeded desc = context deadline exceeded", true},
		"ok/keys":             {"error signing with remoteinstance: rpc error: code = Unavailable desc = EOF", true},
		"fail/refused":        {"error signing PSBT in remote signer instance: rpc error: code = PermissionDenied desc = leyden: limit_day: the daily limit is spent", false},
		"fail/another peer":   {"rpc error: code = Unavailable desc = connection refused", false},
		"fail/anything":       {"unable to locate invoice", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := signerLost(status.New(codes.Unknown, c.text))
			if (r != nil) != c.lost {
				t.Fatalf("told %v", r)
			}
			if r != nil && (r.Reason != "signer_unreachable" || r.Code != codes.Unavailable || r.Hint == "") {
				t.Errorf("told %+v", r)
			}
		})
	}
}
