package gate

import (
	"net"
	"net/http"
	"time"
)

const (
	// maxStreams is the most requests at a time on one HTTP/2 connection. A
	// client that begins and resets more than four times as many before they
	// are served loses the connection (Go's answer to CVE-2023-44487).
	maxStreams = 128

	// maxStreamWindow and maxConnWindow are the most bytes of bodies that wait
	// to be read, in one request and on one HTTP/2 connection.
	maxStreamWindow = 256 << 10
	maxConnWindow   = 1 << 20

	// pingAfter and pingWithin are for clients of the relay: one that has gone
	// without a word must not hold its box.
	pingAfter  = 20 * time.Second
	pingWithin = 10 * time.Second
)

// http2 bounds what an HTTP/2 connection may hold.
func (c *Config) http2() *http.HTTP2Config {
	h := &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReceiveBufferPerStream:     maxStreamWindow,
		MaxReceiveBufferPerConnection: maxConnWindow,
		WriteByteTimeout:              time.Duration(c.Limits.BodyTimeout),
	}
	if c.HashMail.Enabled {
		h.SendPingTimeout, h.PingTimeout = pingAfter, pingWithin
	}
	return h
}

// patience bounds what a request may take before it is served by next.
func (c *Config) patience(next http.Handler) http.Handler {
	return &patience{next, time.Duration(c.Limits.BodyTimeout), time.Duration(c.ReadTimeout)}
}

// bound bounds the connections of a listener.
func (c *Config) bound(l net.Listener, plain bool) net.Listener {
	return &boundListener{Listener: l, max: int(c.Limits.MaxConnections),
		silence: time.Duration(c.Limits.BodyTimeout), plain: plain}
}

// maxHeaderLines is the most lines a request's header may have.
const maxHeaderLines = 128

// patience is what one request may take, whoever it is from.
type patience struct {
	next http.Handler

	// silence is how long a client may neither send the next of a body nor
	// take the next of an answer.
	silence time.Duration

	// readTimeout is how long a whole request may take to arrive; 0: as long
	// as it likes.
	readTimeout time.Duration
}

// ServeHTTP refuses headers of many lines and watches the bodies.
func (p *patience) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if lines(r.Header) > maxHeaderLines {
		w.Header().Set("Connection", "close")
		writeError(w, http.StatusRequestHeaderFieldsTooLarge, "header_too_large", "the request's header has too many lines")
		return
	}
	r, leave := bePatient(w, r, p.silence, p.readTimeout)
	defer leave()
	if r.ProtoMajor == 2 {
		watched := watchWrites(w, p.silence)
		defer watched.stop()
		w = watched
	}
	p.next.ServeHTTP(w, r)
}

func lines(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// watchedWriter resets an HTTP/2 stream on which a write has waited for the
// client for too long. The connection may be lively all the while: it is the
// stream's own window that the client does not open. (Over HTTP/1 there is
// only the connection, and boundConn looks after that.)
type watchedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	*watch
}

func watchWrites(w http.ResponseWriter, silence time.Duration) *watchedWriter {
	control := http.NewResponseController(w)
	return &watchedWriter{w, control, newWatch(silence, func(now time.Time) {
		// A stream without deadlines is one of a test.
		_ = control.SetWriteDeadline(now)
	})}
}

// Unwrap is for http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader keeps the header of an interim answer from the next one's. Go's
// server, once the client has reset the stream, goes on reading it while it is
// changed, which may end the program (a map's concurrent use cannot be
// recovered from). It reads a copy when a length is to be left out.
func (w *watchedWriter) WriteHeader(status int) {
	h := w.Header()
	if _, known := h["Content-Length"]; !known && status < 200 {
		h["Content-Length"] = nil
		defer delete(h, "Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.begin()
	defer w.end()
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (w *watchedWriter) FlushError() error {
	w.begin()
	defer w.end()
	return w.control.Flush()
}
