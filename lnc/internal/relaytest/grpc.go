package relaytest

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
	"github.com/leydenln/leyden/lnc/internal/relay"
)

// ServeGRPC serves the relay without TLS on a port of loopback, until the test
// ends, and returns its address.
func (r *Relay) ServeGRPC(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	hashmailrpc.RegisterHashMailServer(server, &grpcServer{relay: r})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

type grpcServer struct {
	hashmailrpc.UnimplementedHashMailServer
	relay *Relay
}

// statusOf says errors as relays do.
func statusOf(err error) error {
	if errors.Is(err, errDown) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}

func idOf(desc *hashmailrpc.CipherBoxDesc) (id relay.ID) {
	copy(id[:], desc.GetStreamId())
	return id
}

func (s *grpcServer) NewCipherBox(_ context.Context, in *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	if in.GetLndAuth() == nil {
		return nil, status.Error(codes.Unknown, "auth type required")
	}
	made, err := s.relay.create(idOf(in.GetDesc()))
	if err != nil {
		return nil, statusOf(err)
	}
	if !made {
		return nil, status.Error(codes.AlreadyExists, "stream already active")
	}
	return &hashmailrpc.CipherInitResp{Resp: &hashmailrpc.CipherInitResp_Success{
		Success: &hashmailrpc.CipherSuccess{},
	}}, nil
}

func (s *grpcServer) DelCipherBox(_ context.Context, in *hashmailrpc.CipherBoxAuth) (*hashmailrpc.DelCipherBoxResp, error) {
	if err := s.relay.remove(idOf(in.GetDesc())); err != nil {
		return nil, statusOf(err)
	}
	return &hashmailrpc.DelCipherBoxResp{}, nil
}

func (s *grpcServer) SendStream(stream grpc.ClientStreamingServer[hashmailrpc.CipherBox, hashmailrpc.CipherBoxDesc]) error {
	ctx, cancel := s.relay.stream(stream.Context())
	defer cancel()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	arrived, ended := make(chan []byte), make(chan error, 1)
	go func() {
		for msg := first; ; {
			select {
			case arrived <- msg.GetMsg():
			case <-ctx.Done():
				return
			}
			if msg, err = stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return statusOf(s.relay.fill(ctx, idOf(first.GetDesc()), func() ([]byte, error) {
		select {
		case msg := <-arrived:
			return msg, nil
		case err := <-ended:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}))
}

func (s *grpcServer) RecvStream(in *hashmailrpc.CipherBoxDesc, stream grpc.ServerStreamingServer[hashmailrpc.CipherBox]) error {
	ctx, cancel := s.relay.stream(stream.Context())
	defer cancel()
	return statusOf(s.relay.empty(ctx, idOf(in), func(msg []byte) error {
		return stream.Send(&hashmailrpc.CipherBox{Desc: in, Msg: msg})
	}))
}
