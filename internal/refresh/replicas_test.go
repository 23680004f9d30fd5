package refresh_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestThreeProcesses claim each due connection once, all together.
func TestThreeProcesses(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		const n = 60
		all := k.connect(n)
		processes := []*servicetest.Service{k.Service, k.Process(t), k.Process(t)}
		k.to(*all[n-1].NextRefreshAt)
		var group sync.WaitGroup
		done := make([]refresh.Done, len(processes))
		for i, p := range processes {
			s := k.on(p, refresh.Options{Workers: 8})
			group.Go(func() {
				var err error
				if done[i], err = s.RunOnce(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		claimed, renewed, asked := 0, 0, 0
		for i, p := range processes {
			claimed, renewed, asked = claimed+done[i].Claimed, renewed+done[i].Renewed, asked+p.OAuth.Calls("Refresh")
		}
		if claimed != n || renewed != n || asked != n {
			t.Errorf("%d claimed, %d renewed, %d asked for, want %d: %+v", claimed, renewed, asked, n, done)
		}
		k.totals(n)
	})
}

// TestCrashAfterClaim: what a dead process had claimed is taken again when the lease is over, and not before.
func TestCrashAfterClaim(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(3)
		k.to(*all[0].NextRefreshAt)
		dead := k.Process(t)
		due, err := dead.Connections.DueNow(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := dead.Connections.ClaimDue(t.Context(), due, time.Minute)
		if err != nil || len(got) != 2 {
			t.Fatalf("claimed %d, %v", len(got), err)
		}
		_ = dead.DB.Close()
		k.want(k.run(), refresh.Done{Claimed: 1, Renewed: 1})
		if _, err := k.DB.SQL().ExecContext(t.Context(), "UPDATE connections SET claimed_until_ms = 1 WHERE claimed_until_ms IS NOT NULL"); err != nil {
			t.Fatal(err)
		}
		k.want(k.run(), refresh.Done{Claimed: 2, Renewed: 2})
		k.totals(3)
	})
}

// TestClaimOfAClockThatWasAhead: a process that died while the database's clock was a year ahead leaves nothing claimed for
// a year.
func TestClaimOfAClockThatWasAhead(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(1)[0]
		k.to(*c.NextRefreshAt)
		k.DB.Ent.Connection.UpdateOneID(c.ID).SetClaimedUntilMs(time.Now().AddDate(1, 0, 0).UnixMilli()).ExecX(k.one.System(t))
		k.want(k.run(), refresh.Done{Claimed: 1, Renewed: 1})
	})
}

// TestLateClaim: who was away for longer than the lease finds that another has done it, and gives back nothing that is
// not his.
func TestLateClaim(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(1)[0]
		k.to(*c.NextRefreshAt)
		due, err := k.Connections.DueNow(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		late, err := k.Connections.ClaimDue(t.Context(), due, -time.Second)
		if err != nil || len(late) != 1 {
			t.Fatalf("claimed %d, %v", len(late), err)
		}
		again, err := k.Connections.ClaimDue(t.Context(), due, time.Minute)
		if err != nil || len(again) != 1 {
			t.Fatalf("claimed %d, %v", len(again), err)
		}
		if err := k.Connections.GiveBack(t.Context(), late[0]); err != nil || k.Row(t, c.ID).ClaimedUntilMs == nil {
			t.Errorf("gave back another's claim, %v", err)
		}
		for _, d := range []connection.Due{again[0], late[0]} {
			if ending, err := k.Connections.RefreshDue(t.Context(), d); err != nil || ending != connection.Renewed {
				t.Errorf("got %s, %v", ending, err)
			}
		}
		k.totals(1)
	})
}

// TestStop: claiming ends at once, a refresh whose answer is on its way is stored first, and no claim is left behind.
func TestStop(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(6)
		hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, zoomsim.AfterProcessing)
		if err != nil {
			t.Fatal(err)
		}
		k.to(*all[0].NextRefreshAt)
		s := k.on(k.Service, refresh.Options{Workers: 2})
		s.Start(t.Context())
		<-hold.Arrived()
		<-hold.Arrived()
		stopped := make(chan struct{})
		go func() {
			s.Stop(t.Context())
			close(stopped)
		}()
		select {
		case <-stopped:
			t.Error("stopped while two refreshes were under way")
		case <-s.Stopping():
		}
		hold.Release()
		<-stopped
		renewed := 0
		for _, c := range all {
			row := k.Row(t, c.ID)
			if row.ClaimedUntilMs != nil {
				t.Errorf("%s is still claimed", c.ID)
			}
			renewed += int(row.Generation - 1)
		}
		if renewed != 2 || s.InFlight() != 0 {
			t.Errorf("%d were renewed, %d are under way", renewed, s.InFlight())
		}
		k.totals(2)
	})
}

// TestStopGivesBack: who is told to stop while it claims gives all of it back at once, and begins nothing.
func TestStopGivesBack(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(3)
		k.to(*all[2].NextRefreshAt)
		due, err := k.Connections.DueNow(t.Context(), 10)
		if err != nil || len(due) != 3 {
			t.Fatalf("%d are due, %v", len(due), err)
		}
		told, stop := context.WithCancel(t.Context())
		stop()
		n, err := k.scheduler.Begin(told, due)
		if n != 0 || err != nil || k.scheduler.InFlight() != 0 || k.OAuth.Calls("Refresh") != 0 {
			t.Errorf("began %d, %v, %d under way, %d calls", n, err, k.scheduler.InFlight(), k.OAuth.Calls("Refresh"))
		}
		k.want(k.runOn(k.on(k.Process(t), refresh.Options{})), refresh.Done{Claimed: 3, Renewed: 3}) // no lease stands
		k.totals(3)
	})
}

// TestChosenTwice: what two looks chose has one worker, and costs no place for good.
func TestChosenTwice(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(1)[0]
		k.to(*c.NextRefreshAt)
		due, err := k.Connections.DueNow(t.Context(), 1)
		if err != nil || len(due) != 1 {
			t.Fatalf("%d are due, %v", len(due), err)
		}
		n, err := k.scheduler.Begin(t.Context(), append(due, due...))
		k.scheduler.Wait()
		if n != 1 || err != nil || k.scheduler.InFlight() != 0 {
			t.Errorf("began %d, %v, %d under way", n, err, k.scheduler.InFlight())
		}
		k.totals(1)
	})
}

// TestReaderIsWoken by the process that refreshes, and by a look of its own where the connection that listens is cut.
func TestReaderIsWoken(t *testing.T) {
	for name, cut := range map[string]bool{"told": false, "cut off": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servicetest.New(t, servicetest.Postgres(t), servicetest.Options{})
			k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
			c := k.connect(1)[0]
			other := k.Process(t)
			watch := k.DB.Watch(database.Settled, c.ID)
			defer watch.Stop()
			<-watch.C // it listens
			if cut {
				if _, err := k.DB.SQL().ExecContext(t.Context(),
					"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%listener'"); err != nil {
					t.Fatal(err)
				}
				<-watch.C // it noticed
			}
			k.Clock.Advance(2 * time.Hour)
			hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, zoomsim.AfterProcessing)
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			group.Go(func() { _, _ = other.Connections.Refresh(k.one.Ctx, c.ID) })
			<-hold.Arrived()
			group.Go(func() { k.read(c.ID, 2) })
			hold.Release()
			group.Wait()
			<-watch.C // told, or told that something may have been missed
			k.totals(1)
		})
	}
}
