package deletion

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
)

// execer is what statements run on: the database's client, or a transaction's.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Request orders that a tenant be deleted, in the transaction that suspends it. An order that is there stays; immediately
// makes it one that revokes nothing more.
func Request(ctx context.Context, on execer, tenant uuid.UUID, at time.Time, immediately bool) error {
	_, err := on.ExecContext(ctx, `INSERT INTO tenant_deletions (id, immediately, phase, passes, revoke_until_ms, unrevoked, requested_at, not_before_ms, until_ms)
VALUES ($1, $2, 'BURY', 0, 0, 0, $3, 0, 0)
ON CONFLICT (id) DO UPDATE SET immediately = tenant_deletions.immediately OR excluded.immediately`, tenant, immediately, at)
	if err != nil {
		return fmt.Errorf("ordering a deletion: %w", err)
	}
	return nil
}

// Ordered reports whether a tenant is being deleted or was: its id is never forgotten.
func Ordered(ctx context.Context, on execer, tenant uuid.UUID) (ordered, immediately bool, err error) {
	found, err := on.QueryContext(ctx, `SELECT immediately FROM tenant_deletions WHERE id = $1`, tenant)
	if err != nil {
		return false, false, fmt.Errorf("looking for a deletion: %w", err)
	}
	defer func() { _ = found.Close() }()
	if found.Next() {
		ordered, err = true, found.Scan(&immediately)
	}
	if err != nil {
		return false, false, fmt.Errorf("looking for a deletion: %w", err)
	}
	return ordered, immediately, found.Err()
}

// Progress is how far a deletion is.
type Progress struct {
	// Phase is BURY, REVOKE, DESTROY, RECORDS, ROWS or DONE.
	Phase string `json:"phase"`
	// Unrevoked are the grants that live on at their providers; it is known from the key's destruction on.
	Unrevoked int64 `json:"unrevoked"`
}

// Of returns the progress of a tenant's deletion; nil where none was ordered. The caller sees to it that whoever asks may
// know.
func Of(ctx context.Context, db *database.DB, tenant uuid.UUID) (*Progress, error) {
	found, err := db.Ent.QueryContext(ctx, `SELECT phase, unrevoked FROM tenant_deletions WHERE id = $1`, tenant)
	if err != nil {
		return nil, fmt.Errorf("reading a deletion: %w", err)
	}
	defer func() { _ = found.Close() }()
	if !found.Next() {
		return nil, found.Err()
	}
	var p Progress
	if err := found.Scan(&p.Phase, &p.Unrevoked); err != nil {
		return nil, fmt.Errorf("reading a deletion: %w", err)
	}
	return &p, found.Err()
}

// order is a row of tenant_deletions that this process holds.
type order struct {
	tenant, owner uuid.UUID
	immediately   bool
	phase         string
	passes        int
	position      uuid.UUID
	unrevoked     int64
	requestedAt   time.Time
	// late is true where the time for revocations is over.
	late bool
	// wait is how long the row rests before its next round.
	wait time.Duration
}

// claim takes the lease of a request that is due, the one that has waited longest; nil where there is none.
func (s *Service) claim(ctx context.Context, owner uuid.UUID) (*order, error) {
	now := s.DB.NowMillis()
	due := fmt.Sprintf(`phase <> 'DONE' AND not_before_ms <= %s AND (owner IS NULL OR until_ms < %s)`, now, now)
	// Most often there is nothing: a read finds that out without taking the writer of SQLite.
	if n, err := s.count(ctx, `SELECT count(*) FROM tenant_deletions WHERE `+due); err != nil || n == 0 {
		return nil, err
	}
	found, err := s.DB.Ent.QueryContext(ctx, fmt.Sprintf(`UPDATE tenant_deletions SET owner = $1, until_ms = %s + %d,
  revoke_until_ms = CASE revoke_until_ms WHEN 0 THEN %s + %d ELSE revoke_until_ms END
WHERE %s AND id = (SELECT id FROM tenant_deletions WHERE %s ORDER BY not_before_ms, id LIMIT 1)
RETURNING id, immediately, phase, passes, position, unrevoked, requested_at, revoke_until_ms <= %s`,
		now, lease.Milliseconds(), now, s.RevokeFor.Milliseconds(), due, due, now), owner)
	if err != nil {
		return nil, fmt.Errorf("taking a deletion: %w", err)
	}
	defer func() { _ = found.Close() }()
	if !found.Next() {
		return nil, found.Err() // another process was faster
	}
	o := &order{owner: owner}
	var position uuid.NullUUID
	if err := found.Scan(&o.tenant, &o.immediately, &o.phase, &o.passes, &position, &o.unrevoked, &o.requestedAt, &o.late); err != nil {
		return nil, fmt.Errorf("taking a deletion: %w", err)
	}
	o.position = position.UUID
	return o, found.Err()
}

// save writes what a round brought and gives the lease back; a row that somebody took over stays as it is.
func (s *Service) save(ctx context.Context, o *order) error { return s.saveOn(ctx, s.DB.Ent, o) }

func (s *Service) saveOn(ctx context.Context, on execer, o *order) error {
	var finished *time.Time
	if o.phase == over {
		at := s.now()
		finished = &at
	}
	position := uuid.NullUUID{UUID: o.position, Valid: o.position != uuid.Nil}
	_, err := on.ExecContext(ctx, fmt.Sprintf(`UPDATE tenant_deletions SET phase = $1, passes = $2, position = $3, unrevoked = $4, finished_at = $5,
  owner = NULL, until_ms = 0, not_before_ms = %s + %d WHERE id = $6 AND owner = $7`, s.DB.NowMillis(), o.wait.Milliseconds()),
		o.phase, o.passes, position, o.unrevoked, finished, o.tenant, o.owner)
	if err != nil {
		return fmt.Errorf("noting how far a deletion is: %w", err)
	}
	return nil
}

// retryAfter is how long a request rests after a round that failed.
const retryAfter = 5 * time.Second

// giveBack ends the lease of a round that failed.
func (s *Service) giveBack(ctx context.Context, o *order) error {
	_, err := s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE tenant_deletions SET owner = NULL, until_ms = 0, not_before_ms = %s + %d
WHERE id = $1 AND owner = $2`, s.DB.NowMillis(), retryAfter.Milliseconds()), o.tenant, o.owner)
	if err != nil {
		return fmt.Errorf("giving a deletion back: %w", err)
	}
	return nil
}

// count runs a statement that counts.
func (s *Service) count(ctx context.Context, query string, args ...any) (int64, error) {
	found, err := s.DB.Ent.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	defer func() { _ = found.Close() }()
	var n int64
	for found.Next() {
		if err := found.Scan(&n); err != nil {
			return 0, fmt.Errorf("counting: %w", err)
		}
	}
	return n, found.Err()
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
