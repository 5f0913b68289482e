package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/leydenln/leyden/l402"
)

// patientBody is a request's body that may take as long as it likes, but not
// stop: a read waits for the silence at most. The goroutine that reads it, the
// transport's, may go on for a while when the handler has returned.
type patientBody struct {
	io.ReadCloser
	clock bodyClock

	// broken is why the body cannot be read on, nil for no reason.
	broken atomic.Pointer[error]
}

// bodyClock bounds how long the reads of a body wait.
type bodyClock interface {
	begin()        // a read begins
	end(last bool) // it has ended, and with last the body
	ranOut() bool  // the client has been silent for too long

	// stop is called as the handler returns. What the server's
	// http.ResponseController acts on is another request's from then on, or
	// none's, and must not be touched.
	stop()
}

// patientKey is the key of a context's *patientBody.
type patientKey struct{}

// bePatient bounds the silences within a request's body, and what of it is
// still read when nobody wants it. Call leave as the handler returns.
func bePatient(w http.ResponseWriter, r *http.Request, silence, readTimeout time.Duration) (_ *http.Request, leave func()) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return r, func() {}
	}
	b := &patientBody{ReadCloser: r.Body}
	control := http.NewResponseController(w)
	switch {
	case r.ProtoMajor == 2 && l402.IsGRPC(r.Header):
		b.clock = noClock{}
	case r.ProtoMajor == 2:
		b.clock = newStreamClock(control, silence)
	default:
		conn, _ := r.Context().Value(connKey{}).(*boundConn)
		b.clock = newConnClock(control, conn, silence, readTimeout)
	}
	r = r.WithContext(context.WithValue(r.Context(), patientKey{}, b))
	r.Body = b
	return r, b.clock.stop
}

// fellSilent reports whether it is for the silence of its body that a request
// has been cancelled: the server cancels it, as when the client has gone.
func fellSilent(r *http.Request) bool {
	b, ok := r.Context().Value(patientKey{}).(*patientBody)
	return ok && b.clock.ranOut()
}

// sentBroken reports whether an error is that of a body that the client sent
// in a form that cannot be read.
func sentBroken(r *http.Request, err error) bool {
	b, ok := r.Context().Value(patientKey{}).(*patientBody)
	if !ok {
		return false
	}
	why := b.broken.Load()
	return why != nil && errors.Is(err, *why)
}

// hasRest reports whether a request came over HTTP/1 and the end of its body has
// not been read. What the client sends next belongs to it.
func hasRest(r *http.Request) bool {
	b, ok := r.Context().Value(patientKey{}).(*patientBody)
	if !ok {
		return false
	}
	c, ok := b.clock.(*connClock)
	return ok && c.armed.Load() != 0
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.clock.begin()
	n, err := b.ReadCloser.Read(p)
	b.clock.end(errors.Is(err, io.EOF))
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.broken.Store(&err)
	}
	return n, err
}

// trailingBody hands the fields that follow a body on once it has been read:
// only then are they known.
type trailingBody struct {
	io.ReadCloser
	from *http.Request
	to   http.Header
}

func (b *trailingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for name := range b.to {
			b.to[name] = b.from.Trailer[name]
		}
	}
	return n, err
}

// tooLarge reports whether a body is known to be over the bound in bytes, 0
// for none; a body whose length is not known is bounded as it arrives.
func tooLarge(w http.ResponseWriter, r *http.Request, most int64) bool {
	if most <= 0 {
		return false
	}
	if r.ContentLength > most {
		return true
	}
	if r.ContentLength < 0 {
		r.Body = http.MaxBytesReader(w, r.Body, most)
	}
	return false
}

func writeTooLarge(w http.ResponseWriter, most int64) {
	w.Header().Set("Connection", "close")
	writeError(w, http.StatusRequestEntityTooLarge, "body_too_large",
		fmt.Sprintf("the request's body may have %d bytes here", most))
}
