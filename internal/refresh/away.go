package refresh

import (
	"context"
	"sync"
	"time"
)

// Bounds of how long nothing is claimed after a fault of our own.
const (
	awayFirst   = time.Second
	awayLongest = time.Minute
	readyWithin = 5 * time.Second
)

// away is what keeps the loop from claiming while our own vault or database does not answer: claims would be made, and
// given back, for nothing. The zero value is at home.
type away struct {
	mu sync.Mutex
	// faults counts those in a row.
	faults int
	until  time.Time
}

// fault notes a fault of our own.
func (a *away) fault(ctx context.Context, s *Scheduler, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults == 0 && s.working.Err() == nil {
		s.Logger.WarnContext(ctx, "refreshes ahead of need rest, because the vault or the database does not answer", "error", err)
	}
	if s.Now().Before(a.until) {
		return // those that were under way together are one fault
	}
	a.faults++
	a.rest(s)
}

// rest puts the next try off.
func (a *away) rest(s *Scheduler) {
	ceiling := awayLongest
	if a.faults < 6 {
		ceiling = min(awayLongest, awayFirst<<a.faults)
	}
	a.until = s.Now().Add(max(awayFirst, time.Duration(float64(ceiling)*s.Jitter())))
}

// well ends the rest: a refresh went through both stores.
func (a *away) well() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.until = 0, time.Time{}
}

// over reports whether claiming may go on: the time is over and both stores say that they are well.
func (a *away) over(ctx context.Context, s *Scheduler) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults == 0 {
		return true
	}
	if s.Now().Before(a.until) {
		return false
	}
	if s.Ready == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		a.faults++
		a.rest(s)
		return false
	}
	return true
}

// bound lets one refresh through after a fault, until one has gone well.
func (a *away) bound(free int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults > 0 {
		return min(free, 1)
	}
	return free
}
