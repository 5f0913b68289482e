package node

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/front"
)

// stopDaemon is what `lncli stop` calls.
const stopDaemon = "/lnrpc.Lightning/StopDaemon"

// stopHook leaves the decision to another hook. When lnd has agreed to stop it
// calls stop, so that what was stopped on purpose is not started again.
type stopHook struct {
	front.Hook
	stop func()
}

// Call is part of front.Hook.
func (h stopHook) Call(ctx context.Context, call *front.Call) (front.Decision, error) {
	d, err := h.Hook.Call(ctx, call)
	if err != nil || call.Method != stopDaemon {
		return d, err
	}
	end := d.End
	d.End = func(r front.Result) {
		if end != nil {
			end(r)
		}
		if r.Status.Code() == codes.OK {
			h.stop()
		}
	}
	return d, nil
}
