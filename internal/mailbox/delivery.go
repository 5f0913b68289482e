package mailbox

import (
	"context"
	"sync/atomic"
)

// delivery is what deliver does, without a goroutine while there is nothing to
// deliver: most readers wait, and a goroutine for each is most of what they
// would take.
type delivery struct {
	reader *reader
	ctx    context.Context
	write  func([][]byte) error
	end    func(error) // called once; closes the reader
	state  atomic.Int32
}

// States of a delivery.
const (
	deliveryIdle int32 = iota
	deliveryRuns
	deliveryAgain // runs, and was woken since
)

// begin goes on until the stream ends.
func (v *delivery) begin() {
	v.reader.box.onReadable(v.wake)
	context.AfterFunc(v.ctx, v.wake)
	v.wake()
}

// wake says that there may be something to do. It does not block.
func (v *delivery) wake() {
	for {
		switch {
		case v.state.CompareAndSwap(deliveryIdle, deliveryRuns):
			go v.run()
			return
		case v.state.CompareAndSwap(deliveryRuns, deliveryAgain), v.state.Load() == deliveryAgain:
			return
		}
	}
}

func (v *delivery) run() {
	var batch [][]byte
	for {
		batch = v.reader.box.peek(batch[:0], batchBytes)
		if len(batch) > 0 {
			if err := v.write(batch); err != nil {
				v.end(err)
				return
			}
			v.reader.box.took(len(batch))
			clear(batch)
			continue
		}
		select {
		case <-v.reader.box.closed:
			v.end(errGone)
			return
		case <-v.ctx.Done():
			v.end(v.reader.relay.ended(v.ctx))
			return
		default:
		}
		if v.state.CompareAndSwap(deliveryRuns, deliveryIdle) {
			return
		}
		v.state.Store(deliveryRuns)
	}
}
