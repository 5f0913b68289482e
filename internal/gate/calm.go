package gate

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// calmLines is how many warnings with the same words are logged in one
	// calmSpan; the rest are counted.
	calmLines = 10
	calmSpan  = 10 * time.Second

	// maxSayings is how many messages are told apart.
	maxSayings = 1000
)

// calmHandler keeps requests, of which strangers decide how many there are,
// from filling the disk with one line each: what is said again and again is
// said a few times, and then how often it was left out.
type calmHandler struct {
	slog.Handler
	said *sayings
}

// sayings are how often each message was logged. The gate's own are fixed, so
// there are few; what libraries say may have an error in it.
type sayings struct {
	mu sync.Mutex
	by map[string]*saying
}

type saying struct {
	since   time.Time
	logged  int
	leftOut uint64
}

func newCalmHandler(inner slog.Handler) slog.Handler {
	return calmHandler{inner, &sayings{by: map[string]*saying{}}}
}

// Handle implements slog.Handler.
func (h calmHandler) Handle(ctx context.Context, r slog.Record) error {
	log, leftOut := h.said.may(r)
	if !log {
		return nil
	}
	if leftOut > 0 {
		r.AddAttrs(slog.Uint64("left_out_before", leftOut))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h calmHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calmHandler{h.Handler.WithAttrs(attrs), h.said}
}

// WithGroup implements slog.Handler.
func (h calmHandler) WithGroup(name string) slog.Handler {
	return calmHandler{h.Handler.WithGroup(name), h.said}
}

// may counts a line and reports whether it is to be logged, and how many with
// its words were not since the last one. Below a warning everything is.
func (s *sayings) may(r slog.Record) (log bool, leftOut uint64) {
	if r.Level < slog.LevelWarn {
		return true, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.by[r.Message]
	if said == nil {
		if len(s.by) >= maxSayings {
			clear(s.by)
		}
		said = &saying{}
		s.by[r.Message] = said
	}
	if r.Time.Sub(said.since) >= calmSpan {
		said.since, said.logged = r.Time, 0
	}
	if said.logged >= calmLines {
		said.leftOut++
		return false, 0
	}
	leftOut, said.leftOut = said.leftOut, 0
	said.logged++
	return true, leftOut
}
