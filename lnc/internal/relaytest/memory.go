package relaytest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

// Transport returns a way to the relay that uses no network, for a bubble of
// testing/synctest.
func (r *Relay) Transport() relay.Transport {
	t := &memory{relay: r}
	t.life, t.end = context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transports = append(r.transports, t)
	return t
}

// Freeze has all transports of now, but none made later, go dead without a
// word, as when a machine sleeps or its address changes.
func (r *Relay) Freeze() {
	r.mu.Lock()
	for _, t := range r.transports {
		t.frozen.Store(true)
	}
	r.mu.Unlock()
	r.Cut()
}

type memory struct {
	relay  *Relay
	life   context.Context
	end    context.CancelFunc
	frozen atomic.Bool
}

// thaw waits in vain if the transport is frozen.
func (t *memory) thaw(ctx context.Context) error {
	if !t.frozen.Load() {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.life.Done():
		return t.life.Err()
	}
}

func meaning(err error) error {
	switch {
	case errors.Is(err, errNotFound):
		return relay.ErrNotFound
	case strings.Contains(err.Error(), "occupied"):
		return relay.ErrOccupied
	}
	return err
}

func (t *memory) Create(ctx context.Context, id relay.ID) error {
	if err := t.thaw(ctx); err != nil {
		return err
	}
	_, err := t.relay.create(id)
	return err
}

func (t *memory) Delete(ctx context.Context, id relay.ID) error {
	if err := t.thaw(ctx); err != nil {
		return err
	}
	if err := t.relay.remove(id); !errors.Is(err, errNotFound) {
		return err
	}
	return nil
}

func (t *memory) Close() error {
	t.end()
	return nil
}

type stream struct {
	ctx      context.Context
	abort    context.CancelFunc
	messages chan []byte
	finish   chan struct{}
	once     sync.Once
	done     chan struct{}
	err      error
}

// run starts a stream, which ends with the transport.
func (t *memory) run(ctx context.Context, work func(s *stream) error) *stream {
	// One message is on its way before an error shows, as over a network.
	s := &stream{messages: make(chan []byte, 1), finish: make(chan struct{}), done: make(chan struct{})}
	own, abort := context.WithCancel(ctx)
	ctx, cancel := t.relay.stream(own)
	s.ctx, s.abort = ctx, abort
	stop := context.AfterFunc(t.life, s.abort)
	go func() {
		err := t.thaw(own)
		if err == nil {
			err = work(s)
		}
		t.thaw(own)
		s.err = meaning(err)
		stop()
		s.abort()
		cancel()
		close(s.done)
	}()
	return s
}

// reach fails at once where there is no relay, as a connection does.
func (t *memory) reach() error {
	t.relay.mu.Lock()
	defer t.relay.mu.Unlock()
	if t.relay.down && !t.frozen.Load() {
		return errDown
	}
	return nil
}

func (t *memory) Send(ctx context.Context, id relay.ID) (relay.Sender, error) {
	if err := t.reach(); err != nil {
		return nil, err
	}
	return t.run(ctx, func(s *stream) error {
		return t.relay.fill(s.ctx, id, func() ([]byte, error) {
			select {
			case msg := <-s.messages:
				return msg, nil
			case <-s.finish:
				select {
				case msg := <-s.messages:
					return msg, nil
				default:
					return nil, errEOF
				}
			case <-s.ctx.Done():
				return nil, context.Cause(s.ctx)
			}
		})
	}), nil
}

func (t *memory) Recv(ctx context.Context, id relay.ID) (relay.Receiver, error) {
	if err := t.reach(); err != nil {
		return nil, err
	}
	return receiver{t.run(ctx, func(s *stream) error {
		return t.relay.empty(s.ctx, id, func(msg []byte) error {
			select {
			case s.messages <- msg:
				return nil
			case <-s.ctx.Done():
				return context.Cause(s.ctx)
			}
		})
	})}, nil
}

func (s *stream) Send(msg []byte) error {
	select {
	case s.messages <- append([]byte(nil), msg...):
		return nil
	case <-s.done:
		return s.err
	}
}

func (s *stream) Finish(ctx context.Context) {
	s.once.Do(func() { close(s.finish) })
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	s.Abort()
}

func (s *stream) Done() <-chan struct{} { return s.done }

func (s *stream) Err() error { return s.err }

func (s *stream) Abort() {
	s.abort()
	<-s.done
}

type receiver struct{ *stream }

func (r receiver) Recv() ([]byte, error) {
	select {
	case msg := <-r.messages:
		return msg, nil
	case <-r.done:
		return nil, r.err
	}
}
