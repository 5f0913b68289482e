package front

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const (
	// tunnelGrace is how long the calls of a tunnel that ends have to tell their
	// clients so.
	tunnelGrace = time.Second

	// Windows of a tunnel's calls and connections, in bytes. They need not be
	// measured, which would cost messages that relays count.
	tunnelWindow     = 1 << 20
	tunnelConnWindow = 4 << 20
)

// TunnelOptions describe a way into the front beside its ports.
type TunnelOptions struct {
	// Name is in Call.Tunnel. Required.
	Name string

	// Listener gives connections that are secured already, which Credentials
	// accept. The tunnel closes it.
	Listener    net.Listener
	Credentials credentials.TransportCredentials

	// Admit is asked about each call but those of the State service, before the
	// front's hook. Its error refuses the call.
	Admit func(*Call) error
}

// Tunnel is a way into a front whose calls are held to one purpose. Calls pass the
// same hook as all others do, as those of a client on this machine.
type Tunnel struct {
	opts   TunnelOptions
	grpc   *grpc.Server
	conns  *handedOver
	served chan struct{}
	close  func() error
}

// Open serves a tunnel until Close, which must come before the server's Stop.
func (s *Server) Open(opts TunnelOptions) *Tunnel {
	t := &Tunnel{opts: opts, conns: handOver(opts.Listener), served: make(chan struct{})}
	t.grpc = s.newGRPC(opts.Credentials, func(_ any, client grpc.ServerStream) error { return s.handleFrom(client, t) },
		grpc.InitialWindowSize(tunnelWindow), grpc.InitialConnWindowSize(tunnelConnWindow))
	t.close = sync.OnceValue(t.end)
	go func() {
		defer close(t.served)
		_ = t.grpc.Serve(t.conns) // what ends the listener has ended the tunnel
	}()
	return t
}

// Close ends the tunnel. Calls that end within a second, best because they were
// cut off before, tell their clients why. It may be called again.
func (t *Tunnel) Close() error { return t.close() }

func (t *Tunnel) end() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.grpc.GracefulStop()
		<-t.served
	}()
	select {
	case <-ended:
	case <-time.After(tunnelGrace):
		go t.grpc.Stop() // in the background, as GracefulStop, for as long as a hook does not return
	}
	err := t.opts.Listener.Close()
	<-t.conns.through
	select {
	case <-ended:
	case <-time.After(tunnelGrace):
		err = errors.Join(err, fmt.Errorf("tunnel %q: calls have not ended yet", t.opts.Name))
	}
	return err
}

// handedOver is a listener that can be closed while its connections live on, so
// that a gRPC server that stops can still say so.
type handedOver struct {
	net.Listener
	conns   chan net.Conn
	closed  chan struct{}
	through chan struct{} // closed once no more connections come
	close   func()
}

func handOver(inner net.Listener) *handedOver {
	h := &handedOver{
		Listener: inner, conns: make(chan net.Conn),
		closed: make(chan struct{}), through: make(chan struct{}),
	}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	go h.run()
	return h
}

func (h *handedOver) run() {
	defer close(h.through)
	for {
		c, err := h.Listener.Accept()
		if err != nil {
			return
		}
		select {
		case h.conns <- c:
		case <-h.closed:
			_ = c.Close() // nobody waits for it
		}
	}
}

// Accept is part of net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
	case <-h.through:
	}
	return nil, net.ErrClosed
}

// Close is part of net.Listener.
func (h *handedOver) Close() error {
	h.close()
	return nil
}
