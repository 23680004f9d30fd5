package tenancy

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/apikey"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

const (
	// usePeriod is how exact last_used_at is: one write per key and period at most.
	usePeriod = time.Minute
	// useTimeout bounds one such write.
	useTimeout = 10 * time.Second
	// useWriters is how many such writes may run at once; what comes on top is left to the key's next request.
	useWriters = 2
)

// uses are the writes of last use that run beside the requests. The zero value works.
type uses struct {
	mu      sync.Mutex
	running sync.WaitGroup
	pending map[uuid.UUID]bool
	closed  bool
}

// used notes that the key was used, if it was not noted within the period. The caller does not wait, and a failure is no
// failure of his: the next request tries again.
func (s *Service) used(ctx context.Context, k *ent.APIKey) {
	now := s.now()
	if k.LastUsedAt != nil && now.Sub(*k.LastUsedAt) < usePeriod || !s.uses.begin(k.ID) {
		return
	}
	ctx, cancel := context.WithTimeout(tenant.System(context.WithoutCancel(ctx), k.TenantID), useTimeout)
	go func() {
		defer s.uses.end(k.ID)
		defer cancel()
		_ = s.noteUse(ctx, k.ID, now)
	}()
}

// noteUse writes unless another replica has within the period.
func (s *Service) noteUse(ctx context.Context, key uuid.UUID, now time.Time) error {
	return s.db.Ent.APIKey.Update().
		Where(apikey.ID(key), apikey.Or(apikey.LastUsedAtIsNil(), apikey.LastUsedAtLTE(now.Add(-usePeriod)))).
		SetLastUsedAt(now).Exec(ctx)
}

// begin claims a write for the key; false where there is one, or no room, or no time left.
func (u *uses) begin(key uuid.UUID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.pending[key] || len(u.pending) >= useWriters {
		return false
	}
	if u.pending == nil {
		u.pending = map[uuid.UUID]bool{}
	}
	u.pending[key] = true
	u.running.Add(1)
	return true
}

func (u *uses) end(key uuid.UUID) {
	u.mu.Lock()
	delete(u.pending, key)
	u.mu.Unlock()
	u.running.Done()
}

// close takes no more and waits for those that run.
func (u *uses) close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.running.Wait()
}
