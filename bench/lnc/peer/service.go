package peer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// MaxMessage is how long a message the service may send or take, in bytes.
const MaxMessage = 32 << 20

const (
	serviceName = "leyden.bench.Echo"
	fetchMethod = "/" + serviceName + "/Fetch"
	pushMethod  = "/" + serviceName + "/Push"

	// request is the length of a call's request, about that of an invoice.
	request = 300
)

// service answers with as many bytes as it is asked for, and takes any.
type service struct{}

func (service) fetch(_ context.Context, size *wrapperspb.UInt32Value) (*wrapperspb.BytesValue, error) {
	return wrapperspb.Bytes(make([]byte, min(size.Value, MaxMessage))), nil
}

func (service) push(_ context.Context, data *wrapperspb.BytesValue) (*wrapperspb.UInt32Value, error) {
	return wrapperspb.UInt32(uint32(len(data.Value))), nil
}

func register(on grpc.ServiceRegistrar) {
	on.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Fetch", Handler: handler(service{}.fetch)},
			{MethodName: "Push", Handler: handler(service{}.push)},
		},
	}, service{})
}

func handler[In, Out any](do func(context.Context, *In) (Out, error)) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
		}
		return do(ctx, in)
	}
}

// call makes one call, as long as most are.
func call(ctx context.Context, conn *grpc.ClientConn) (time.Duration, error) {
	return push(ctx, conn, request)
}

// calls makes calls, one after the other, and returns the median of what they
// took.
func calls(ctx context.Context, conn *grpc.ClientConn, n int) (time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		var err error
		if took[i], err = call(ctx, conn); err != nil {
			return 0, err
		}
	}
	slices.Sort(took)
	return took[n/2], nil
}

// fetch has the node send one message.
func fetch(ctx context.Context, conn *grpc.ClientConn, size int) (time.Duration, error) {
	start := time.Now()
	data := new(wrapperspb.BytesValue)
	err := conn.Invoke(ctx, fetchMethod, wrapperspb.UInt32(uint32(size)), data, grpc.MaxCallRecvMsgSize(MaxMessage+1024))
	if err == nil && len(data.Value) != size {
		err = fmt.Errorf("%d bytes came of %d", len(data.Value), size)
	}
	return time.Since(start), err
}

// push sends the node one message.
func push(ctx context.Context, conn *grpc.ClientConn, size int) (time.Duration, error) {
	data := wrapperspb.Bytes(make([]byte, size))
	start := time.Now()
	came := new(wrapperspb.UInt32Value)
	err := conn.Invoke(ctx, pushMethod, data, came)
	if err == nil && int(came.Value) != size {
		err = fmt.Errorf("%d bytes came of %d", came.Value, size)
	}
	return time.Since(start), err
}
