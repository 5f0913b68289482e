package mailbox

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
)

// httpStream is a gRPC stream of net/http.
type httpStream struct {
	*http.ResponseController
	w       http.ResponseWriter
	req     *http.Request
	blocked time.Duration // how long a client may take nothing
}

// serveGRPC serves a call that net/http has taken.
func (r *Relay) serveGRPC(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor < 2 {
		http.Error(w, "gRPC needs HTTP/2", http.StatusHTTPVersionNotSupported)
		return
	}
	if !isGRPC(req.Header.Get("Content-Type")) {
		http.Error(w, "gRPC with protobuf is spoken here", http.StatusUnsupportedMediaType)
		return
	}
	c := callOf(req)
	if limit, ok := grpcTimeout(req.Header.Get("Grpc-Timeout")); ok {
		var cancel context.CancelFunc
		c.Context, cancel = context.WithTimeout(c.Context, limit)
		defer cancel()
	}
	clear(req.Header) // which would be kept for as long as the stream lasts
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status, Grpc-Message")
	status := &refusal{code: codes.OK}
	if err := r.newGRPCCall(c, httpStream{http.NewResponseController(w), w, req, r.limits.Blocked}).serve(req.PathValue("method")); err != nil {
		status = refusalOf(err)
	}
	h.Set("Grpc-Status", strconv.Itoa(int(status.code)))
	h.Set("Grpc-Message", status.message)
}

func isGRPC(contentType string) bool {
	return contentType == "application/grpc" || contentType == "application/grpc+proto"
}

func (s httpStream) Read(p []byte) (int, error) { return s.req.Body.Read(p) }

func (s httpStream) open() error {
	if s.Flush() != nil {
		return errCancelled
	}
	return nil
}

// serverBuffer is what net/http's HTTP/2 collects before it writes, in bytes.
// More has been written when Write returns: that flushing fails then only means
// that the stream has ended since.
const serverBuffer = 4096

func (s httpStream) send(b []byte) error {
	late := time.AfterFunc(s.blocked, func() { _ = s.SetWriteDeadline(time.Now()) })
	defer late.Stop()
	if _, err := s.w.Write(b); err != nil {
		return errCancelled
	}
	if err := s.Flush(); err != nil && len(b) <= serverBuffer {
		return errCancelled
	}
	return nil
}

func (s httpStream) deliver(c call, d *reader, write func([][]byte) error) error {
	defer d.close()
	return d.deliver(c, write)
}
