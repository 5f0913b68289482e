package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// patientBody is a request's body that may take as long as it likes, but not
// stop: each read waits for silence at most.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	silence time.Duration

	// until is when everything must have been read, zero for no such time.
	until time.Time
	// armed is when the connection gives up, in nanoseconds since 1970, 0 once
	// the body has been read.
	armed atomic.Int64
	// broken is why the body cannot be read on, nil for no reason.
	broken atomic.Pointer[error]
}

// patientKey is the key of a context's *patientBody.
type patientKey struct{}

// bePatient bounds the silences within a request's body, and what of it is
// still read when nobody wants it. The deadline must go as the body ends: from
// then on a read on the connection waits for the client to go away.
func bePatient(w http.ResponseWriter, r *http.Request, silence, readTimeout time.Duration) *http.Request {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return r
	}
	b := &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), silence: silence}
	if readTimeout > 0 {
		b.until = time.Now().Add(readTimeout)
	}
	b.arm()
	r = r.WithContext(context.WithValue(r.Context(), patientKey{}, b))
	r.Body = b
	return r
}

// fellSilent reports whether it is for the silence of its body that a request
// has been cancelled: the server cancels it, as when the client has gone.
func fellSilent(r *http.Request) bool {
	b, ok := r.Context().Value(patientKey{}).(*patientBody)
	if !ok {
		return false
	}
	armed := b.armed.Load()
	return armed != 0 && time.Now().UnixNano() >= armed
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

// arm makes sure that the next read waits for no less than the silence, and
// for no more than a quarter longer.
func (b *patientBody) arm() {
	now := time.Now()
	if b.armed.Load()-now.UnixNano() >= int64(b.silence) {
		return
	}
	deadline := now.Add(b.silence + b.silence/4)
	b.armed.Store(deadline.UnixNano())
	b.set(deadline)
}

func (b *patientBody) set(deadline time.Time) {
	if !b.until.IsZero() && (deadline.IsZero() || deadline.After(b.until)) {
		deadline = b.until
	}
	// A connection without deadlines is one of a test.
	_ = b.control.SetReadDeadline(deadline)
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.arm()
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.armed.Store(0)
		b.set(time.Time{})
	case err != nil && !errors.Is(err, http.ErrBodyReadAfterClose):
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
