package grant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// until is when the one lock ends, on the database's clock, in milliseconds.
func (k *kit) until() int64 {
	k.t.Helper()
	l, err := k.DB.Ent.GrantLock.Query().Only(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	return l.UntilMs
}

// TestHeartbeat: a lock is extended while its owner works.
func TestHeartbeat(t *testing.T) {
	budgets := grant.Budgets{Provider: 200 * time.Millisecond, Commit: 100 * time.Millisecond, Lock: 2 * time.Second, Store: time.Minute}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		gate, other := servicetest.NewGate(), k.Process(t)
		k.Vault.Before("WriteRecord", gate.Hook)
		wait := async(func() (grant.Refreshed, error) { return k.refresh(c) })
		<-gate.Arrived
		for first := k.until(); k.until() < first+budgets.Lock.Milliseconds()/2; { // two beats
			if _, err := k.refreshOn(other, c); !errors.Is(err, grant.ErrBusy) {
				t.Fatalf("got %v, want ErrBusy", err)
			}
		}
		gate.Open()
		out, err := wait()
		k.refreshed(out, err, 2)
		k.safe(c, 2)
	})
}

// TestPanicLeavesNoHeartbeat: the lock is given up, and what it knew of the spend stays.
func TestPanicLeavesNoHeartbeat(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.OAuth.After("Refresh", servicetest.Times(1, func(context.Context) error { panic("on purpose") }))
		if _, err := k.refresh(c); err == nil {
			t.Fatal("it did not panic")
		}
		k.failed(k.refresh(c))
		k.failing(c, "CONNECTED", grant.ReasonInterrupted)
		for _, at := range []func(servicetest.Hook){
			func(h servicetest.Hook) { k.Vault.Before("NewDataKey", h) },
			func(h servicetest.Hook) { k.ZoomAPI.Before("Me", h) },
			func(h servicetest.Hook) { k.Vault.Before("WriteRecord", h) },
		} {
			at(servicetest.Times(1, func(context.Context) error { panic("on purpose") }))
			code := k.Consent(t, user)
			if _, _, err := k.create(k.Service, code); err == nil {
				t.Error("it did not panic")
			}
			if _, _, err := k.create(k.Service, code); err != nil {
				t.Errorf("the same call again: %v", err)
			}
			k.Clock.Advance(time.Minute)
		}
		k.safe(c, 4)
	})
}

// TestLockOfAClockThatWasAhead: who died while the database's clock was a year ahead does not keep the grant locked for a
// year; who lives keeps the lock.
func TestLockOfAClockThatWasAhead(t *testing.T) {
	eachWith(t, servicetest.Options{}, func(t *testing.T, k *kit) {
		c := k.connect()
		const year = 365 * 24 * time.Hour
		execute := func(query string, args ...any) {
			t.Helper()
			if _, err := k.DB.SQL().ExecContext(t.Context(), query, args...); err != nil {
				t.Fatal(err)
			}
		}
		execute("INSERT INTO grant_locks (grant_key, owner, until_ms, spending_generation) VALUES ($1, $2, $3, 1)",
			c.GrantKey, uuid.New(), time.Now().Add(year).UnixMilli())
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrBusy) {
			t.Fatalf("got %v, want ErrBusy", err)
		}
		if left := time.Until(time.UnixMilli(k.until())); left < 30*time.Second || left > 90*time.Second {
			t.Fatalf("the lock lasts for %v, want what an owner has to extend it", left)
		}
		execute("UPDATE grant_locks SET until_ms = 1") // it was not extended
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
	})
}
