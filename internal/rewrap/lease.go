package rewrap

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// rotation is a row of key_rotations that this process holds.
type rotation struct {
	tenant, owner uuid.UUID
	epoch         int64
	target        int
	passes        int
	source        int
	position      uuid.UUID
	checked       int64
	stale         int64
	unreadable    int64
	rewrapped     int64
	cutoff        uuid.UUID

	// wait is how long the row rests before its next round.
	wait     time.Duration
	finished bool
}

func (r *rotation) finish() { r.finished = true }

// claim takes the lease of a request that is due, the one that has waited longest; nil where there is none.
func (s *Service) claim(ctx context.Context, owner uuid.UUID) (*rotation, error) {
	now := s.DB.NowMillis()
	due := fmt.Sprintf(`phase <> 'DONE' AND not_before_ms <= %s AND (owner IS NULL OR until_ms < %s)`, now, now)
	// Most often there is nothing: a read finds that out without taking the writer of SQLite.
	if any, err := s.exists(ctx, `SELECT 1 FROM key_rotations WHERE `+due+` LIMIT 1`); err != nil || !any {
		return nil, err
	}
	rows, err := s.DB.Ent.QueryContext(ctx, fmt.Sprintf(`UPDATE key_rotations SET owner = $1, until_ms = %s + %d
WHERE %s AND id = (SELECT id FROM key_rotations WHERE %s ORDER BY not_before_ms, id LIMIT 1)
RETURNING id, epoch, target, passes, source, position, checked, stale, unreadable, rewrapped, cutoff`,
		now, lease.Milliseconds(), due, due), owner)
	if err != nil {
		return nil, fmt.Errorf("taking a re-wrap: %w", err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return nil, rows.Err() // another process was faster
	}
	r := &rotation{owner: owner}
	var position, cutoff uuid.NullUUID
	if err := rows.Scan(&r.tenant, &r.epoch, &r.target, &r.passes, &r.source, &position, &r.checked, &r.stale, &r.unreadable, &r.rewrapped, &cutoff); err != nil {
		return nil, fmt.Errorf("taking a re-wrap: %w", err)
	}
	r.position, r.cutoff = position.UUID, cutoff.UUID
	return r, rows.Err()
}

func (s *Service) exists(ctx context.Context, query string, args ...any) (bool, error) {
	rows, err := s.DB.Ent.QueryContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("looking for re-wraps: %w", err)
	}
	defer func() { _ = rows.Close() }()
	return rows.Next(), rows.Err()
}

// save writes what a round brought and gives the lease back. A row that somebody took over, or that was ordered anew,
// stays as it is: what was re-wrapped is found re-wrapped.
func (s *Service) save(ctx context.Context, r *rotation) error {
	phase, finished := "PASS", (*time.Time)(nil)
	if r.finished {
		at := time.Now().UTC().Truncate(time.Microsecond)
		phase, finished = "DONE", &at
	}
	_, err := s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE key_rotations SET target = $1, phase = $2, passes = $3, source = $4, position = $5,
  checked = $6, stale = $7, unreadable = $8, rewrapped = $9, cutoff = $10, finished_at = $11,
  owner = NULL, until_ms = 0, not_before_ms = %s + %d
WHERE id = $12 AND owner = $13 AND epoch = $14`, s.DB.NowMillis(), r.wait.Milliseconds()),
		r.target, phase, r.passes, r.source, nullable(r.position), r.checked, r.stale, r.unreadable, r.rewrapped, nullable(r.cutoff), finished,
		r.tenant, r.owner, r.epoch)
	if err != nil {
		return fmt.Errorf("noting how far a re-wrap is: %w", err)
	}
	return nil
}

// retryAfter is how long a request rests after a round that failed.
const retryAfter = 5 * time.Second

// giveBack ends the lease of a round that failed; what it did is found done.
func (s *Service) giveBack(ctx context.Context, r *rotation) error {
	_, err := s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE key_rotations SET owner = NULL, until_ms = 0, not_before_ms = %s + %d
WHERE id = $1 AND owner = $2`, s.DB.NowMillis(), retryAfter.Milliseconds()), r.tenant, r.owner)
	if err != nil {
		return fmt.Errorf("giving a re-wrap back: %w", err)
	}
	return nil
}

func nullable(u uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: u, Valid: u != uuid.Nil} }
