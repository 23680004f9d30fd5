package connection_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestMetadataOfOneConnectionIsFoundByIt: with another index SQLite walks all rows of the tenant to replace the metadata
// of one connection, under its only writer.
func TestMetadataOfOneConnectionIsFoundByIt(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.SQLite(t))
	rows, err := db.SQL().QueryContext(t.Context(), "EXPLAIN QUERY PLAN DELETE FROM connection_metadata WHERE connection_id = ? AND tenant_id = ?", uuid.New(), uuid.New())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(detail, "connection_id=?") {
			t.Errorf("the plan is %q, want the index that begins with connection_id", detail)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
