package front

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute
)

type httpPeerKey struct{}

func (s *Server) newHTTP(opts *REST) (*http.Server, error) {
	handler, err := opts.Handler(localConn{s})
	if err != nil {
		return nil, err
	}
	tls := s.opts.TLS.Clone()
	tls.NextProtos = []string{"http/1.1"} // WebSockets take the connection over
	return &http.Server{
		Handler:           handler,
		TLSConfig:         tls,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, httpPeerKey{}, clientAddr(c.RemoteAddr()))
		},
	}, nil
}

// localConn gives REST handlers the front itself as their connection: a call on
// it is taken like one from the gRPC port, without a detour over a socket.
type localConn struct{ server *Server }

// NewStream takes a call of an HTTP peer.
func (l localConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	peer, ok := ctx.Value(httpPeerKey{}).(netip.Addr)
	if !ok {
		return nil, status.Error(codes.Internal, "the call's context is not that of an HTTP request")
	}
	client, server := localPipe(ctx)
	go func() {
		err := l.server.take(server, method, peer, nil)
		server.finish(err)
	}()
	return client, nil
}

// Invoke makes a unary call of an HTTP peer.
func (l localConn) Invoke(ctx context.Context, method string, request, answer any, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := l.NewStream(ctx, nil, method)
	if err != nil {
		return err
	}
	if err = client.SendMsg(request); err == nil {
		err = client.CloseSend()
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = receiveOne(client, answer)
	}
	header, _ := client.Header()
	for _, opt := range opts {
		switch opt := opt.(type) {
		case grpc.HeaderCallOption:
			*opt.HeaderAddr = header
		case grpc.TrailerCallOption:
			*opt.TrailerAddr = client.Trailer()
		}
	}
	return err
}

// receiveOne takes the one answer of a unary call and its status.
func receiveOne(client grpc.ClientStream, answer any) error {
	if err := client.RecvMsg(answer); err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Internal, "the call ended without an answer")
		}
		return err
	}
	switch err := client.RecvMsg(nil); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return status.Error(codes.Internal, "more than one answer to a unary call")
}
