package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

var readOnly = &sql.TxOptions{ReadOnly: true}

// onRetry is a log that calls a function at each retry of a transaction.
type onRetry struct {
	slog.Handler
	f func()
}

func (onRetry) Enabled(context.Context, slog.Level) bool { return true }

func (h onRetry) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "trying the database again" {
		h.f()
	}
	return nil
}

// openWith opens a migrated database with a log that notices retries.
func openWith(t *testing.T, url string, onEach func()) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{Logger: slog.New(onRetry{slog.DiscardHandler, onEach})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// fill puts rows 1 and 2 into the scratch table.
func fill(t *testing.T, db *database.DB) {
	t.Helper()
	scratch(t, db)
	if _, err := db.Ent.ExecContext(t.Context(), "INSERT INTO scratch VALUES (1, 0), (2, 0)"); err != nil {
		t.Fatal(err)
	}
}

// increment adds one to a row of the scratch table, in place.
func increment(ctx context.Context, tx *ent.Tx, id int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE scratch SET n = n + 1 WHERE id = %d", id))
	return err
}

// meet lets two callers go on when both have come, once.
func meet() func() {
	var both sync.WaitGroup
	both.Add(2)
	var come atomic.Int64
	return func() {
		if come.Add(1) <= 2 {
			both.Done()
			both.Wait()
		}
	}
}

// together runs two transactions at once and fails the test with their errors.
func together(t *testing.T, db *database.DB, f func(ctx context.Context, tx *ent.Tx, i int) error) {
	t.Helper()
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error { return f(ctx, tx, i) }); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
}

// TestTxSurvivesDeadlock locks two rows in opposite orders.
func TestTxSurvivesDeadlock(t *testing.T) {
	var retries atomic.Int64
	db := openWith(t, servicetest.Postgres(t), func() { retries.Add(1) })
	fill(t, db)
	if _, err := db.SQL().ExecContext(t.Context(), "ALTER SYSTEM SET deadlock_timeout = '10ms'"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	met := meet()
	together(t, db, func(ctx context.Context, tx *ent.Tx, i int) error {
		if err := increment(ctx, tx, 1+i); err != nil {
			return err
		}
		met()
		return increment(ctx, tx, 2-i)
	})
	if got := scanOne[int](t, db, "SELECT sum(n) FROM scratch"); got != 4 || retries.Load() == 0 {
		t.Errorf("got %d increments and %d retries, want 4 and at least one", got, retries.Load())
	}
}

// TestTxSurvivesSerializationFailure reads and writes the same row in two serializable transactions.
func TestTxSurvivesSerializationFailure(t *testing.T) {
	var retries atomic.Int64
	db := openWith(t, servicetest.Postgres(t), func() { retries.Add(1) })
	fill(t, db)
	met := meet()
	together(t, db, func(ctx context.Context, tx *ent.Tx, _ int) error {
		if _, err := tx.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT n FROM scratch"); err != nil { // takes the snapshot
			return err
		}
		met()
		return increment(ctx, tx, 1)
	})
	if got := scanOne[int](t, db, "SELECT n FROM scratch WHERE id = 1"); got != 2 || retries.Load() == 0 {
		t.Errorf("got %d increments and %d retries, want 2 and at least one", got, retries.Load())
	}
}

// TestTxWaitsForAnotherProcess meets a file that somebody else writes, beyond what SQLite itself waits.
func TestTxWaitsForAnotherProcess(t *testing.T) {
	url := servicetest.SQLite(t)
	other := servicetest.OpenDatabase(t, url)
	fill(t, other)
	hold, err := other.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var retries int
	db := openWith(t, url, func() {
		if retries++; retries == 1 {
			if err := hold.Commit(); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := db.SQL().ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error { return increment(ctx, tx, 1) }); err != nil || retries != 1 {
		t.Errorf("got %v after %d retries, want nil after 1", err, retries)
	}
}

func TestTxGivesUp(t *testing.T) {
	url := servicetest.SQLite(t)
	other := servicetest.OpenDatabase(t, url)
	hold, err := other.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hold.Rollback() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var retries int
	cancelAt := 0
	db := openWith(t, url, func() {
		if retries++; retries == cancelAt {
			cancel()
		}
	})
	if _, err := db.SQL().ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, *ent.Tx) error { return nil }
	if err := db.Tx(ctx, nothing); err == nil || retries != 9 {
		t.Errorf("got %v after %d retries, want an error after 9", err, retries)
	}
	retries, cancelAt = 0, 2
	if err := db.Tx(ctx, nothing); !errors.Is(err, context.Canceled) || retries != 2 {
		t.Errorf("cancelled: got %v after %d retries, want %v after 2", err, retries, context.Canceled)
	}
}

func TestTxRollsBack(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		fill(t, db)
		refusal := errors.New("refused")
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error {
			return errors.Join(increment(ctx, tx, 1), refusal)
		}); !errors.Is(err, refusal) {
			t.Errorf("an error: got %v, want %v", err, refusal)
		}
		func() {
			defer func() {
				if got := recover(); got != "oops" {
					t.Errorf("a panic: got %v", got)
				}
			}()
			_ = db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error {
				if err := increment(ctx, tx, 1); err != nil {
					t.Error(err)
				}
				panic("oops")
			})
		}()
		ctx, cancel := context.WithCancel(t.Context())
		if err := db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			defer cancel()
			return increment(ctx, tx, 1)
		}); err == nil {
			t.Error("a cancelled transaction was committed")
		}
		// The connections are free again.
		for range 25 {
			if err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error { return increment(ctx, tx, 2) }); err != nil {
				t.Fatal(err)
			}
		}
		if got := scanOne[int](t, db, "SELECT n FROM scratch WHERE id = 1"); got != 0 {
			t.Errorf("%d increments were not rolled back", got)
		}
	})
}

func TestTxRefusesToNest(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		fill(t, db)
		if err := db.Tx(t.Context(), func(ctx context.Context, _ *ent.Tx) error {
			return db.Tx(ctx, func(context.Context, *ent.Tx) error { return nil })
		}); !errors.Is(err, database.ErrNested) {
			t.Errorf("a transaction in a transaction: got %v, want %v", err, database.ErrNested)
		}
		if err := db.Tx(t.Context(), func(ctx context.Context, _ *ent.Tx) error {
			_, err := db.Ent.ExecContext(ctx, "UPDATE scratch SET n = 1")
			return err
		}); db.Dialect == dialect.SQLite && !errors.Is(err, database.ErrNested) {
			t.Errorf("a write past the transaction: got %v, want %v", err, database.ErrNested)
		}
	})
}

// TestConcurrency has two processes' worth of writers and readers at one database: nobody is told to go away.
func TestConcurrency(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		const writers, each = 4, 10
		first, second := servicetest.OpenDatabase(t, url), servicetest.OpenDatabase(t, url)
		fill(t, first)
		var all sync.WaitGroup
		for _, db := range []*database.DB{first, second} {
			for range writers {
				all.Go(func() {
					for range each {
						if err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error { return increment(ctx, tx, 1) }); err != nil {
							t.Error(err)
						}
					}
				})
				all.Go(func() {
					for range each {
						if _, err := tryScan[int](t.Context(), db, "SELECT n FROM scratch WHERE id = 1"); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		if got := scanOne[int](t, first, "SELECT n FROM scratch WHERE id = 1"); got != 2*writers*each {
			t.Errorf("got %d increments, want %d", got, 2*writers*each)
		}
	})
}
