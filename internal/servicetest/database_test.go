package servicetest_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// TestDatabasesAreSeparate proves that each call gives a migrated database that nobody else writes into.
func TestDatabasesAreSeparate(t *testing.T) {
	for name, make := range map[string]func(testing.TB) string{"sqlite": servicetest.SQLite, "postgres": servicetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			ctx := tenant.System(t.Context(), uuid.Nil)
			for range 2 {
				db := servicetest.OpenDatabase(t, make(t))
				db.Ent.Tenant.Create().SetName("t").SaveX(ctx)
				if n := db.Ent.Tenant.Query().CountX(ctx); n != 1 {
					t.Errorf("got %d tenants, want the one just made", n)
				}
			}
		})
	}
}
