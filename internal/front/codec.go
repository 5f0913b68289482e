package front

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is one message as it is on the wire. Whoever received it frees it once.
type frame struct{ data mem.BufferSlice }

func newFrame(msg []byte) *frame {
	return &frame{data: mem.BufferSlice{mem.SliceBuffer(msg)}}
}

// bytes returns a copy that outlives the frame.
func (f *frame) bytes() []byte { return f.data.Materialize() }

func (f *frame) free() {
	f.data.Free()
	f.data = nil
}

// rawCodec passes frames through without reading them. Its empty name keeps the
// content type "application/grpc", which is what lncli sends.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("raw codec: message is %T", v)
	}
	f.data.Ref()
	return f.data, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("raw codec: message is %T", v)
	}
	data.Ref()
	f.data = data
	return nil
}

func (rawCodec) Name() string { return "" }
