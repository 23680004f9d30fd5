package refresh

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// Bounds of how long a tenant rests whose refreshes our own side cannot make although both stores are well.
const (
	troubledFirst   = 10 * time.Second
	troubledLongest = 5 * time.Minute
	// mostTroubled bounds how many tenants are remembered.
	mostTroubled = 10_000
)

// troubled are the tenants with whom something is wrong on our side, such as a key that is gone. Their refreshes are put
// off in bulk: taken one by one they would stand before everybody else's, and look like a vault that is away.
type troubled struct {
	mu      sync.Mutex
	tenants map[uuid.UUID]trouble
}

type trouble struct {
	// faults counts those in a row.
	faults int
	until  time.Time
}

// until is when the tenant's rest ends, or has ended; zero where there was none.
func (t *troubled) until(tenant uuid.UUID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tenants[tenant].until
}

// fault has the tenant rest. Those that were under way together are one fault.
func (t *troubled) fault(tenant uuid.UUID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.tenants[tenant]
	if now.Before(one.until) {
		return
	}
	if t.tenants == nil || len(t.tenants) >= mostTroubled {
		t.tenants = map[uuid.UUID]trouble{}
	}
	one.until = now.Add(min(troubledLongest, troubledFirst<<min(one.faults, 6)))
	one.faults++
	t.tenants[tenant] = one
}

// well forgets the tenant's faults.
func (t *troubled) well(tenant uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tenants, tenant)
}

// fault learns from a refresh that our own side kept from being made: where both stores are well it is its tenant's matter.
func (s *Scheduler) fault(ctx context.Context, d connection.Due, err error) {
	now := s.Now()
	if now.Before(s.troubled.until(d.Tenant)) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	if s.Ready == nil || s.Ready(ctx) != nil {
		s.away.fault(ctx, s, err)
		return
	}
	s.troubled.fault(d.Tenant, now)
	s.Logger.WarnContext(ctx, "a tenant's refreshes rest, because they fail although the vault and the database are well", "tenant", d.Tenant, "error", err)
}

// restsUntil is when a refresh is due again that is put off now because of its tenant; not after now where it is not.
func (s *Scheduler) restsUntil(d connection.Due, now time.Time) time.Time {
	if d.Suspended {
		return now.Add(suspendedFor)
	}
	return s.troubled.until(d.Tenant)
}

func (s *Scheduler) rests(d connection.Due) bool {
	now := s.Now()
	return now.Before(s.restsUntil(d, now))
}
