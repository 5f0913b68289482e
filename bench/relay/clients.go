package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

func (s *server) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient(s.Addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
}

// box makes a box with a name of its own.
func box(ctx context.Context, c hashmailrpc.HashMailClient) (*hashmailrpc.CipherBoxDesc, error) {
	desc := &hashmailrpc.CipherBoxDesc{StreamId: make([]byte, 64)}
	_, _ = rand.Read(desc.StreamId)
	_, err := c.NewCipherBox(ctx, authFor(desc))
	return desc, err
}

func authFor(desc *hashmailrpc.CipherBoxDesc) *hashmailrpc.CipherBoxAuth {
	return &hashmailrpc.CipherBoxAuth{
		Desc: desc, Auth: &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}}}
}

// idle opens boxes over a number of connections, the first of them with a reader
// each. leave deletes the boxes and closes the connections.
func (s *server) idle(ctx context.Context, count, connections, readers int) (leave func() error, err error) {
	var conns []*grpc.ClientConn
	var boxes []*hashmailrpc.CipherBoxDesc
	leave = func() (err error) {
		for i, desc := range boxes {
			_, failed := hashmailrpc.NewHashMailClient(conns[i%connections]).DelCipherBox(ctx, authFor(desc))
			err = errors.Join(err, failed)
		}
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for range connections {
		conn, err := s.dial()
		if err != nil {
			return leave, err
		}
		conns = append(conns, conn)
	}
	for i := range count {
		client := hashmailrpc.NewHashMailClient(conns[i%connections])
		desc, err := box(ctx, client)
		if err != nil {
			return leave, err
		}
		boxes = append(boxes, desc)
		if i >= readers {
			continue
		}
		out, err := client.RecvStream(ctx, desc)
		if err != nil {
			return leave, err
		}
		if _, err := out.Header(); err != nil {
			return leave, err
		}
	}
	return leave, nil
}

// carry sends messages through pairs of writer and reader at once, and returns
// what it took from the first to the last.
func (s *server) carry(ctx context.Context, pairs, messages, size int) (time.Duration, error) {
	msg := make([]byte, size)
	work, ctx := errgroup.WithContext(ctx)
	begin := make(chan struct{})
	for range pairs {
		writer, err := s.dial()
		if err != nil {
			return 0, err
		}
		defer writer.Close()
		reader, err := s.dial()
		if err != nil {
			return 0, err
		}
		defer reader.Close()
		desc, err := box(ctx, hashmailrpc.NewHashMailClient(writer))
		if err != nil {
			return 0, err
		}
		in, err := hashmailrpc.NewHashMailClient(writer).SendStream(ctx)
		if err != nil {
			return 0, err
		}
		out, err := hashmailrpc.NewHashMailClient(reader).RecvStream(ctx, desc)
		if err != nil {
			return 0, err
		}
		work.Go(func() error {
			<-begin
			for range messages {
				if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: msg}); err != nil {
					return err
				}
			}
			return nil
		})
		work.Go(func() error {
			for range messages {
				if _, err := out.Recv(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	start := time.Now()
	close(begin)
	err := work.Wait()
	return time.Since(start), err
}

// memory is what a process has in memory, in MB.
func memory(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); err == nil {
			return kilobytes / 1000, nil
		}
	}
	return 0, fmt.Errorf("process %d: its memory is not told", pid)
}
