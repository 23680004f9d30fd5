package grant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// dieAfterTheWrite exchanges a code in a process that dies between the two writes.
func (k *kit) dieAfterTheWrite() {
	k.t.Helper()
	code := k.Consent(k.t, user)
	doomed := k.Process(k.t)
	doomed.Vault.After("WriteRecord", doomed.CrashHook)
	if _, _, err := doomed.Connections.Create(k.one.Ctx, k.input(code)); err == nil {
		k.t.Fatal("the process survived")
	}
	k.ExpireLocks(k.t)
}

// TestResumedAfterTheTokenExpired: the process died between the two writes, and nobody resumed the attempt before the
// access token expired. What is stored is not spent.
func TestResumedAfterTheTokenExpired(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.dieAfterTheWrite()
		k.Clock.Advance(5 * time.Hour)
		k.sweep()
		c, err := k.DB.Ent.Connection.Query().Only(k.all())
		if err != nil {
			t.Fatal(err)
		}
		k.safe(c, 1)
		k.rotations(0)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
	})
}

// TestResumedRenewalAfterTheTokenExpired: the same for a connection that exists, whose record nobody has read meanwhile.
func TestResumedRenewalAfterTheTokenExpired(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.dieAfterTheWrite()
		if got := k.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateEQ(grantattempt.StatePARKED)).OnlyX(k.all()); got.ConnectionID != c.ID {
			t.Errorf("the attempt names %s, want the connection that it renews", got.ConnectionID)
		}
		k.Clock.Advance(5 * time.Hour)
		k.sweep()
		k.safe(c, 2)
		k.rotations(0)
	})
}

// TestResumedAfterARefresh: what a dead process stored was found by a reader and refreshed since. The resumed attempt must
// not put its spent token over the one that lives.
func TestResumedAfterARefresh(t *testing.T) {
	for name, wait := range map[string]time.Duration{"its token lives": time.Minute, "its token expired": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				k.dieAfterTheWrite()
				out, err := k.refresh(c) // finds what was stored
				k.refreshed(out, err, 2)
				k.Clock.Advance(time.Second)
				out, err = k.refresh(k.Row(t, c.ID))
				k.refreshed(out, err, 3)
				k.Clock.Advance(wait)
				k.sweep()
				row := k.safe(c, 3)
				if row.Subject == nil || *row.Subject != "user-7" {
					t.Error("what the caller asked for is missing")
				}
				k.rotations(1)
				if n := k.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateNEQ(grantattempt.StateDONE)).CountX(k.all()); n != 0 {
					t.Errorf("%d attempts are not done", n)
				}
			})
		})
	}
}

// TestResumedAfterTheEnd: the user removed the app after a reader had found the set. A resumed attempt revives nothing.
func TestResumedAfterTheEnd(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.dieAfterTheWrite()
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(k.Row(t, c.ID)))
		k.Clock.Advance(11 * time.Minute)
		k.ended(k.refresh(k.Row(t, c.ID)))
		k.sweep()
		k.failing(c, connection.StateDISCONNECTED, "REVOKED")
	})
}

// TestResumedAfterTheDeletion: the connection that was to be renewed is deleted before the attempt is resumed. Its id is
// not used again.
func TestResumedAfterTheDeletion(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.Vault.Before("WriteRecord", doomed.CrashHook)
		_, _, _ = doomed.Connections.Create(k.one.Ctx, k.input(code))
		k.ExpireLocks(t)
		k.delete(c.ID)
		k.Clock.Advance(time.Minute)
		k.sweep()
		made, created, err := k.Connections.Create(k.one.Ctx, k.input(code))
		if err != nil || !created || made.ID == c.ID {
			t.Fatalf("got %+v, created %v, %v", made, created, err)
		}
		k.erased(c.ID)
		k.safe(made, 1)
	})
}

// TestOtherConsentWhileTheProviderIsDown: which of two consents works cannot be found out, so neither is dropped.
func TestOtherConsentWhileTheProviderIsDown(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		earlier := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.Vault.Before("WriteRecord", doomed.CrashHook)
		_, _, _ = doomed.Connections.Create(k.one.Ctx, k.input(earlier))
		k.ExpireLocks(t)
		k.Clock.Advance(time.Minute)
		k.Connect(t, k.one, user) // the later consent, which ended the earlier one
		down := &zoom.Error{Kind: zoom.KindUnavailable}
		k.ZoomAPI.Before("Me", servicetest.Fail(down))
		k.sweep()
		k.safe(c, 2)
		k.ZoomAPI.Before("Me", nil)
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.safe(c, 2)
	})
}

// TestLostAndFound: a process stands still until its attempt is called lost, and then its answer comes after all.
func TestLostAndFound(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		frozen := k.Process(t)
		frozen.OAuth.After("Exchange", func(context.Context) error {
			k.ExpireLocks(t)
			k.Clock.Advance(time.Minute)
			k.sweep()
			if got := k.attempt(); got.State != grantattempt.StateLOST {
				t.Errorf("got %s", got.State)
			}
			return nil
		})
		c, created, err := frozen.Connections.Create(k.one.Ctx, k.input(code))
		if err != nil || !created {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		same, created, err := k.Connections.Create(k.one.Ctx, k.input(code))
		if err != nil || !created || same.ID != c.ID {
			t.Errorf("the same call again: got %+v, created %v, %v", same, created, err)
		}
		if got := k.attempt(); got.State != grantattempt.StateDONE || got.ErrorKind != "" || got.ErrorMessage != "" || got.ErrorField != "" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestUnfinishableAttempt: the provider never says whose an answer is. That stands in nobody's way for longer than ten
// minutes, and ends after a day.
func TestUnfinishableAttempt(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, bob := k.connect(), k.Connect(t, k.one, "bob")
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointMe, Status: 500})
		if _, _, err := k.create(k.Service, k.Consent(t, "mallory")); err == nil {
			t.Fatal("the call succeeded")
		}
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.delete(bob.ID)
		k.failed(k.refresh(c))
		k.sweep()
		if got := k.job(); got.State != revocationjob.StatePENDING {
			t.Errorf("while the attempt may be bob's: got %s", got.State)
		}
		k.Clock.Advance(11 * time.Minute)
		k.ended(k.refresh(c))
		k.failing(c, connection.StateDISCONNECTED, "REVOKED")
		k.sweep()
		if got := k.job(); got.State != revocationjob.StateDONE {
			t.Errorf("got %s", got.State)
		}
		parked := k.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateEQ(grantattempt.StatePARKED)).OnlyX(k.all())
		k.Clock.Advance(24 * time.Hour)
		k.sweep()
		lost := k.DB.Ent.GrantAttempt.GetX(k.all(), parked.ID)
		if lost.State != grantattempt.StateLOST || lost.Answer != nil {
			t.Errorf("got %s after a day", lost.State)
		}
		if got := k.Ledger("mallory"); got[len(got)-1].Status != zoomsim.GrantLive {
			t.Error("a revocation that may end another grant of the user's was made")
		}
	})
}

// TestUnfinishableAttemptIsRevoked where a revocation ends nothing but the grant itself.
func TestUnfinishableAttemptIsRevoked(t *testing.T) {
	alone := func(p *provider.Provider) { p.ConsentEndsOlderGrant, p.RevocationEndsGrant = false, false }
	eachWith(t, servicetest.Options{Change: alone}, func(t *testing.T, k *kit) {
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointMe, Status: 500})
		if _, _, err := k.create(k.Service, k.Consent(t, user)); err == nil {
			t.Fatal("the call succeeded")
		}
		k.Clock.Advance(25 * time.Hour)
		k.sweep()
		k.sweep()
		if got := k.attempt(); got.State != grantattempt.StateLOST {
			t.Errorf("got %s", got.State)
		}
		if got := k.ledger(); got.Status != zoomsim.GrantEnded {
			t.Errorf("the grant is %s", got.Status)
		}
	})
}

// TestParkedOverAnOutageOfDays: a day that nobody was there to finish in is no reason to give up.
func TestParkedOverAnOutageOfDays(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.ZoomAPI.Before("Me", doomed.CrashHook)
		_, _, _ = doomed.Connections.Create(k.one.Ctx, k.input(code))
		k.ExpireLocks(t)
		k.Clock.Advance(72 * time.Hour)
		k.sweep()
		k.safe(k.DB.Ent.Connection.Query().OnlyX(k.all()), 1)
	})
}

// TestRetriesGrowApart: an attempt that cannot be finished is tried less and less often.
func TestRetriesGrowApart(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.ZoomAPI.Before("Me", servicetest.Fail(errors.Join(&zoom.Error{Kind: zoom.KindUnavailable})))
		if _, _, err := k.create(k.Service, k.Consent(t, user)); err == nil {
			t.Fatal("the call succeeded")
		}
		for _, test := range []struct {
			age   time.Duration // when an hour's sixty looks begin
			tries int
		}{{0, 4 * 4}, {2 * time.Hour, 6}} {
			k.Clock.Advance(test.age)
			before := k.ZoomAPI.Calls("Me")
			for range 240 {
				k.Clock.Advance(15*time.Second + time.Millisecond)
				k.sweep()
			}
			if got := k.ZoomAPI.Calls("Me") - before; got > 60+test.tries || got < test.tries-1 {
				t.Errorf("from an age of %v: tried %d times in an hour", test.age, got)
			}
		}
	})
}
