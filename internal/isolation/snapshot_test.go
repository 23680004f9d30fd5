package isolation_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
)

// tables are the names of all tables.
func (w *world) tables(t *testing.T) []string {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
	if w.DB.Dialect == dialect.Postgres {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"
	}
	var names []string
	for _, row := range w.rows(t, query) {
		names = append(names, row.text("name")+row.text("table_name"))
	}
	if len(names) < 10 {
		t.Fatalf("got the tables %v, want all", names)
	}
	return names
}

// row is a row of any table.
type row map[string]any

func (r row) text(column string) string {
	switch v := r[column].(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}

// rows runs a query past ent and its rules.
func (w *world) rows(t *testing.T, query string, arguments ...any) []row {
	t.Helper()
	found, err := w.DB.SQL().QueryContext(t.Context(), query, arguments...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = found.Close() }()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	for found.Next() {
		all = append(all, scanned(t, found, columns))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func scanned(t *testing.T, found *sql.Rows, columns []string) row {
	t.Helper()
	values, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	if err := found.Scan(to...); err != nil {
		t.Fatal(err)
	}
	r := row{}
	for i, c := range columns {
		r[c] = values[i]
	}
	return r
}

// exec changes the database past ent and its rules.
func (w *world) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	result, err := w.DB.SQL().ExecContext(t.Context(), statement, arguments...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows (%v), want some", statement, n, err)
	}
}

// snapshot is everything there is of a tenant, in the database and at the provider, as lines. When keys were last used
// is left out, since it is noted beside the requests; so are the tables in except.
func (w *world) snapshot(t *testing.T, p *party, except ...string) []string {
	t.Helper()
	var lines []string
	for _, table := range w.tables(t) {
		if slices.Contains(except, table) {
			continue
		}
		for _, r := range w.rows(t, `SELECT * FROM "`+table+`"`) {
			if r.text("tenant_id") != p.id.String() && r.text("id") != p.id.String() && table != "grant_locks" {
				continue
			}
			if table == "api_keys" {
				delete(r, "last_used_at")
			}
			lines = append(lines, table+" "+r.line())
		}
	}
	sort.Strings(lines)
	for _, g := range w.Zoom.Ledger().Grants {
		if g.ClientID == p.values["client"] {
			text, _ := json.Marshal(g)
			lines = append(lines, "grant "+string(text))
		}
	}
	if len(lines) < 5 {
		t.Fatalf("%d lines of a furnished tenant", len(lines))
	}
	return lines
}

func (r row) line() string {
	columns := make([]string, 0, len(r))
	for c := range r {
		columns = append(columns, c)
	}
	sort.Strings(columns)
	var b strings.Builder
	for _, c := range columns {
		_, _ = fmt.Fprintf(&b, "%s=%q ", c, r.text(c))
	}
	return b.String()
}
