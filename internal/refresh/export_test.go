package refresh

import (
	"context"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// Begin takes places for what is due and begins it, as a round does.
func (s *Scheduler) Begin(ctx context.Context, due []connection.Due) (int, error) {
	for _, d := range due {
		s.gates.enter(d.Lane)
	}
	return s.begin(ctx, due)
}

// Wait waits for the refreshes that have begun.
func (s *Scheduler) Wait() { s.workers.Wait() }
