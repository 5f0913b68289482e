package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

const (
	// keepaliveEvery is how often a silent relay is asked for a sign of life:
	// relays may forbid it more than once a minute.
	keepaliveEvery   = 70 * time.Second
	keepaliveTimeout = 15 * time.Second

	// window is how many bytes may be under way in one stream, which is what
	// the layer above lets be under way. With it set gRPC does not ping to
	// find it out.
	window = 1 << 20

	// maxHeader is how much of headers a relay may send at once, in bytes.
	maxHeader = 64 << 10
)

// reconnect is how gRPC comes back to a relay that was away: its own way takes
// up to two minutes.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastPause},
	MinConnectTimeout: 10 * time.Second,
}

type grpcTransport struct {
	conn   *grpc.ClientConn
	client hashmailrpc.HashMailClient
}

// NewGRPC returns a transport over gRPC. It connects when it is used.
func NewGRPC(config Config) (Transport, error) {
	creds := credentials.NewTLS(config.tls())
	if config.Plaintext {
		creds = insecure.NewCredentials()
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(reconnect),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: keepaliveTimeout}),
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(2 * window),
		grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage + 256)),
	}
	if config.Dial != nil {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return config.Dial(ctx, "tcp", addr)
		}))
	}
	// The name is looked up for each connection: gRPC's own resolver waits up to
	// two minutes after a failure, and half a minute after a success.
	conn, err := grpc.NewClient("passthrough:///"+config.hostPort(), options...)
	if err != nil {
		return nil, fmt.Errorf("relay %q: %w", config.Addr, err)
	}
	return &grpcTransport{conn, hashmailrpc.NewHashMailClient(conn)}, nil
}

// grpcError turns a status into what it means.
func grpcError(err error) error {
	s, ok := status.FromError(err)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the relay has ended the stream")
	case !ok:
		return err
	case s.Code() == codes.Unknown:
		return refusal(s.Message())
	}
	return fmt.Errorf("relay: %v: %s", s.Code(), shorten(s.Message()))
}

func boxAuth(id ID) *hashmailrpc.CipherBoxAuth {
	return &hashmailrpc.CipherBoxAuth{
		Desc: &hashmailrpc.CipherBoxDesc{StreamId: id[:]},
		Auth: &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}},
	}
}

func (t *grpcTransport) Create(ctx context.Context, id ID) error {
	_, err := t.client.NewCipherBox(ctx, boxAuth(id))
	if err == nil || status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return grpcError(err)
}

func (t *grpcTransport) Delete(ctx context.Context, id ID) error {
	_, err := t.client.DelCipherBox(ctx, boxAuth(id))
	if err == nil {
		return nil
	}
	if err = grpcError(err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (t *grpcTransport) Close() error { return t.conn.Close() }

type grpcSender struct {
	stream grpc.ClientStreamingClient[hashmailrpc.CipherBox, hashmailrpc.CipherBoxDesc]
	desc   *hashmailrpc.CipherBoxDesc
	abort  context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

func (t *grpcTransport) Send(ctx context.Context, id ID) (Sender, error) {
	ctx, abort := context.WithCancel(ctx)
	stream, err := t.client.SendStream(ctx)
	if err != nil {
		abort()
		return nil, grpcError(err)
	}
	s := &grpcSender{stream: stream, desc: &hashmailrpc.CipherBoxDesc{StreamId: id[:]}, abort: abort,
		done: make(chan struct{})}
	go s.watch()
	return s, nil
}

// watch waits for the end: the relay says nothing else.
func (s *grpcSender) watch() {
	defer s.abort()
	err := s.stream.RecvMsg(&hashmailrpc.CipherBoxDesc{})
	if err == nil {
		err = io.EOF
	}
	s.err = grpcError(err)
	close(s.done)
}

func (s *grpcSender) Send(msg []byte) error {
	err := s.stream.Send(&hashmailrpc.CipherBox{Desc: s.desc, Msg: msg})
	if errors.Is(err, io.EOF) {
		<-s.done
		return s.err
	}
	if err != nil {
		return grpcError(err)
	}
	return nil
}

func (s *grpcSender) Finish(ctx context.Context) {
	defer s.abort()
	if s.stream.CloseSend() != nil {
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

func (s *grpcSender) Done() <-chan struct{} { return s.done }

func (s *grpcSender) Err() error { return s.err }

func (s *grpcSender) Abort() { s.abort() }

type grpcReceiver struct {
	stream grpc.ServerStreamingClient[hashmailrpc.CipherBox]
	abort  context.CancelFunc
}

func (t *grpcTransport) Recv(ctx context.Context, id ID) (Receiver, error) {
	ctx, abort := context.WithCancel(ctx)
	stream, err := t.client.RecvStream(ctx, &hashmailrpc.CipherBoxDesc{StreamId: id[:]})
	if err != nil {
		abort()
		return nil, grpcError(err)
	}
	return &grpcReceiver{stream, abort}, nil
}

func (r *grpcReceiver) Recv() ([]byte, error) {
	box, err := r.stream.Recv()
	if err != nil {
		return nil, grpcError(err)
	}
	return box.GetMsg(), nil
}

func (r *grpcReceiver) Abort() { r.abort() }
