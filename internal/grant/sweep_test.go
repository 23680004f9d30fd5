package grant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/grantlock"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

var errUnsent = &oauth.Error{Outcome: oauth.Unsent, Reason: oauth.ReasonNetwork, Message: "The provider cannot be reached."}

// TestSweeperWakes: a deletion wakes the loop, which would otherwise sleep for an hour.
func TestSweeperWakes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		revoked := servicetest.NewGate()
		revoked.Open()
		k.OAuth.After("Revoke", revoked.Hook)
		s := grant.NewSweeper(k.Connections.Keeper(), time.Hour)
		s.Start(t.Context())
		defer s.Stop()
		k.delete(k.connect().ID)
		<-revoked.Arrived
	})
}

// TestSweeperForgetsLocksOfTheDead: a process that died left a lock that nobody asks for again; what is marked, held or
// fresh stays.
func TestSweeperForgetsLocksOfTheDead(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		day := 24 * time.Hour
		for name, l := range map[string]struct {
			ended    time.Duration
			owned    bool
			spending int64
			unknown  int64
			stays    bool
		}{
			"ended long ago":           {ended: 2 * day, owned: true},
			"ended a moment ago":       {ended: time.Minute, owned: true, stays: true},
			"held":                     {ended: -time.Minute, owned: true, stays: true},
			"marked by who died":       {ended: 2 * day, owned: true, spending: 3, stays: true},
			"unknown to who died":      {ended: 2 * day, owned: true, unknown: 3, stays: true},
			"given up, and is unknown": {ended: 2 * day, unknown: 3, stays: true},
		} {
			create := k.DB.Ent.GrantLock.Create().SetID(name).SetUntilMs(time.Now().Add(-l.ended).UnixMilli())
			if l.owned {
				create.SetOwner(uuid.New())
			}
			if l.spending > 0 {
				create.SetSpendingGeneration(l.spending)
			}
			if l.unknown > 0 {
				create.SetUnknownGeneration(l.unknown)
			}
			if err := create.Exec(k.all()); err != nil {
				t.Fatal(err)
			}
			k.sweep()
			is, err := k.DB.Ent.GrantLock.Query().Where(grantlock.ID(name)).Exist(k.all())
			if err != nil || is != l.stays {
				t.Errorf("%s: the lock is there: %t, %v; want %t", name, is, err, l.stays)
			}
		}
	})
}

func TestSweeperStops(t *testing.T) {
	k := &kit{Service: servicetest.New(t, servicetest.SQLite(t), servicetest.Options{}), t: t}
	s := grant.NewSweeper(k.Connections.Keeper(), time.Millisecond)
	s.Stop() // never started
	s.Start(t.Context())
	s.Stop()
	s.Stop()
}

// TestSweeperFinishesWhatItBegan: it is stopped between the provider's answer and its storing.
func TestSweeperFinishesWhatItBegan(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		k.Clock.Advance(2 * time.Hour) // the copy's access token must be renewed first
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, Status: 503, Body: "{}"})
		hold := k.hold(zoomsim.AfterProcessing)
		ctx, cancel := context.WithCancel(t.Context())
		wait := async(func() (grant.Swept, error) { return grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(ctx) })
		<-hold.Arrived()
		cancel()
		hold.Release()
		// The other kinds of work, which run beside it, may be stopped before they have begun; that is no fault.
		if swept, err := wait(); swept.Revocations != 1 || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, %v", swept, err)
		}
		k.Zoom.ClearFaults()
		k.Clock.Advance(16 * time.Minute)
		k.sweep()
		k.gone(c)
		k.rotations(1)
	})
}

// TestSweeperBeginsNothingWhenStopped covers each kind of work.
func TestSweeperBeginsNothingWhenStopped(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.delete(k.connect().ID)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if swept, _ := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(ctx); swept != (grant.Swept{}) {
			t.Errorf("got %+v", swept)
		}
	})
}

// TestSweeperLeavesAttemptsAlone: who is at it holds the lock, and who just failed is not asked again at once.
func TestSweeperLeavesAttemptsAlone(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		gate := servicetest.NewGate()
		down := &zoom.Error{Kind: zoom.KindUnavailable}
		k.ZoomAPI.Before("Me", func(ctx context.Context) error { return errors.Join(gate.Hook(ctx), down) })
		wait := async(func() (bool, error) {
			_, created, err := k.create(k.Service, code)
			return created, err
		})
		<-gate.Arrived
		k.Clock.Advance(time.Minute)
		if got := k.sweep(); got.Attempts != 0 {
			t.Errorf("got %+v while the call is under way", got)
		}
		gate.Open()
		if _, err := wait(); err == nil {
			t.Fatal("the call succeeded")
		}
		if got := k.sweep(); got.Attempts != 1 {
			t.Errorf("got %+v, want one attempt", got)
		}
		calls := k.ZoomAPI.Calls("Me")
		if got := k.sweep(); got.Attempts != 0 || k.ZoomAPI.Calls("Me") != calls {
			t.Errorf("got %+v at once", got)
		}
		k.Clock.Advance(time.Minute)
		k.ZoomAPI.Before("Me", nil)
		k.sweep()
		if got := k.attempt(); got.State != grantattempt.StateDONE {
			t.Errorf("got %s", got.State)
		}
	})
}

// TestSweeperForgetsAttempts after a day, when their codes are long dead.
func TestSweeperForgetsAttempts(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Clock.Advance(23 * time.Hour)
		k.sweep()
		k.attempt()
		k.Clock.Advance(2 * time.Hour)
		k.sweep()
		if n, err := k.DB.Ent.GrantAttempt.Query().Count(k.all()); err != nil || n != 0 {
			t.Errorf("%d attempts, %v", n, err)
		}
		if row := k.Row(t, c.ID); row == nil {
			t.Error("the connection went with its attempt")
		}
	})
}

// TestSweeperDoesEachTenantsWork in that tenant, and one that fails holds up no other.
func TestSweeperDoesEachTenantsWork(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		other := k.Tenant(t, "other")
		mine, theirs := k.Connect(t, k.one, "ann"), k.Connect(t, other, "bob")
		k.Vault.Before("EraseRecord", servicetest.Fail(errUnsent))
		k.delete(mine.ID)
		if err := k.Connections.Delete(other.Ctx, theirs.ID); err != nil {
			t.Fatal(err)
		}
		k.Vault.Before("EraseRecord", servicetest.Times(1, servicetest.Fail(errUnsent)))
		swept, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(t.Context())
		if err == nil || swept.Erasures != 1 || swept.Revocations != 2 {
			t.Errorf("got %+v, %v", swept, err)
		}
		if got := k.jobs(revocationjob.StateDONE); got != 2 {
			t.Errorf("%d jobs are done", got)
		}
		if got := k.sweep(); got.Erasures != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestSweeperIsNotHeldUp: while one revocation hangs, the others and the other kinds of work are done.
func TestSweeperIsNotHeldUp(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.Vault.Before("EraseRecord", servicetest.Times(3, servicetest.Fail(errUnsent)))
		for _, name := range []string{"ann", "bob", "cyd"} {
			k.delete(k.Connect(t, k.one, name).ID)
		}
		gate, sent := servicetest.NewGate(), make(chan struct{}, 3)
		k.OAuth.Before("Revoke", servicetest.Times(1, gate.Hook))
		k.OAuth.After("Revoke", func(context.Context) error { sent <- struct{}{}; return nil })
		erased := make(chan struct{}, 3)
		k.Vault.After("EraseRecord", func(context.Context) error { erased <- struct{}{}; return nil })
		wait := async(func() (grant.Swept, error) { return grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(t.Context()) })
		<-gate.Arrived
		for range 2 {
			<-sent
		}
		for range 3 {
			<-erased
		}
		gate.Open()
		if swept, err := wait(); err != nil || swept != (grant.Swept{Erasures: 3, Revocations: 3}) {
			t.Errorf("got %+v, %v", swept, err)
		}
	})
}
