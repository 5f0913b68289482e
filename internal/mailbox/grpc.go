package mailbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

const (
	// frameHeader is the length of what precedes a message (gRPC over HTTP/2,
	// Length-Prefixed-Message): a flag and the length.
	frameHeader = 5
	// descOverhead is the most that a CipherBox has besides its msg, in bytes.
	descOverhead = 256
)

// grpcCall is one call. gRPC is spoken directly on net/http, since grpc-go's
// own handler neither tells when a message is on the wire nor bounds a stream.
type grpcCall struct {
	call
	relay   *Relay
	w       http.ResponseWriter
	control *http.ResponseController
	body    *bufio.Reader
}

func (r *Relay) serveGRPC(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor < 2 {
		http.Error(w, "gRPC needs HTTP/2", http.StatusHTTPVersionNotSupported)
		return
	}
	if kind := req.Header.Get("Content-Type"); kind != "application/grpc" && kind != "application/grpc+proto" {
		http.Error(w, "gRPC with protobuf is spoken here", http.StatusUnsupportedMediaType)
		return
	}
	c := &grpcCall{call: callOf(req), relay: r, w: w, control: http.NewResponseController(w)}
	if limit, ok := grpcTimeout(req.Header.Get("Grpc-Timeout")); ok {
		var cancel context.CancelFunc
		c.Context, cancel = context.WithTimeout(c.Context, limit)
		defer cancel()
	}
	clear(req.Header) // which would be kept for as long as the stream lasts
	c.body = bufio.NewReaderSize(req.Body, 1024)
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status, Grpc-Message")
	status := &refusal{code: codes.OK}
	if err := c.serve(req.PathValue("method")); err != nil {
		status = refusalOf(err)
	}
	h.Set("Grpc-Status", strconv.Itoa(int(status.code)))
	h.Set("Grpc-Message", status.message)
}

func (c *grpcCall) serve(method string) error {
	switch method {
	case "NewCipherBox":
		return c.unary(func(auth *hashmailrpc.CipherBoxAuth) (proto.Message, error) {
			return c.relay.newCipherBox(c.call, auth)
		})
	case "DelCipherBox":
		return c.unary(func(auth *hashmailrpc.CipherBoxAuth) (proto.Message, error) {
			return c.relay.delCipherBox(c.call, auth)
		})
	case "SendStream":
		return c.sendStream()
	case "RecvStream":
		return c.recvStream()
	}
	return errNoMethod
}

func (c *grpcCall) unary(do func(*hashmailrpc.CipherBoxAuth) (proto.Message, error)) error {
	auth := new(hashmailrpc.CipherBoxAuth)
	if err := c.request(auth); err != nil {
		return err
	}
	answer, err := do(auth)
	if err != nil {
		return err
	}
	return c.write(answer)
}

// request reads the one message of a call that has one, for which the client
// has some seconds.
func (c *grpcCall) request(into proto.Message) error {
	defer c.hurry()()
	n, err := c.header(1024)
	if err != nil {
		return err
	}
	raw, err := c.readNow(n)
	if err != nil {
		return err
	}
	if proto.Unmarshal(raw, into) != nil {
		return errMalformed
	}
	return nil
}

func (c *grpcCall) sendStream() error {
	var w *writer
	defer func() {
		if w != nil {
			w.close()
		}
	}()
	var desc *hashmailrpc.CipherBoxDesc
	for {
		n, err := c.next(w == nil)
		if errors.Is(err, io.EOF) && w != nil {
			return c.write(desc)
		}
		if err != nil {
			return err
		}
		cost, err := c.relay.reserve(c, c.from, n)
		if err != nil {
			return err
		}
		named, msg, err := c.readBox(n)
		if err == nil && w == nil {
			desc = named
			w, err = c.relay.fillNamed(c.call, desc)
		}
		if err != nil {
			cost.release()
			return err
		}
		cost.shrink(len(msg))
		if err := w.write(c, msg, cost); err != nil {
			return err
		}
	}
}

func (c *grpcCall) recvStream() error {
	desc := new(hashmailrpc.CipherBoxDesc)
	if err := c.request(desc); err != nil {
		return err
	}
	d, err := c.relay.emptyNamed(c.call, desc)
	if err != nil {
		return err
	}
	defer d.close()
	c.body = nil // which would be kept for as long as the stream lasts
	// The client sees by the headers that it is the reader.
	if err := c.control.Flush(); err != nil {
		return errCancelled
	}
	named, err := proto.Marshal(&hashmailrpc.CipherBox{Desc: desc})
	if err != nil {
		return errInternal
	}
	return d.deliver(c, func(batch [][]byte) error {
		buffer := frames.Get().(*[]byte)
		defer frames.Put(buffer)
		b := (*buffer)[:0]
		for _, msg := range batch {
			begin := len(b)
			b = appendBox(append(b, make([]byte, frameHeader)...), named, msg)
			binary.BigEndian.PutUint32(b[begin+1:], uint32(len(b)-begin-frameHeader))
		}
		*buffer = b
		return c.send(b)
	})
}

// next reads what precedes the next message of a stream. The first must come
// soon: until then nothing says what the stream is for.
func (c *grpcCall) next(first bool) (int, error) {
	if first {
		defer c.hurry()()
	}
	return c.header(c.relay.limits.Message + descOverhead)
}

// header reads what precedes a message and returns its length, or io.EOF.
func (c *grpcCall) header(most int) (int, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(c.body, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		return 0, c.failed(err)
	}
	n := binary.BigEndian.Uint32(h[1:])
	switch {
	case h[0] != 0:
		return 0, errCompressed
	case int64(n) > int64(most):
		return 0, c.relay.refuse(errTooLong)
	}
	return int(n), nil
}

func (c *grpcCall) readBox(n int) (*hashmailrpc.CipherBoxDesc, []byte, error) {
	raw, err := c.read(n)
	if err != nil {
		return nil, nil, err
	}
	return parseBox(raw)
}

// read reads a message, for which the client has some seconds.
func (c *grpcCall) read(n int) ([]byte, error) {
	if c.body.Buffered() < n {
		defer c.hurry()()
	}
	return c.readNow(n)
}

func (c *grpcCall) readNow(n int) ([]byte, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(c.body, raw); err != nil {
		return nil, c.failed(err)
	}
	return raw, nil
}

// hurry ends reading after some seconds, unless done is called before.
func (c *grpcCall) hurry() (done func()) {
	ended := make(chan struct{})
	timer := time.AfterFunc(c.relay.messageWithin, func() {
		_ = c.control.SetReadDeadline(time.Now())
		close(ended)
	})
	return func() {
		if !timer.Stop() {
			<-ended
		}
	}
}

// failed says why the body could not be read.
func (c *grpcCall) failed(err error) error {
	switch {
	case c.Err() != nil:
		return c.relay.ended(c)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.relay.refuse(errSlow)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errMalformed
	}
	return errCancelled
}

// frames holds what is being written to readers.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// write answers with a message.
func (c *grpcCall) write(m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, frameHeader), m)
	if err != nil {
		return errInternal
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-frameHeader))
	return c.send(b)
}

// send puts messages on the wire; an error means that some may not be. A client
// that takes nothing for as long as a writer may wait loses its place: what is
// for it would stay for ever.
func (c *grpcCall) send(b []byte) error {
	late := time.AfterFunc(c.relay.limits.Blocked, func() { _ = c.control.SetWriteDeadline(time.Now()) })
	defer late.Stop()
	if _, err := c.w.Write(b); err != nil {
		return errCancelled
	}
	if err := c.control.Flush(); err != nil && len(b) <= serverBuffer {
		return errCancelled
	}
	return nil
}

// serverBuffer is what net/http's HTTP/2 collects before it writes, in bytes.
// More has been written when Write returns: that flushing fails then only means
// that the stream has ended since.
const serverBuffer = 4096

// grpcTimeout reads a grpc-timeout header: up to eight digits and a unit.
func grpcTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	i := strings.IndexByte("HMSmun", s[len(s)-1])
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if i < 0 || err != nil {
		return 0, false
	}
	unit := [...]time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond, 1}[i]
	return min(time.Duration(n), (1<<62)/unit) * unit, true
}
