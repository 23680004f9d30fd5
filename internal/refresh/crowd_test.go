package refresh_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// crowd is how many due refreshes stand before one that is not theirs.
const crowd = 100_000

// TestCrowdOfAPausedApp: 100,000 due refreshes of an app that rests do not keep another app's waiting, they are moved out
// of the way once, and come back without being moved.
func TestCrowdOfAPausedApp(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		blocked := k.connect(1)[0]
		k.Crowd(t, blocked.ID, crowd)
		k.DB.Ent.OAuthApp.UpdateOneID(k.one.App.ID).SetPausedUntil(k.Clock.Now().Add(3 * time.Hour)).ExecX(k.one.System(t))
		k.Clock.Advance(time.Minute)
		free := k.Connect(t, k.Tenant(t, "other"), "free")
		k.to(*free.NextRefreshAt)
		k.want(k.run(), refresh.Done{Claimed: 1, Renewed: 1, Parked: crowd + 1})
		k.want(k.run(), refresh.Done{})
		standing, err := k.Connections.Standing(t.Context())
		if err != nil || standing.Due != 0 || standing.Waiting != 10_000 || standing.PausedApps != 1 || !standing.Oldest.Equal(*blocked.NextRefreshAt) {
			t.Errorf("got %+v, %v", standing, err)
		}
		k.Clock.Advance(3 * time.Hour)
		due, err := k.Connections.Lanes(t.Context(), uuid.Nil, 10)
		if err != nil || len(due) != 1 || due[0].Closed(k.Clock.Now()) {
			t.Fatalf("got %+v, %v", due, err)
		}
		next, err := k.Connections.DueInLane(t.Context(), k.one.App.ID, 5)
		if err != nil || len(next) != 5 {
			t.Errorf("got %+v, %v", next, err)
		}
		if n := k.DB.Ent.Connection.Query().Where(connection.UpdatedAtNEQ(blocked.UpdatedAt), connection.AppID(k.one.App.ID)).CountX(k.one.System(t)); n != 0 {
			t.Errorf("%d connections look updated", n)
		}
	})
}

// TestCrowdOfASlowProvider: a provider that does not answer holds its own places and no others.
func TestCrowdOfASlowProvider(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		slow := k.connect(3)
		k.Crowd(t, slow[0].ID, 5_000)
		k.Clock.Advance(time.Minute)
		other := k.Tenant(t, "other")
		free := k.Connect(t, other, "free")
		k.to(*free.NextRefreshAt)
		// The app's two places are taken by connections whose answers do not come.
		hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token", Count: 2}, zoomsim.AfterProcessing)
		if err != nil {
			t.Fatal(err)
		}
		rows := k.DB.Ent.Connection
		rows.Update().Where(connection.ExternalUserIDHasPrefix("crowd-")).SetNextRefreshAt(*slow[0].NextRefreshAt).ExecX(k.one.System(t))
		for _, c := range slow { // first, for the crowd has nothing to refresh with
			rows.UpdateOneID(c.ID).SetNextRefreshAt(c.NextRefreshAt.Add(-time.Second)).ExecX(k.one.System(t))
		}
		ended := k.DB.Watch(database.Settled, free.ID)
		defer ended.Stop()
		held := k.on(k.Service, refresh.Options{Workers: 8, PerApp: 2, Window: 64})
		held.Start(t.Context())
		<-hold.Arrived()
		<-hold.Arrived()
		for k.Row(t, free.ID).Generation == 1 {
			<-ended.C
		}
		if n := held.InFlight(); n < 2 {
			t.Errorf("%d refreshes are under way, want the two that hang", n)
		}
		hold.Release()
		held.Stop(t.Context())
	})
}

// TestLanesAndIntakeInTurn: while workers become free one by one, what waits in lanes does not keep what is newly due
// waiting, nor the other way round.
func TestLanesAndIntakeInTurn(t *testing.T) {
	eachWith(t, servicetest.Options{}, func(t *testing.T, k *kit) {
		waiting := k.connect(4)
		other := k.Tenant(t, "other")
		k.Clock.Advance(time.Minute)
		var newly []uuid.UUID
		last := waiting[0]
		for i := range 4 {
			last = k.Connect(t, other, fmt.Sprintf("new-%d", i))
			newly = append(newly, last.ID)
		}
		for _, c := range waiting {
			k.DB.Ent.Connection.UpdateOneID(c.ID).SetWaitingSince(*c.NextRefreshAt).ClearNextRefreshAt().ExecX(k.one.System(t))
		}
		var order []uuid.UUID
		k.OAuth.Before("Refresh", func(ctx context.Context) error {
			order = append(order, tenant.FromContext(ctx).Tenant)
			return nil
		})
		k.to(*last.NextRefreshAt)
		k.want(k.runOn(k.on(k.Service, refresh.Options{Workers: 1})), refresh.Done{Claimed: 8, Renewed: 8})
		for i := 0; i < len(order); i += 2 {
			if order[i] == order[i+1] {
				t.Errorf("refreshes %d and %d are both of %s", i, i+1, order[i])
			}
		}
		for _, id := range newly {
			if k.Row(t, id).Generation != 2 {
				t.Errorf("%s was not renewed", id)
			}
		}
	})
}
