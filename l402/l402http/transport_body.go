package l402http

import (
	"bytes"
	"io"
	"net/http"
)

// maxReplay is how much of a body without GetBody is kept to send it again.
const maxReplay = 1 << 20

// replay sends one request's body as often as needed.
type replay struct {
	get   func() (io.ReadCloser, error) // nil: once only
	first io.ReadCloser                 // what the first attempt sends, if not get's
}

// newReplay prepares req's body: with GetBody it may have any size, without
// it at most maxReplay bytes can be sent again.
func newReplay(req *http.Request) (*replay, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return &replay{get: func() (io.ReadCloser, error) { return req.Body, nil }}, nil
	}
	if req.GetBody != nil {
		return &replay{get: req.GetBody, first: req.Body}, nil
	}
	head, err := io.ReadAll(io.LimitReader(req.Body, maxReplay+1))
	if err != nil {
		req.Body.Close()
		return nil, err
	}
	if len(head) > maxReplay {
		rest := struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), req.Body), req.Body}
		return &replay{first: rest}, nil
	}
	req.Body.Close()
	return &replay{get: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(head)), nil
	}}, nil
}

// next returns the body of the next attempt.
func (r *replay) next() (io.ReadCloser, error) {
	if r.first != nil {
		body := r.first
		r.first = nil
		return body, nil
	}
	if r.get == nil {
		return nil, fail(CodeBodyNotReplayable, "set the request's GetBody",
			"the request's body is over %d bytes and cannot be sent again", maxReplay)
	}
	return r.get()
}

// again reports whether there will be another body.
func (r *replay) again() bool { return r.get != nil }

// close ends a body that no attempt took.
func (r *replay) close() {
	if r.first != nil {
		r.first.Close()
	}
}
