package connection_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestExpiredForManyReaders: one refresh serves them all, in each of two processes.
func TestExpiredForManyReaders(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		for round := int64(2); round < 4; round++ {
			k.Clock.Advance(2 * time.Hour)
			var group sync.WaitGroup
			for i := range 200 {
				group.Go(func() {
					r, err := processes[i%2].Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
					if err != nil || r.Credential == nil || r.Credential.Version != round {
						t.Errorf("got %+v, unavailable %+v, %v", r.Credential, r.Unavailable, err)
					}
				})
			}
			group.Wait()
			k.totals(1, int(round)-1)
		}
	})
}

// TestReadersOfAFailure: the provider is asked once for all who read, and not again until the time it put off the next
// attempt to.
func TestReadersOfAFailure(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Clock.Advance(2 * time.Hour)
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 429, RetryAfter: "1200", Body: "{}"})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
				if err != nil || r.Unavailable == nil || r.Unavailable.Code != "PROVIDER_UNAVAILABLE" {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
		group.Wait()
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Clock.Advance(1199 * time.Second)
		if got := k.unavailable(k.read(c.ID), "PROVIDER_UNAVAILABLE"); got.RetryAfter != time.Second {
			t.Errorf("try again in %v, want a second", got.RetryAfter)
		}
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Zoom.ClearFaults()
		k.Clock.Advance(time.Second)
		k.served(k.read(c.ID), 2)
		k.wantEvents(c.ID, "CREATED", "FAILING", "RECOVERED")
	})
}

// TestFreshWhileFailing: a token that lives is handed out while refreshes fail.
func TestFreshWhileFailing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 503, Body: "{}"})
		if _, err := k.Connections.Refresh(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 1)
		back := k.Vault.Away()
		k.served(k.read(c.ID), 1) // from memory
		back()
	})
}

func TestDisconnected(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.disconnect(c)
		calls := k.OAuth.Calls("Refresh")
		for range 3 {
			r := k.read(c.ID)
			if r.Reauthorization == nil || r.Reauthorization.Reason != "REVOKED" || r.Reauthorization.Class != "REAUTHORIZATION_REQUIRED" || r.Connection == nil {
				t.Errorf("got %+v", r)
			}
			k.Clock.Advance(time.Hour)
		}
		if got := k.OAuth.Calls("Refresh"); got != calls {
			t.Errorf("the provider was asked %d times", got-calls)
		}
	})
}

// TestLostRecord: the first reader finds out, and says what there is to do.
func TestLostRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if err := k.Vault.EraseRecord(t.Context(), vault.Ref{Tenant: k.one.ID, Connection: c.ID}); err != nil {
			t.Fatal(err)
		}
		if r := k.read(c.ID); r.Reauthorization == nil || r.Reauthorization.Reason != "RECORD_MISSING" {
			t.Errorf("got %+v", r)
		}
		k.wantEvents(c.ID, "CREATED", "DISCONNECTED")
	})
}

// TestOurOwnFaults are said to be ours, and the connection is not touched.
func TestOurOwnFaults(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.Vault.Away()
		k.unavailable(k.read(c.ID), "VAULT_UNAVAILABLE")
		k.Clock.Advance(2 * time.Hour)
		k.unavailable(k.read(c.ID), "VAULT_UNAVAILABLE")
		back()
		if row := k.Row(t, c.ID); connection.FailureOf(row) != nil || !row.UpdatedAt.Equal(c.UpdatedAt) {
			t.Errorf("got %+v", row)
		}
		k.served(k.read(c.ID), 2)
		wrong := secret.New("wrong")
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong}); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(2 * time.Hour)
		for range 3 {
			k.unavailable(k.read(c.ID), "APP_MISCONFIGURED")
		}
		if got := k.OAuth.Calls("Refresh"); got != 2 {
			t.Errorf("the provider was asked %d times", got)
		}
		right := secret.New(servicetest.ClientSecret)
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &right}); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 3)
	})
}

// TestReaderMeetsAnotherProcess: it waits for the other's refresh, or for its failure, and no longer than its patience.
func TestReaderMeetsAnotherProcess(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		other := k.Process(t)
		for _, test := range []struct {
			point zoomsim.Point
			check func(r connection.Result)
		}{
			{zoomsim.AfterProcessing, func(r connection.Result) { k.served(r, 2) }},
			{zoomsim.BeforeProcessing, func(r connection.Result) { k.unavailable(r, "PROVIDER_UNAVAILABLE") }},
		} {
			k.Clock.Advance(2 * time.Hour)
			fault := zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}
			if test.point == zoomsim.BeforeProcessing {
				fault.Status, fault.Body = 429, "{}"
			}
			hold, err := k.Zoom.Hold(fault, test.point)
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			group.Go(func() { _, _ = other.Connections.Refresh(k.one.Ctx, c.ID) })
			<-hold.Arrived()
			looked := servicetest.NewGate()
			looked.Open()
			k.Vault.After("ReadRecord", looked.Hook)
			results := make(chan connection.Result, 1)
			group.Go(func() {
				r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
				if err != nil {
					t.Error(err)
				}
				results <- r
			})
			<-looked.Arrived
			hold.Release()
			test.check(<-results)
			group.Wait()
			k.Vault.After("ReadRecord", nil)
		}
	})
}

// TestReaderWaitsOnce: whoever refreshes, a reader's patience is one and the same.
func TestReaderWaitsOnce(t *testing.T) {
	const patience = 300 * time.Millisecond
	eachWith(t, servicetest.Options{ReaderWait: patience}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Clock.Advance(2 * time.Hour)
		hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken}, zoomsim.AfterProcessing)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*servicetest.Service{k.Service, k.Process(t)} { // the one who refreshes, and another
			began := time.Now()
			r, err := s.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.unavailable(r, "REFRESHING")
			if took := time.Since(began); took > 8*patience {
				t.Errorf("waited for %v", took)
			}
			_, err = s.Connections.Refresh(k.one.Ctx, c.ID)
			fails(t, err, errs.Conflict, "id")
		}
		gone, leave := context.WithCancel(k.one.Ctx)
		leave()
		if _, err := k.Connections.Credential(gone, connection.Selector{Connection: &c.ID}, nil); err == nil {
			t.Error("a caller who left got an answer")
		}
		hold.Release()
		if err := k.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 2)
	})
}

// TestLastUsed is written now and then, not with each read, and by one of many readers.
func TestLastUsed(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		n := count(k.Service)
		reads := func() {
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() { _, _ = k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil) })
			}
			group.Wait()
		}
		first := k.Clock.Now()
		reads()
		<-n.wrote
		k.Clock.Advance(4 * time.Minute)
		reads()
		if row := k.Row(t, c.ID); row.LastUsedAt == nil || !row.LastUsedAt.Equal(first) {
			t.Errorf("got last used %v, want %v", row.LastUsedAt, first)
		}
		k.Clock.Advance(2 * time.Minute)
		second := k.Clock.Now()
		reads()
		if err := k.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		row := k.Row(t, c.ID)
		if row.LastUsedAt == nil || !row.LastUsedAt.Equal(second) || n.writes.Load() != 2 {
			t.Errorf("got last used %v after %d writes, want %v after 2", row.LastUsedAt, n.writes.Load(), second)
		}
		if !row.UpdatedAt.Equal(c.UpdatedAt) {
			t.Error("a use is no update")
		}
	})
}
