package main

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// asBare is the word by which this program runs itself as the baseline.
const asBare = "serve-bare"

// bareRelay is the least that carries messages: gRPC's own server, and a
// channel for each box.
type bareRelay struct {
	hashmailrpc.UnimplementedHashMailServer
	boxes sync.Map
}

func serveBare(addr, certificate, key string) error {
	pair, err := credentials.NewServerTLSFromFile(certificate, key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(pair))
	hashmailrpc.RegisterHashMailServer(s, new(bareRelay))
	return s.Serve(l)
}

func (b *bareRelay) box(desc *hashmailrpc.CipherBoxDesc) chan []byte {
	box, _ := b.boxes.LoadOrStore(string(desc.GetStreamId()), make(chan []byte, 64))
	return box.(chan []byte)
}

// NewCipherBox implements the service, as do the other methods.
func (b *bareRelay) NewCipherBox(context.Context, *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	return new(hashmailrpc.CipherInitResp), nil
}

func (b *bareRelay) DelCipherBox(_ context.Context, auth *hashmailrpc.CipherBoxAuth) (*hashmailrpc.DelCipherBoxResp, error) {
	b.boxes.Delete(string(auth.GetDesc().GetStreamId()))
	return new(hashmailrpc.DelCipherBoxResp), nil
}

func (b *bareRelay) SendStream(in grpc.ClientStreamingServer[hashmailrpc.CipherBox, hashmailrpc.CipherBoxDesc]) error {
	for {
		m, err := in.Recv()
		if err != nil {
			return err
		}
		select {
		case b.box(m.GetDesc()) <- m.GetMsg():
		case <-in.Context().Done():
			return in.Context().Err()
		}
	}
}

func (b *bareRelay) RecvStream(desc *hashmailrpc.CipherBoxDesc, out grpc.ServerStreamingServer[hashmailrpc.CipherBox]) error {
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case msg := <-b.box(desc):
			if err := out.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: msg}); err != nil {
				return err
			}
		case <-out.Context().Done():
			return out.Context().Err()
		}
	}
}
