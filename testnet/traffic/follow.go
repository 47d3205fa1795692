package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"grapevine/api/apipb"
)

const (
	// statusTimeout is how long one peer may take to say how it is doing.
	statusTimeout = 3 * time.Second
	// followEvery is how often the height is looked at, so that what is signed late
	// expires late: a block takes at least some milliseconds, a lifetime has thousands.
	followEvery = time.Second
)

// Status asks the peers in turn until one answers.
func (s *Sender) Status(ctx context.Context) (*apipb.GetStatusResponse, error) {
	var errs []error
	for _, p := range s.Peers {
		ask, cancel := context.WithTimeout(ctx, statusTimeout)
		status, err := p.Client.Status(ask)
		cancel()
		if err == nil {
			return status, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
	}
	return nil, errors.Join(errs...)
}

// Follow returns the expiry of what is signed at the moment, as a Load wants to know it:
// from a status on, and by the peers' heights until ctx ends. When nobody answers it stays
// what it was.
func (s *Sender) Follow(ctx context.Context, from *apipb.GetStatusResponse) func() uint64 {
	var expiry atomic.Uint64
	note := func(status *apipb.GetStatusResponse) {
		expiry.Store(max(expiry.Load(), Expiry(status.Height, status.Limits.GetMaxLifetime())))
	}
	note(from)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(followEvery):
			}
			if status, err := s.Status(ctx); err == nil {
				note(status)
			}
		}
	}()
	return expiry.Load
}
