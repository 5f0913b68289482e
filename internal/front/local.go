package front

import (
	"context"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// localStream is a call within the process. Its two ends are a localClient, which
// speaks protobuf messages, and a localServer, which speaks frames.
type localStream struct {
	requests  chan []byte
	responses chan []byte
	closeSend sync.Once

	mu      sync.Mutex
	header  metadata.MD
	trailer metadata.MD

	headerSent chan struct{} // closed once header is final
	sendHeader sync.Once
	done       chan struct{} // closed once err and trailer are final
	err        error
}

type localClient struct {
	*localStream
	ctx context.Context
}

type localServer struct {
	*localStream
	ctx    context.Context
	cancel context.CancelFunc
}

func localPipe(ctx context.Context) (*localClient, *localServer) {
	s := &localStream{
		requests:   make(chan []byte, 1),
		responses:  make(chan []byte),
		headerSent: make(chan struct{}),
		done:       make(chan struct{}),
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	// What the client sends is not what the hook's own calls to lnd send.
	serverCtx := metadata.NewOutgoingContext(metadata.NewIncomingContext(ctx, md), nil)
	serverCtx, cancel := context.WithCancel(serverCtx)
	return &localClient{s, ctx}, &localServer{s, serverCtx, cancel}
}

func (c *localClient) Context() context.Context { return c.ctx }

func (c *localClient) Header() (metadata.MD, error) {
	select {
	case <-c.headerSent:
		return c.header, nil
	case <-c.ctx.Done():
		return nil, status.FromContextError(c.ctx.Err()).Err()
	}
}

func (c *localClient) Trailer() metadata.MD {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.trailer
	default:
		return nil
	}
}

func (c *localClient) CloseSend() error {
	c.closeSend.Do(func() { close(c.requests) })
	return nil
}

func (c *localClient) SendMsg(m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("local call: message is %T", m)
	}
	data, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	select {
	case c.requests <- data:
		return nil
	case <-c.done:
		return io.EOF
	case <-c.ctx.Done():
		return status.FromContextError(c.ctx.Err()).Err()
	}
}

// RecvMsg reads the next message into m, which may be nil when only the end of
// the call is wanted.
func (c *localClient) RecvMsg(m any) error {
	select {
	case data := <-c.responses:
		msg, ok := m.(proto.Message)
		if !ok {
			return nil
		}
		return proto.Unmarshal(data, msg)
	case <-c.done:
		if c.err == nil {
			return io.EOF
		}
		return c.err
	case <-c.ctx.Done():
		return status.FromContextError(c.ctx.Err()).Err()
	}
}

func (s *localServer) Context() context.Context { return s.ctx }

func (s *localServer) SetHeader(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header = metadata.Join(s.header, md)
	return nil
}

func (s *localServer) SendHeader(md metadata.MD) error {
	s.sendHeader.Do(func() {
		_ = s.SetHeader(md)
		close(s.headerSent)
	})
	return nil
}

func (s *localServer) SetTrailer(md metadata.MD) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer = metadata.Join(s.trailer, md)
}

func (s *localServer) SendMsg(m any) error {
	_ = s.SendHeader(nil)
	select {
	case s.responses <- m.(*frame).bytes():
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

func (s *localServer) RecvMsg(m any) error {
	select {
	case data, ok := <-s.requests:
		if !ok {
			return io.EOF
		}
		*m.(*frame) = *newFrame(data)
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// finish ends the call with what its handler returned.
func (s *localServer) finish(err error) {
	if st, ok := status.FromError(err); ok {
		err = st.Err()
	}
	s.err = err
	_ = s.SendHeader(nil)
	close(s.done)
	s.cancel()
}

var (
	_ grpc.ClientStream = (*localClient)(nil)
	_ grpc.ServerStream = (*localServer)(nil)
)
