package connection_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	domain "github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// report reports a 401 and returns the version that is stored afterwards.
func (k *kit) report(connectionID uuid.UUID, version int64) int64 {
	k.t.Helper()
	c, err := k.Connections.ReportUnauthorized(k.one.Ctx, connectionID, version)
	if err != nil {
		k.t.Fatalf("reporting version %d: %v", version, err)
	}
	return c.Generation
}

// TestReportUnauthorized: a report has the version that is stored refreshed, once, and no other.
func TestReportUnauthorized(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if got := k.report(c.ID, 1); got != 2 {
			t.Errorf("got version %d, want 2", got)
		}
		k.Clock.Advance(time.Hour / 2)
		for range 3 {
			if got := k.report(c.ID, 1); got != 2 {
				t.Errorf("a report of an older version: got version %d, want 2", got)
			}
		}
		k.totals(1, 1)
		k.served(k.read(c.ID), 2)
	})
}

// TestReportWithinTheInterval: whatever is reported, a connection is not refreshed twice within a minute.
func TestReportWithinTheInterval(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		version := int64(1)
		for second := range 180 { // a caller who takes every answer for a 401
			version = k.report(c.ID, version)
			if want := int64(1 + second/60); version != want {
				t.Fatalf("after %d s: got version %d, want %d", second, version, want)
			}
			k.Clock.Advance(time.Second)
		}
		k.totals(1, 2)
	})
}

// TestReportThatRefreshesNothing leaves a line in the log, so that a caller whom nothing helps is found.
func TestReportThatRefreshesNothing(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	s := servicetest.New(t, servicetest.SQLite(t), servicetest.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	one := s.Tenant(t, "one")
	c := s.Connect(t, one, user)
	if _, err := s.Connections.ReportUnauthorized(one.Ctx, c.ID, 1); err != nil {
		t.Fatal(err)
	}
	want := `level=INFO msg="a 401 was reported, and is no reason to refresh now" connection=` + id.Connection.Format(c.ID) + " version=1 failing=false"
	if !strings.Contains(text.String(), want) {
		t.Errorf("got %q, want %q in it", text.String(), want)
	}
}

// TestReportByManyInTwoProcesses is one refresh.
func TestReportByManyInTwoProcesses(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				if _, err := processes[i%2].Connections.ReportUnauthorized(k.one.Ctx, c.ID, 1); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		k.totals(1, 1)
	})
}

// TestReportOfWhatIsNotThere: foreign and unknown are alike, and a version that never was is the caller's mistake.
func TestReportOfWhatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		_, err := k.Connections.ReportUnauthorized(k.other.Ctx, c.ID, 1)
		fails(t, err, errs.NotFound, "connection")
		_, unknown := k.Connections.ReportUnauthorized(k.other.Ctx, uuid.New(), 1)
		if err.Error() != unknown.Error() {
			t.Errorf("foreign is %q, unknown is %q", err, unknown)
		}
		for _, version := range []int64{2, 0, -1} {
			_, err := k.Connections.ReportUnauthorized(k.one.Ctx, c.ID, version)
			fails(t, err, errs.BadUserInput, "version")
		}
		_, err = k.Connections.ReportUnauthorized(k.one.As(t, tenant.ConnectionsRead, tenant.ConnectionsWrite), c.ID, 1)
		fails(t, err, errs.Forbidden, "")
		k.totals(1, 0)
	})
}

// TestReportWhileFailing: a refresh that failed is repeated when its time has come, not when somebody reports.
func TestReportWhileFailing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 429, RetryAfter: "1200", Body: "{}"})
		for range 5 {
			if got := k.report(c.ID, 1); got != 1 {
				t.Errorf("got version %d", got)
			}
			k.Clock.Advance(2 * time.Minute)
		}
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.served(k.read(c.ID), 1)
	})
}

// TestReportOfWhatCannotBeRefreshed answers with the connection as it is.
func TestReportOfWhatCannotBeRefreshed(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		key, _, err := k.keep(k.App(t, k.one, "keys"), "", "s3cret", nil)
		if err != nil {
			t.Fatal(err)
		}
		over := k.connect()
		k.disconnect(over)
		k.Clock.Advance(time.Hour)
		calls := k.OAuth.Calls("Refresh")
		if got := k.report(key.ID, 1); got != 1 {
			t.Errorf("got version %d", got)
		}
		row, err := k.Connections.ReportUnauthorized(k.one.Ctx, over.ID, k.Row(t, over.ID).Generation)
		if err != nil || row.State != connection.StateDISCONNECTED || domain.FailureOf(row) == nil {
			t.Errorf("got %+v, %v", row, err)
		}
		if got := k.OAuth.Calls("Refresh"); got != calls {
			t.Errorf("the provider was asked %d times", got-calls)
		}
	})
}

// TestReportWithClocksApart: a process whose clock is five minutes behind does not refresh what was just refreshed, nor
// does a time from the far future keep a connection from ever being refreshed.
func TestReportWithClocksApart(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		set := func(at time.Time) {
			if err := k.DB.Ent.Connection.UpdateOneID(c.ID).SetLastRefreshedAt(at).Exec(k.one.Ctx); err != nil {
				t.Fatal(err)
			}
		}
		set(k.Clock.Now().Add(5 * time.Minute))
		if got := k.report(c.ID, 1); got != 1 {
			t.Errorf("got version %d, want 1", got)
		}
		set(k.Clock.Now().Add(24 * time.Hour))
		if got := k.report(c.ID, 1); got != 2 {
			t.Errorf("got version %d, want 2", got)
		}
	})
}

// TestRefreshWhileRateLimited: who asks for a refresh gets none before the provider allows it, and is told when that is.
func TestRefreshWhileRateLimited(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 429, RetryAfter: "1200", Body: "{}"})
		if _, err := k.Connections.Refresh(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(time.Minute)
		_, err := k.Connections.Refresh(k.one.Ctx, c.ID)
		fails(t, err, errs.RateLimited, "id")
		var told *errs.Error
		if errors.As(err, &told) && told.RetryAfter != 1140*time.Second {
			t.Errorf("got retry after %v, want 19 minutes", told.RetryAfter)
		}
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Zoom.ClearFaults()
		k.Clock.Advance(19 * time.Minute)
		if row, err := k.Connections.Refresh(k.one.Ctx, c.ID); err != nil || row.Generation != 2 {
			t.Errorf("got %+v, %v", row, err)
		}
	})
}
