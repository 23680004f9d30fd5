package database_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// elsewhere puts the machine into another zone for the length of the test.
func elsewhere(t *testing.T) *time.Location {
	t.Helper()
	here := time.Local
	time.Local = time.FixedZone("elsewhere", -9*60*60)
	t.Cleanup(func() { time.Local = here })
	return time.Local
}

func TestTimesComeBackAsUTC(t *testing.T) {
	zone := elsewhere(t)
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		ctx := tenant.System(t.Context(), uuid.Nil)
		given := time.Date(2026, 3, 1, 23, 30, 0, 123456789, zone)
		want := given.UTC().Truncate(time.Microsecond)
		made := db.Ent.Tenant.Create().SetName("t").SetUpdatedAt(given).SaveX(ctx)
		check := func(where string, got time.Time) {
			t.Helper()
			if got.Location() != time.UTC || !got.Equal(want) {
				t.Errorf("%s: got %v, want %v", where, got, want)
			}
		}
		check("a reader", db.Ent.Tenant.GetX(ctx, made.ID).UpdatedAt)
		err := db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			check("a transaction", tx.Tenant.GetX(ctx, made.ID).UpdatedAt)
			return tx.Tenant.UpdateOneID(made.ID).SetUpdatedAt(given.In(time.UTC)).Exec(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
		check("after a transaction", db.Ent.Tenant.Query().Where(enttenant.UpdatedAt(given)).OnlyX(ctx).UpdatedAt)
	})
}

// TestKeysetOverTimes walks pages along a time column, with rows and cursors from machines in different zones and with
// fractions of different lengths, which as texts would compare wrongly.
func TestKeysetOverTimes(t *testing.T) {
	zone := elsewhere(t)
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		ctx := tenant.System(t.Context(), uuid.Nil)
		zones := []*time.Location{time.UTC, zone, time.FixedZone("east", 5*60*60+45*60)}
		start := time.Date(2026, 3, 1, 22, 59, 59, 0, time.UTC)
		var want []uuid.UUID
		for i, after := range []time.Duration{0, time.Microsecond, 10 * time.Microsecond, 100 * time.Millisecond, 120 * time.Millisecond, 900 * time.Millisecond, time.Second, time.Hour, 48 * time.Hour} {
			at := start.Add(after).In(zones[i%len(zones)])
			want = append(want, db.Ent.Tenant.Create().SetName("t").SetUpdatedAt(at).SaveX(ctx).ID)
		}
		if got := walk(ctx, db, zones); !slices.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	})
}

// walk reads one row at a time, each after the one before.
func walk(ctx context.Context, db *database.DB, zones []*time.Location) (ids []uuid.UUID) {
	cursor := time.Time{}
	for i := 0; i < 100; i++ {
		next, err := db.Ent.Tenant.Query().Where(enttenant.UpdatedAtGT(cursor)).Order(enttenant.ByUpdatedAt(), enttenant.ByID()).First(ctx)
		if err != nil {
			return ids
		}
		ids = append(ids, next.ID)
		cursor = next.UpdatedAt.In(zones[(i+1)%len(zones)])
	}
	return ids
}
