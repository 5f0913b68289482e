package lnd

import (
	"context"
	"errors"

	"github.com/leydenln/leyden/internal/fault"
)

// WhileActive runs the child until do, called once it is active, has returned.
// Codes: start_timeout when ctx ends before, and those of Run.
func (s *Supervisor) WhileActive(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	active, ended := make(chan struct{}), make(chan error, 1)
	go s.Watch(ctx, func(st Status) {
		if st.State == Active {
			close(active)
			<-ctx.Done()
		}
	})
	go func() { ended <- s.Run(ctx) }()
	select {
	case err := <-ended:
		if err == nil {
			err = fault.New("start_timeout", "see the logs in "+s.cfg.Dir, "lnd did not start in time: %w", ctx.Err())
		}
		return err
	case <-active:
	}
	err := do()
	cancel()
	return errors.Join(err, <-ended)
}
