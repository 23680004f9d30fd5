package rewrap

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
}

// Request orders that everything under older versions of the key of a tenant (or of tenant.Operator) be re-wrapped; an
// order that is under way begins anew. Call it before the vault rotates and, in the transaction that notes the version,
// after it: whatever a crash leaves out, the work is ordered.
func Request(ctx context.Context, on execer, tenant uuid.UUID, at time.Time) error {
	_, err := on.ExecContext(ctx, `INSERT INTO key_rotations
  (id, epoch, target, phase, passes, source, checked, stale, unreadable, rewrapped, requested_at, not_before_ms, until_ms)
VALUES ($1, 1, 0, 'PASS', 0, 0, 0, 0, 0, 0, $2, 0, 0)
ON CONFLICT (id) DO UPDATE SET epoch = key_rotations.epoch + 1, target = 0, phase = 'PASS', passes = 0, source = 0,
  position = NULL, checked = 0, stale = 0, unreadable = 0, rewrapped = 0, cutoff = NULL, requested_at = excluded.requested_at,
  finished_at = NULL, not_before_ms = 0, owner = NULL, until_ms = 0`, tenant, at)
	if err != nil {
		return fmt.Errorf("ordering a re-wrap: %w", err)
	}
	return nil
}

// NoteVersion brings the tenant's row up to the version of its key; a higher one stays.
func NoteVersion(ctx context.Context, on execer, tenant uuid.UUID, version int) error {
	_, err := on.ExecContext(ctx, `UPDATE tenants SET key_version = $1 WHERE id = $2 AND key_version < $3`, version, tenant, version)
	if err != nil {
		return fmt.Errorf("noting a key's version: %w", err)
	}
	return nil
}

// Progress is how far a re-wrap is.
type Progress struct {
	// Target is the version that everything moves to; 0 before the first round.
	Target int `json:"target"`
	// Passes were made to the end. Two at least are needed.
	Passes int `json:"passes"`
	// Checked were looked at in the present pass, Stale of them found under an older version, Unreadable of these do not open.
	Checked    int64 `json:"checked"`
	Stale      int64 `json:"stale"`
	Unreadable int64 `json:"unreadable"`
	// Rewrapped were moved since the request.
	Rewrapped int64 `json:"rewrapped"`
	// FinishedAt is when the older versions were made unusable; nil until then.
	FinishedAt *time.Time `json:"finishedAt"`
}

// Of returns the progress of a tenant's latest re-wrap; nil where none was ever ordered. It sees that tenant's row only;
// the caller sees to it that whoever asks may know.
func Of(ctx context.Context, db *database.DB, tenant uuid.UUID) (*Progress, error) {
	rows, err := db.Ent.QueryContext(ctx, `SELECT target, passes, checked, stale, unreadable, rewrapped, finished_at FROM key_rotations WHERE id = $1`, tenant)
	if err != nil {
		return nil, fmt.Errorf("reading a re-wrap: %w", err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return nil, rows.Err()
	}
	var p Progress
	if err := rows.Scan(&p.Target, &p.Passes, &p.Checked, &p.Stale, &p.Unreadable, &p.Rewrapped, &p.FinishedAt); err != nil {
		return nil, fmt.Errorf("reading a re-wrap: %w", err)
	}
	return &p, rows.Err()
}
