package connection_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	tokens "github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestPickingUsesItsIndexes: what finds due refreshes walks along one index from its beginning, whatever else there is.
func TestPickingUsesItsIndexes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Crowd(t, c.ID, 20_000)
		k.DB.Ent.Connection.Update().Where(connection.IDNEQ(c.ID)).SetNextRefreshAt(k.Clock.Now().Add(time.Hour)).ExecX(k.all())
		k.exec("UPDATE connections SET waiting_since = next_refresh_at, next_refresh_at = NULL WHERE external_user_id LIKE 'crowd-1%'")
		now, lane, lanes := k.Connections.PickingSQL(100)
		for _, statistics := range []bool{false, true} {
			if statistics {
				k.exec("ANALYZE")
			}
			k.planned(now, "connection_next_refresh_at", k.Clock.Now())
			k.planned(now, "connection_next_refresh_at", k.Clock.Now().Add(time.Hour)) // everything is due
			if plan := k.lanePlan(lane); !strings.Contains(plan, "connection_app_id_waiting_since") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Bitmap") {
				t.Errorf("with statistics %t the lane's plan sorts, or walks along another index:\n%s", statistics, plan)
			}
			k.planned(lanes, "connection_app_id_waiting_since", uuid.Nil)
		}
	})
}

// planned fails unless a query walks along the index and neither reads nor sorts the table.
func (k *kit) planned(query, index string, arg any) {
	k.t.Helper()
	plan := k.plan(query, arg)
	for _, bad := range []string{"Seq Scan on connections", "SCAN connections\n", "Bitmap", "TEMP B-TREE FOR ORDER BY connections"} {
		if strings.Contains(plan, bad) || !strings.Contains(plan, index) {
			k.t.Errorf("the plan holds %q, or does not use %s:\n%s", bad, index, plan)
		}
	}
}

// lanePlan is how the database carries out what DueInLane asks, in a transaction as it is there.
func (k *kit) lanePlan(query string) string {
	k.t.Helper()
	if k.DB.Dialect == dialect.SQLite {
		return k.plan(query, k.one.App.ID)
	}
	tx, err := k.DB.SQL().BeginTx(k.t.Context(), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(k.t.Context(), tokens.LaneSettings); err != nil {
		k.t.Fatal(err)
	}
	rows, err := tx.QueryContext(k.t.Context(), "EXPLAIN "+query, k.one.App.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			k.t.Fatal(err)
		}
		fmt.Fprintln(&plan, line)
	}
	if err := rows.Err(); err != nil {
		k.t.Fatal(err)
	}
	return plan.String()
}

func (k *kit) exec(query string) {
	k.t.Helper()
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), query); err != nil {
		k.t.Fatal(err)
	}
}

// plan is how the database carries a query out.
func (k *kit) plan(query string, args ...any) string {
	k.t.Helper()
	explain := "EXPLAIN "
	if k.DB.Dialect == dialect.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := k.DB.Ent.QueryContext(k.t.Context(), explain+query, args...)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		k.t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		fields := make([]any, len(columns))
		for i := range fields {
			fields[i] = new(any)
		}
		if err := rows.Scan(fields...); err != nil {
			k.t.Fatal(err)
		}
		fmt.Fprintln(&plan, *fields[len(fields)-1].(*any))
	}
	return plan.String()
}

// BenchmarkPicking finds and claims one due refresh among so many connections: go test -bench Picking -benchtime 200x. The
// largest takes minutes to fill, so it wants BENCH_CONNECTIONS=1000000.
func BenchmarkPicking(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("BENCH_CONNECTIONS") == "1000000" {
		sizes = append(sizes, 1_000_000)
	}
	for name, url := range map[string]func(testing.TB) string{"sqlite": servicetest.SQLite, "postgres": servicetest.Postgres} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				s := servicetest.New(b, url(b), servicetest.Options{})
				c := s.Connect(b, s.Tenant(b, "one"), user)
				s.Crowd(b, c.ID, n)
				s.Clock.Advance(2 * time.Hour)
				for b.Loop() {
					pickOne(b.Context(), b, s)
				}
			})
		}
	}
}

func pickOne(ctx context.Context, b *testing.B, s *servicetest.Service) {
	due, err := s.Connections.DueNow(ctx, 64)
	if err != nil || len(due) != 64 {
		b.Fatalf("found %d, %v", len(due), err)
	}
	got, err := s.Connections.ClaimDue(ctx, due[:1], time.Minute)
	if err != nil || len(got) != 1 {
		b.Fatalf("claimed %d, %v", len(got), err)
	}
}
