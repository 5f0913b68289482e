package node

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/front"
)

// fixedHook decides always the same.
type fixedHook struct {
	d   front.Decision
	err error
}

func (h fixedHook) Call(context.Context, *front.Call) (front.Decision, error) { return h.d, h.err }

// TestStopHook: the guard's decision stands, and lnd that agreed to stop is not
// started again.
func TestStopHook(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		err    error
		code   codes.Code
		stops  bool
	}{
		"ok/stopped":             {stopDaemon, nil, codes.OK, true},
		"ok/another method":      {"/lnrpc.Lightning/GetInfo", nil, codes.OK, false},
		"fail/lnd refused":       {stopDaemon, nil, codes.Unknown, false},
		"fail/the guard refused": {stopDaemon, errors.New("no"), codes.OK, false},
	} {
		t.Run(name, func(t *testing.T) {
			stopped, told := false, false
			inner := fixedHook{err: c.err, d: front.Decision{
				Macaroon: []byte("kept"), End: func(front.Result) { told = true },
			}}
			h := stopHook{Hook: inner, stop: func() { stopped = true }}
			d, err := h.Call(t.Context(), &front.Call{Method: c.method})
			if !errors.Is(err, c.err) || string(d.Macaroon) != "kept" {
				t.Errorf("decided %+v, %v", d, err)
			}
			if err != nil {
				return
			}
			d.End(front.Result{Status: status.New(c.code, "")})
			if stopped != c.stops || !told {
				t.Errorf("stopped %t, the guard was told %t", stopped, told)
			}
		})
	}
}
