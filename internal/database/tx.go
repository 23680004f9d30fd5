package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"github.com/tokenkeep/tokenkeep/ent"
)

// How often a transaction is tried, and the bounds of the pause before the next try.
const (
	maxAttempts = 10
	minPause    = 2 * time.Millisecond
	maxPause    = 200 * time.Millisecond
)

// openTx is the key under which the context of a transaction says whose it is.
type openTx struct{}

// Tx runs f in a transaction and commits. Where the database asks to try again (a serialization failure, a deadlock, a
// busy file) f runs again, so it must have no effect but through tx. An error or a panic of f rolls back; f must use the
// context and the client it is given. Errors: those of f, ErrNested.
func (db *DB) Tx(ctx context.Context, f func(ctx context.Context, tx *ent.Tx) error) error {
	if ctx.Value(openTx{}) == db.writer {
		return fmt.Errorf("beginning a transaction: %w", ErrNested)
	}
	return retry(ctx, db.log, func() error { return db.tryTx(ctx, f) })
}

// tryTx runs one try.
func (db *DB) tryTx(ctx context.Context, f func(ctx context.Context, tx *ent.Tx) error) (err error) {
	tx, err := db.Ent.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// A cancelled context has rolled back already; a panic goes on after this.
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("rolling back: %w", rollback))
		}
	}()
	if err := f(context.WithValue(ctx, openTx{}, db.writer), tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	committed = true
	return nil
}

// retry calls f until its error is none that goes away by trying again, or there were enough tries.
func retry(ctx context.Context, log *slog.Logger, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if attempt == maxAttempts {
			return fmt.Errorf("giving up after %d tries: %w", attempt, err)
		}
		log.DebugContext(ctx, "trying the database again", "attempt", attempt, "cause", err)
		if waited := wait(ctx, pause(attempt)); waited != nil {
			return errors.Join(err, waited)
		}
	}
}

// pause is how long to wait after the given try: a random part of a time that doubles, so that those who collided part.
func pause(attempt int) time.Duration {
	return minPause + rand.N(min(minPause<<attempt, maxPause)) //nolint:gosec // jitter needs no secret randomness
}

// wait returns after d, or with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// passing reports whether the database asks to try the transaction again.
func passing(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization_failure, deadlock_detected
	}
	if lite := (sqlite3.Error{}); errors.As(err, &lite) {
		return lite.Code == sqlite3.ErrBusy || lite.Code == sqlite3.ErrLocked
	}
	return false
}
