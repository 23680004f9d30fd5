package database_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// scratch makes a table of the test's own.
func scratch(t *testing.T, db *database.DB) {
	t.Helper()
	if _, err := db.Ent.ExecContext(t.Context(), "CREATE TABLE scratch (id bigint PRIMARY KEY, n bigint NOT NULL)"); err != nil {
		t.Fatal(err)
	}
}

// TestRouting asks from within a transaction: what would go to the busy writer is refused there, so the answer tells where
// a statement goes.
func TestRouting(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.SQLite(t))
	scratch(t, db)
	tests := []struct {
		query  string
		writes bool
	}{
		{"SELECT 1", false},
		{" \n\tselect count(*) FROM scratch", false},
		{"-- SELECT\n/* INSERT */ SELECT 1", false},
		{"VALUES (1)", false},
		{"EXPLAIN QUERY PLAN DELETE FROM scratch", false},
		{"WITH x AS (SELECT 1 AS updated_at) SELECT * FROM x", false},
		{"WITH x AS (SELECT 1) SELECT 'insert' FROM x", true}, // to be on the safe side
		{"WITH x(a) AS (SELECT 7) INSERT INTO scratch SELECT a, a FROM x RETURNING id", true},
		{"-- SELECT\nINSERT INTO scratch VALUES (8, 8) RETURNING id", true},
		{"INSERT INTO scratch VALUES (9, 9) RETURNING id", true},
		{"update scratch SET n = 1 RETURNING n", true},
		{"PRAGMA user_version", true},
	}
	for _, test := range tests {
		err := db.Tx(t.Context(), func(ctx context.Context, _ *ent.Tx) error {
			rows, err := db.Ent.QueryContext(ctx, test.query)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			return rows.Err()
		})
		if errors.Is(err, database.ErrNested) != test.writes || !test.writes && err != nil {
			t.Errorf("%s: got %v, want it to go to the writer: %v", test.query, err, test.writes)
		}
	}
	// Outside of a transaction they run where they belong.
	for i, test := range tests[7:10] {
		if got := scanOne[int](t, db, test.query); got != 7+i {
			t.Errorf("%s: got %d", test.query, got)
		}
	}
}

// TestReadersDoNotWait proves that reads go on while a transaction writes, and see what was committed and nothing else.
func TestReadersDoNotWait(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		scratch(t, db)
		count := "SELECT count(*) FROM scratch"
		err := db.Tx(t.Context(), func(ctx context.Context, tx *ent.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO scratch VALUES (1, 1)"); err != nil {
				return err
			}
			if got := scanOne[int](t, db, count); got != 0 {
				t.Errorf("a reader sees %d uncommitted rows", got)
			}
			if got := countIn(t, tx); got != 1 {
				t.Errorf("the transaction sees %d of its rows, want 1", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := scanOne[int](t, db, count); got != 1 {
			t.Errorf("after the commit: got %d rows, want 1", got)
		}
	})
}

// TestSnapshot proves that a read-only transaction sees one state, and that it cannot write.
func TestSnapshot(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.SQLite(t))
	scratch(t, db)
	tx, err := db.Ent.BeginTx(t.Context(), readOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for range 2 {
		if n := countIn(t, tx); n != 0 {
			t.Errorf("the snapshot sees %d rows that came later", n)
		}
		if _, err := db.Ent.ExecContext(t.Context(), "INSERT INTO scratch VALUES ((SELECT count(*) FROM scratch), 1)"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(t.Context(), "DELETE FROM scratch"); err == nil {
		t.Error("a read-only transaction wrote")
	}
}

// countIn counts the rows of the scratch table as a transaction sees them.
func countIn(t *testing.T, tx *ent.Tx) (n int) {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), "SELECT count(*) FROM scratch")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() || rows.Scan(&n) != nil {
		t.Fatalf("counting: %v", rows.Err())
	}
	return n
}
