package grant_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// parkedAndExpired leaves a parked answer whose access token has expired.
func (k *kit) parkedAndExpired() {
	k.t.Helper()
	code := k.Consent(k.t, user)
	doomed := k.Process(k.t)
	doomed.ZoomAPI.Before("Me", doomed.CrashHook)
	if _, _, err := doomed.Connections.Create(k.one.Ctx, k.input(code)); err == nil {
		k.t.Fatal("the process survived")
	}
	k.ExpireLocks(k.t)
	k.Clock.Advance(5 * time.Hour)
}

// sent fails unless that many refreshes were sent.
func (k *kit) sent(want int) {
	k.t.Helper()
	if got := k.OAuth.Calls("Refresh"); got != want {
		k.t.Errorf("%d refreshes were sent, want %d", got, want)
	}
}

// connected fails unless there is one connection, with what lives at the provider.
func (k *kit) connected() {
	k.t.Helper()
	c, err := k.DB.Ent.Connection.Query().Only(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	k.safe(c, 1)
}

// TestParkedAnswerIsSentAgainAtOnce: an old token that is simply refused costs nothing when it comes twice.
func TestParkedAnswerIsSentAgainAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.parkedAndExpired()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Drop: true})
		k.sweep()
		k.sent(2)
		k.connected()
	})
}

// TestParkedAnswerRests: where a token that comes twice ends its family the parked one rests after an unknown outcome, also
// when the process died that had sent it.
func TestParkedAnswerRests(t *testing.T) {
	for name, lose := range map[string]func(k *kit){
		"no answer": func(k *kit) {
			k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Drop: true})
			k.sweep()
			k.sent(1)
		},
		"the process dies": func(k *kit) {
			doomed := k.Process(k.t)
			doomed.OAuth.Before("Refresh", func(context.Context) error {
				_ = doomed.DB.Close() // nothing of what comes is stored
				return &oauth.Error{Outcome: oauth.Unknown}
			})
			_, _ = grant.NewSweeper(doomed.Connections.Keeper(), 0).RunOnce(k.t.Context())
			k.ExpireLocks(k.t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWith(t, reusing(provider.ReuseRevokesFamily), func(t *testing.T, k *kit) {
				k.parkedAndExpired()
				lose(k)
				before := k.OAuth.Calls("Refresh")
				k.Clock.Advance(50 * time.Second)
				k.sweep()
				k.sent(before)
				k.Clock.Advance(15 * time.Minute)
				k.sweep()
				k.sent(before + 1)
				k.connected()
			})
		})
	}
}

// TestRevocationRests: a provider that asks for time gets it while a revocation renews its copy. Where a token that comes
// twice ends its family it is sent again at once: that end is what the revocation is for.
func TestRevocationRests(t *testing.T) {
	for reuse, calls := range map[provider.ReuseBehaviour]int{provider.ReuseDead: 1, provider.ReuseRevokesFamily: 2} {
		t.Run(string(reuse), func(t *testing.T) {
			eachWith(t, reusing(reuse), func(t *testing.T, k *kit) {
				k.delete(k.connect().ID)
				k.Clock.Advance(2 * time.Hour)
				k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: calls, Status: 503, RetryAfter: "1200", Body: "{}"})
				k.sweep()
				k.sent(calls)
				if got := k.job().NextAttemptAt.Sub(k.Clock.Now()); got < 20*time.Minute {
					t.Errorf("the next attempt is in %v", got)
				}
				k.Clock.Advance(20 * time.Minute)
				k.sweep()
				if got := k.job(); got.State != revocationjob.StateDONE {
					t.Errorf("got %s, %s", got.State, got.Outcome)
				}
			})
		})
	}
}

// TestRevocationSparesTheSameConsent: a process died between the two writes of a renewal, "tokenkeep verify" brought the
// row up to the record, and the connection was deleted before the attempt was resumed. The new connection that is made of
// the parked answer has the very consent that the deletion's revocation would end.
func TestRevocationSparesTheSameConsent(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.dieAfterTheWrite()
		stored, err := k.Connections.Keeper().Inspect(k.one.Ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Connections.Reconcile(k.one.Ctx, c.ID, grant.Landed{Set: stored.Newest.Set, Generation: stored.Newest.Generation}); err != nil {
			t.Fatal(err)
		}
		k.delete(c.ID)
		if job, row := k.job(), stored.Newest.Set.Owner.ConsentedAt; !job.ConsentedAt.Equal(row) {
			t.Fatalf("the revocation is of the consent of %v, want that of %v", job.ConsentedAt, row)
		}
		for range 3 {
			k.Clock.Advance(time.Minute)
			k.sweep()
		}
		if got := k.job(); got.State != revocationjob.StateSKIPPED {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
		k.erased(c.ID)
		k.connected()
	})
}

// TestOrderBehindAnErasure: a record is ordered destroyed again just when the one before it was. The later order stands,
// though the earlier erasure is noted after it.
func TestOrderBehindAnErasure(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		stored, err := k.Connections.Keeper().Inspect(k.one.Ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		late := k.Process(t)
		late.Vault.Before("EraseRecord", servicetest.Fail(vault.ErrUnavailable))
		k.Vault.After("EraseRecord", once(func() {
			if err := late.Connections.Keeper().Disown(k.one.Ctx, stored); err == nil {
				t.Error("erased without a vault")
			}
		}))
		k.delete(c.ID)
		if tomb, err := k.DB.Ent.Tombstone.Get(k.all(), c.ID); err != nil || tomb.ErasedAt != nil {
			t.Errorf("got %+v, %v: want the order to stand", tomb, err)
		}
		if got := k.sweep(); got.Erasures != 1 {
			t.Errorf("got %+v, want one erasure", got)
		}
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.gone(c)
	})
}

// TestCrashBehindALateLanding: the connection was deleted while its escrow was landed, and the process dies at its next
// write into the vault. Nothing may be left there that nobody knows of.
func TestCrashBehindALateLanding(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		if _, err := k.refresh(c); err != nil {
			t.Fatal(err)
		}
		back()
		doomed := k.Process(t)
		doomed.Vault.Before("WriteRecord", once(func() {
			k.delete(c.ID)
			doomed.Vault.Before("WriteRecord", once(func() { doomed.Vault.After("WriteRecord", doomed.CrashHook) }))
		}))
		if _, err := k.refreshOn(doomed, c); err == nil {
			t.Error("a refresh of a deleted connection succeeded")
		}
		k.ExpireLocks(t)
		for range 2 {
			k.Clock.Advance(time.Minute)
			k.sweep()
		}
		k.gone(c)
	})
}
