package rewrap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// unreadableWait is the rest before the next pass where all that is left does not open: only somebody's hand helps.
const unreadableWait = time.Hour

// tries is how often something that others write at the same time is tried before it is left to the next pass.
const tries = 5

// move re-wraps what a page has under older versions. Versions below the minimum open no more, whatever is done.
func (s *Service) move(ctx context.Context, r *rotation, info vault.KeyInfo, p page) (Done, error) {
	did := Done{Checked: len(p.items)}
	var stale []item
	for _, one := range p.items {
		if one.key.Version >= info.Min && one.key.Version < r.target {
			stale = append(stale, one)
		}
	}
	did.Stale = len(stale)
	moved, unreadable, err := s.moveAll(ctx, r, stale)
	did.Rewrapped = moved
	if err != nil {
		return did, err
	}
	r.checked += int64(did.Checked)
	r.stale += int64(did.Stale)
	r.rewrapped += int64(moved)
	r.unreadable += int64(unreadable)
	return did, nil
}

// moveAll asks the vault once for all, and where one of them spoils that, for each.
func (s *Service) moveAll(ctx context.Context, r *rotation, stale []item) (moved, unreadable int, err error) {
	if len(stale) == 0 {
		return 0, 0, nil
	}
	keys := make([]vault.WrappedKey, len(stale))
	for i, one := range stale {
		keys[i] = one.key
	}
	fresh, err := s.Vault.RewrapDataKeys(ctx, r.tenant, keys)
	if err != nil && !errors.Is(err, vault.ErrCorrupt) {
		return 0, 0, err
	}
	for i, one := range stale {
		var key *vault.WrappedKey
		if err == nil {
			key = &fresh[i]
		}
		ok, failed := s.moveOne(ctx, r, one, key)
		switch {
		case errors.Is(failed, vault.ErrCorrupt):
			unreadable++
			s.Logger.WarnContext(ctx, "something sealed does not open and keeps the older key versions alive", "tenant", r.tenant, "id", one.id, "key_version", one.key.Version)
		case failed != nil:
			return moved, unreadable, failed
		case ok:
			moved++
		}
	}
	return moved, unreadable, nil
}

// moveOne stores one thing under its new key, which is asked for where it is nil. What others changed meanwhile is read
// again; true where it was this call that moved it.
func (s *Service) moveOne(ctx context.Context, r *rotation, one item, key *vault.WrappedKey) (bool, error) {
	for range tries {
		if key == nil {
			fresh, err := s.Vault.RewrapDataKeys(ctx, r.tenant, []vault.WrappedKey{one.key})
			if err != nil {
				return false, err
			}
			key = &fresh[0]
		}
		if ok, err := one.put(ctx, *key); ok || err != nil {
			return ok, err
		}
		next, there, err := one.again(ctx)
		if err != nil || !there || next.key.Version >= r.target {
			return false, err
		}
		one, key = next, nil
	}
	return false, nil
}

// endPass decides what follows a pass: another one after a lock's life, or, where this one was such another, found
// nothing, and nobody is left who may write under an older version, the end.
func (s *Service) endPass(ctx context.Context, r *rotation, did *Done) error {
	r.passes++
	if r.passes > 1 && r.stale == 0 {
		busy, err := s.underWay(ctx, r)
		if err != nil {
			return err
		}
		if !busy {
			if err := s.Vault.SetMinVersion(ctx, r.tenant, r.target); err != nil {
				return fmt.Errorf("making older key versions unusable: %w", err)
			}
			s.Logger.InfoContext(ctx, "a key was rotated", "tenant", r.tenant, "version", r.target, "rewrapped", r.rewrapped)
			r.finish()
			did.Finished = 1
			return nil
		}
	}
	r.wait = s.Lock
	if r.stale > 0 && r.stale == r.unreadable {
		r.wait = max(unreadableWait, s.Lock)
	}
	r.source, r.position = 0, uuid.Nil
	r.checked, r.stale, r.unreadable = 0, 0, 0
	return nil
}

// underWay reports whether a spend of the tenant's that began before the count still runs: it may hold a data key from
// before the rotation. Ids of attempts are UUIDv7, so their order is that of their beginnings.
func (s *Service) underWay(ctx context.Context, r *rotation) (bool, error) {
	return s.exists(ctx, fmt.Sprintf(`SELECT 1 FROM grant_locks l JOIN connections c ON c.grant_key = l.grant_key
WHERE c.tenant_id = $1 AND l.owner < $2 AND l.until_ms >= %s
UNION ALL SELECT 1 FROM grant_attempts WHERE tenant_id = $3 AND state IN ('SENT', 'PARKED') AND id < $4 LIMIT 1`, s.DB.NowMillis()),
		r.tenant, r.cutoff, r.tenant, r.cutoff)
}
