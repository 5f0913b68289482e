package main

import (
	"io"
	"net"
	"net/http"
	"time"

	"github.com/leydenln/leyden/internal/devnet/port"
)

// goods is what the backend answers, 1 KiB as in the benchmarks.
var goods = func() []byte {
	b := make([]byte, 1024)
	for i := range b {
		b[i] = 'g'
	}
	return b
}()

// backend is the seller's service. It can be stopped and started again.
type backend struct {
	addr   string
	server *http.Server
}

func newBackend() (*backend, error) {
	addr, err := port.Reserve()
	if err != nil {
		return nil, err
	}
	b := &backend{addr: addr}
	return b, b.start()
}

func (b *backend) start() error {
	l, err := net.Listen("tcp4", b.addr)
	if err != nil {
		return err
	}
	b.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(goods) // the gate has gone
		})}
	go b.server.Serve(l)
	return nil
}

// stop cuts every connection.
func (b *backend) stop() { _ = b.server.Close() }
