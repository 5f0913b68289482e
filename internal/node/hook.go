package node

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/front"
)

// stopDaemon is what `lncli stop` calls.
const stopDaemon = "/lnrpc.Lightning/StopDaemon"

// stopHook lets everything pass. When lnd has agreed to stop it calls stop, so
// that what was stopped on purpose is not started again.
type stopHook struct {
	stop func()
}

// Call is part of front.Hook.
func (h stopHook) Call(_ context.Context, call *front.Call) (front.Decision, error) {
	if call.Method != stopDaemon {
		return front.Decision{}, nil
	}
	return front.Decision{End: func(r front.Result) {
		if r.Status.Code() == codes.OK {
			h.stop()
		}
	}}, nil
}
