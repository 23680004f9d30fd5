package read_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
)

// recorder is a driver that remembers the queries that it passes on.
type recorder struct {
	dialect.Driver
	mu      sync.Mutex
	queries []query
}

type query struct {
	text string
	args []any
}

// Query implements dialect.Driver.
func (r *recorder) Query(ctx context.Context, text string, args, v any) error {
	r.mu.Lock()
	r.queries = append(r.queries, query{text, args.([]any)})
	r.mu.Unlock()
	return r.Driver.Query(ctx, text, args, v)
}

// take returns what was recorded since the last time.
func (r *recorder) take() []query {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.queries
	r.queries = nil
	return all
}

// recorded is a client of a database that remembers its queries.
func recorded(db *database.DB) (*ent.Client, *recorder) {
	r := &recorder{Driver: entsql.OpenDB(db.Dialect, db.SQL())}
	return ent.NewClient(ent.Driver(r)), r
}

// plan is how a database would run a query.
func plan(t *testing.T, db *database.DB, q query) string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if db.Dialect == dialect.Postgres {
		explain = "EXPLAIN "
	}
	rows, err := db.SQL().QueryContext(t.Context(), explain+q.text, q.args...)
	if err != nil {
		t.Fatalf("explaining %s: %v", q.text, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		line := ""
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		values[len(values)-1] = &line
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
