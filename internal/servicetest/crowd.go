package servicetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"
)

// Crowd copies a connection's row n times, as other connections of the same app and tenant. They have no records in the
// vault: they are for what looks at rows only.
func (s *Service) Crowd(t testing.TB, like uuid.UUID, n int) {
	t.Helper()
	id, text, numbers := "gen_random_uuid()", "n::text", "generate_series(1, $1::int) AS numbers(n)"
	if s.DB.Dialect == dialect.SQLite {
		random := "lower(hex(randomblob(%d)))"
		var parts []string
		for _, bytes := range []int{4, 2, 2, 2, 6} {
			parts = append(parts, fmt.Sprintf(random, bytes))
		}
		id, text = strings.Join(parts, " || '-' || "), "n"
		numbers = "(WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < $1) SELECT n FROM count) AS numbers"
	}
	columns := s.columns(t, "connections")
	values := slices.Clone(columns)
	for i, c := range columns {
		switch c {
		case "id":
			values[i] = id
		case "grant_key", "external_user_id":
			values[i] = "'crowd-' || " + text + " || '-' || id"
		}
	}
	query := fmt.Sprintf(`INSERT INTO connections (%s) SELECT %s FROM %s, connections WHERE id = $2`,
		strings.Join(columns, ", "), strings.Join(values, ", "), numbers)
	if _, err := s.DB.SQL().ExecContext(t.Context(), query, n, like); err != nil {
		t.Fatalf("making a crowd: %v", err)
	}
}

// columns are a table's, in its order.
func (s *Service) columns(t testing.TB, table string) []string {
	t.Helper()
	rows, err := s.DB.SQL().QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE false")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	return names
}
