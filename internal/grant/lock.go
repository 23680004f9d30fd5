package grant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
)

// execer is what lock statements run on: the database's client, or a transaction's.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// closeTimeout bounds the attempt to give a lock up, which a caller who left does not end; the lock ends by itself otherwise.
const closeTimeout = 5 * time.Second

// locks hands out grant locks. All times are the database's clock, so that replicas need not agree on theirs.
type locks struct {
	db  *database.DB
	ttl time.Duration
	log *slog.Logger
}

// lock is a held grant lock. A goroutine extends it until it is released.
type lock struct {
	locks *locks
	key   Key
	owner uuid.UUID
	// unknown is the generation that an attempt before this one spent without ever seeing an answer; 0 none.
	unknown int64
	// deadline is when the lock would end if it were never extended, on this process's monotonic clock, counted from
	// before the claim.
	deadline time.Time
	// doubt is the generation whose spend by this attempt has no known end yet; 0 none. It outlives the lock.
	doubt int64
	// settled is set once a settlement released the lock.
	settled bool
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// claim takes the lock for owner. An expired lock is taken over, and a spend that its owner never settled becomes the
// unknown generation. Errors: ErrBusy.
func (l *locks) claim(ctx context.Context, key Key, owner uuid.UUID) (*lock, error) {
	began := time.Now()
	now := l.db.NowMillis()
	query := fmt.Sprintf(`INSERT INTO grant_locks (grant_key, owner, until_ms) VALUES ($1, $2, %s + %d)
ON CONFLICT (grant_key) DO UPDATE SET owner = excluded.owner, until_ms = excluded.until_ms,
  unknown_generation = COALESCE(grant_locks.spending_generation, grant_locks.unknown_generation), spending_generation = NULL
WHERE grant_locks.owner IS NULL OR grant_locks.until_ms < %s
RETURNING COALESCE(unknown_generation, 0)`, now, l.ttl.Milliseconds(), now)
	unknown, err := l.queryOne(ctx, query, string(key), owner)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errors.Join(ErrBusy, l.shorten(ctx, key))
	}
	if err != nil {
		return nil, fmt.Errorf("claiming a grant lock: %w", err)
	}
	beat, stop := context.WithCancel(context.WithoutCancel(ctx))
	held := &lock{locks: l, key: key, owner: owner, unknown: unknown, deadline: began.Add(l.ttl), stop: stop}
	held.stopped.Add(1)
	go held.heartbeat(beat)
	return held, nil
}

// shorten ends, one lock's life from now, a lock that lasts for longer than any does: the database's clock was set back
// since it was written. Its owner, if there still is one, extends it by then; without one nobody would get past it until
// the clock is there again.
func (l *locks) shorten(ctx context.Context, key Key) error {
	now := l.db.NowMillis()
	_, err := l.db.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE grant_locks SET until_ms = %s + %d WHERE grant_key = $1 AND owner IS NOT NULL AND until_ms > %s + %d`,
		now, l.ttl.Milliseconds(), now, 2*l.ttl.Milliseconds()), string(key))
	if err != nil {
		return fmt.Errorf("shortening a grant lock: %w", err)
	}
	return nil
}

// queryOne runs a statement that returns at most one number.
func (l *locks) queryOne(ctx context.Context, query string, args ...any) (int64, error) {
	rows, err := l.db.Ent.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return 0, err
		}
		return 0, sql.ErrNoRows
	}
	var n int64
	if err := rows.Scan(&n); err != nil {
		return 0, err
	}
	return n, rows.Err()
}

// heartbeat extends the lock until it is released. A beat that fails is no reason to stop: the fence is at the end.
func (h *lock) heartbeat(ctx context.Context) {
	defer h.stopped.Done()
	tick := time.NewTicker(h.locks.ttl / 4)
	defer tick.Stop()
	query := fmt.Sprintf(`UPDATE grant_locks SET until_ms = %s + %d WHERE grant_key = $1 AND owner = $2`, h.locks.db.NowMillis(), h.locks.ttl.Milliseconds())
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := h.locks.db.Ent.ExecContext(ctx, query, string(h.key), h.owner); err != nil && ctx.Err() == nil {
				h.locks.log.WarnContext(ctx, "extending a grant lock failed", "error", err)
			}
		}
	}
}

// spending notes durably that the generation is about to be spent, and proves at the same instant that the lock is still
// held and the connection still there. Errors: ErrFenced.
func (h *lock) spending(ctx context.Context, connection uuid.UUID, generation int64) error {
	began := time.Now()
	now := h.locks.db.NowMillis()
	query := fmt.Sprintf(`UPDATE grant_locks SET spending_generation = $1, until_ms = %s + %d
WHERE grant_key = $2 AND owner = $3 AND until_ms >= %s AND EXISTS (SELECT 1 FROM connections WHERE id = $4)`, now, h.locks.ttl.Milliseconds(), now)
	res, err := h.locks.db.Ent.ExecContext(ctx, query, generation, string(h.key), h.owner, connection)
	if err != nil {
		return fmt.Errorf("noting a spend: %w", err)
	}
	if err := exactlyOne(res); err != nil {
		return err
	}
	h.deadline = began.Add(h.locks.ttl)
	return nil
}

// left is how much of the lock remains on the monotonic clock if it were never extended again.
func (h *lock) left() time.Duration { return time.Until(h.deadline) }

// release ends the lock as part of tx; unknown is the generation whose spend never got an answer, 0 where all is known.
// It is the fence: where another attempt took the lock over, the whole transaction fails with ErrFenced.
func (h *lock) release(ctx context.Context, tx *ent.Tx, unknown int64) error {
	query, args := `DELETE FROM grant_locks WHERE grant_key = $1 AND owner = $2`, []any{string(h.key), h.owner}
	if unknown > 0 {
		query = `UPDATE grant_locks SET owner = NULL, spending_generation = NULL, unknown_generation = $1 WHERE grant_key = $2 AND owner = $3`
		args = []any{unknown, string(h.key), h.owner}
	}
	res, err := execerOf(tx).ExecContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("releasing a grant lock: %w", err)
	}
	return exactlyOne(res)
}

// close ends the heartbeat and, where no settlement released the lock, gives it up. What is not known of a spend, this
// attempt's or an earlier one's, stays in the row. It is deferred right after the claim, so that a panic leaves no
// heartbeat behind that holds the lock for good.
func (h *lock) close(ctx context.Context) {
	h.stop()
	h.stopped.Wait()
	if h.settled {
		return
	}
	query, args := `DELETE FROM grant_locks WHERE grant_key = $1 AND owner = $2`, []any{string(h.key), h.owner}
	if unknown := max(h.doubt, h.unknown); unknown > 0 {
		query = `UPDATE grant_locks SET owner = NULL, spending_generation = NULL, unknown_generation = $1 WHERE grant_key = $2 AND owner = $3`
		args = []any{unknown, string(h.key), h.owner}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if _, err := h.locks.db.Ent.ExecContext(ctx, query, args...); err != nil {
		h.locks.log.WarnContext(ctx, "giving up a grant lock failed; it ends by itself", "error", err)
	}
}

// forget drops what a lock that nobody holds remembers, of a grant that nobody will spend any more.
func (*locks) forget(ctx context.Context, tx *ent.Tx, key Key) error {
	if _, err := execerOf(tx).ExecContext(ctx, `DELETE FROM grant_locks WHERE grant_key = $1 AND owner IS NULL`, string(key)); err != nil {
		return fmt.Errorf("forgetting a grant lock: %w", err)
	}
	return nil
}

// tidy forgets locks that ended a day ago without being given up, because their process died. Most are claimed again, but
// not those of attempts that were finished elsewhere and of connections that are over. What is marked stays: whoever spends
// next is to know of it.
func (l *locks) tidy(ctx context.Context) error {
	query := fmt.Sprintf(`DELETE FROM grant_locks WHERE owner IS NOT NULL AND until_ms < %s - %d
AND spending_generation IS NULL AND unknown_generation IS NULL`, l.db.NowMillis(), attemptLife.Milliseconds())
	if _, err := l.db.Ent.ExecContext(ctx, query); err != nil {
		return fmt.Errorf("clearing locks away: %w", err)
	}
	return nil
}

// execerOf returns what runs raw statements inside tx.
func execerOf(tx *ent.Tx) execer { return tx.Client() }

// exactlyOne turns "no row" into ErrFenced.
func exactlyOne(res sql.Result) error {
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	if n != 1 {
		return ErrFenced
	}
	return nil
}
