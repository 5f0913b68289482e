package gbn

import (
	"context"
	"testing"
)

// channels is a pipe that only carries.
type channels struct{ out, in chan []byte }

func (c channels) Send(ctx context.Context, packet []byte) error {
	select {
	case c.out <- packet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c channels) Recv(ctx context.Context) ([]byte, error) {
	select {
	case packet := <-c.in:
		return packet, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// BenchmarkTransfer sends messages of 32 KiB one way, over a pipe that costs
// nothing.
func BenchmarkTransfer(b *testing.B) {
	up, down := make(chan []byte, 64), make(chan []byte, 64)
	accepted := make(chan *Conn, 1)
	go func() {
		c, err := Accept(b.Context(), channels{out: down, in: up}, Options{})
		if err != nil {
			b.Error(err)
		}
		accepted <- c
	}()
	client, err := Dial(b.Context(), channels{out: up, in: down}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	server := <-accepted
	defer server.Close()
	msg := make([]byte, 32<<10)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	go func() {
		for range b.N {
			if err := client.Send(b.Context(), msg); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for range b.N {
		if _, err := server.Recv(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
