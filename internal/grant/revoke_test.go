package grant_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// job is the one revocation job there is.
func (k *kit) job() *ent.RevocationJob {
	k.t.Helper()
	j, err := k.DB.Ent.RevocationJob.Query().Only(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	return j
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		if got := k.job(); got.State != revocationjob.StatePENDING || got.Sealed == nil {
			t.Errorf("got %+v", got)
		}
		if got := k.sweep(); got != (grant.Swept{Revocations: 1}) {
			t.Errorf("got %+v, want one revocation", got)
		}
		k.gone(c)
		if g := k.ledger(); g.EndedReason != zoomsim.EndedByRevoke {
			t.Errorf("ended by %s", g.EndedReason)
		}
		if got := k.sweep(); got != (grant.Swept{}) {
			t.Errorf("got %+v from a second sweep", got)
		}
	})
}

// TestRevokeSparesANewerGrant: at Zoom a revocation ends the user's whole grant, whichever tenant holds it.
func TestRevokeSparesANewerGrant(t *testing.T) {
	for _, test := range []struct {
		name    string
		reborn  func(k *kit) *ent.Connection
		skipped int
	}{
		{"same tenant", func(k *kit) *ent.Connection { return k.Connect(k.t, k.one, user) }, 1},
		{"other tenant", func(k *kit) *ent.Connection { return k.Connect(k.t, k.Tenant(k.t, "other"), user) }, 1},
		{"other user", func(k *kit) *ent.Connection { return k.Connect(k.t, k.one, "bob") }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				k.delete(c.ID)
				k.Clock.Advance(time.Second)
				reborn := test.reborn(k)
				k.sweep()
				if got := k.jobs(revocationjob.StateSKIPPED); got != test.skipped {
					t.Errorf("%d revocations were skipped, want %d", got, test.skipped)
				}
				if k.job().Sealed != nil {
					t.Error("the job keeps tokens")
				}
				if g := k.Ledger(*reborn.ExternalUserID); g[len(g)-1].Status != zoomsim.GrantLive {
					t.Errorf("the newer grant was ended: %s", g[len(g)-1].EndedReason)
				}
			})
		})
	}
}

// TestRevokeWaitsForAnExchange: a code that is being exchanged may turn out to be the same user's.
func TestRevokeWaitsForAnExchange(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		gate := servicetest.NewGate()
		k.ZoomAPI.Before("Me", gate.Hook)
		k.delete(c.ID)
		wait := async(func() (*ent.Connection, error) {
			made, _, err := k.Connections.Create(k.one.Ctx, k.one.CodeInput(code))
			return made, err
		})
		<-gate.Arrived
		k.sweep()
		if got := k.job(); got.State != revocationjob.StatePENDING {
			t.Errorf("got %s", got.State)
		}
		gate.Open()
		made, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(time.Minute)
		k.sweep()
		if got := k.job(); got.State != revocationjob.StateSKIPPED {
			t.Errorf("got %s", got.State)
		}
		k.safe(made, 1)
	})
}

// TestRevokeWithAnExpiredAccessToken: Zoom revokes by access token. It is renewed first, and the new one stored before
// it is used, so that a second try does not take the grant for an ended one.
func TestRevokeWithAnExpiredAccessToken(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		k.Clock.Advance(2 * time.Hour)
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, Count: 1, Status: 503, Body: "{}"})
		before := k.job()
		k.sweep()
		after := k.job()
		if after.State != revocationjob.StatePENDING || string(after.Sealed) == string(before.Sealed) || after.Attempts != 1 || !after.NextAttemptAt.After(k.Clock.Now()) {
			t.Errorf("got %+v", after)
		}
		k.sweep()
		k.rotations(1)
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.rotations(1)
		k.gone(c)
		if got := k.job(); got.State != revocationjob.StateDONE || got.Outcome != "revoked" {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
	})
}

// TestRevokeIsGivenUpAfterADay: the provider is down for longer than the copy may live.
func TestRevokeIsGivenUpAfterADay(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, Status: 503, Body: "{}"})
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Drop: true})
		for hours := 0; hours < 23; hours += 4 {
			k.sweep()
			if got := k.job(); got.State != revocationjob.StatePENDING || got.Sealed == nil {
				t.Fatalf("after %d hours: got %+v", hours, got)
			}
			k.Clock.Advance(4 * time.Hour)
		}
		k.Clock.Advance(time.Hour)
		k.sweep()
		if got := k.job(); got.State != revocationjob.StateEXPIRED || got.Sealed != nil || got.FinishedAt == nil || got.Attempts < 6 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestRevokeOfWhatIsOver: the user has removed the app meanwhile.
func TestRevokeOfWhatIsOver(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.sweep()
		k.gone(c)
		if got := k.job(); got.State != revocationjob.StateDONE || got.Outcome != "already ended" {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
	})
}

// TestRevokeNothing: there is no job where nothing can be revoked, or must not be.
func TestRevokeNothing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		over, superseded, lost := k.Connect(t, k.one, "over"), k.Connect(t, k.one, "twice"), k.Connect(t, k.one, "lost")
		k.Clock.Advance(time.Minute)
		k.Connect(t, k.Tenant(t, "other"), "twice")
		if _, err := k.Zoom.EndGrants("over", "", ""); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(over))
		k.Clock.Advance(time.Minute)
		k.ended(k.refresh(over))
		if err := k.Vault.EraseRecord(t.Context(), k.ref(lost)); err != nil {
			t.Fatal(err)
		}
		k.failing(superseded, connection.StateDISCONNECTED, "SUPERSEDED")
		for _, c := range []*ent.Connection{over, superseded, lost} {
			k.delete(c.ID)
			k.erased(c.ID)
		}
		if n, err := k.DB.Ent.RevocationJob.Query().Count(k.all()); err != nil || n != 0 {
			t.Errorf("%d jobs, %v", n, err)
		}
		if g := k.Ledger("twice"); g[len(g)-1].Status != zoomsim.GrantLive {
			t.Error("the other tenant's grant was ended")
		}
	})
}

// TestRevokeWaitsForTheLock: a refresh of the same grant may be under way.
func TestRevokeWaitsForTheLock(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.lockedBySomebody(c)
		k.delete(c.ID)
		k.sweep()
		if got := k.job(); got.State != revocationjob.StatePENDING {
			t.Errorf("got %s", got.State)
		}
		k.ExpireLocks(t)
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.gone(c)
	})
}

// TestRevokeWithoutVault: the copy cannot be opened for now; nothing is given up.
func TestRevokeWithoutVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		back := k.Vault.Away()
		if _, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(t.Context()); err == nil {
			t.Error("a sweep without a vault succeeded")
		}
		if got := k.job(); got.State != revocationjob.StatePENDING || got.Sealed == nil {
			t.Errorf("got %+v", got)
		}
		back()
		k.sweep()
		k.gone(c)
	})
}

// TestRevokeSparesAnOlderGrant: where a consent leaves the older grants alive and a revocation ends them all, another
// connection of the same user keeps the revocation from happening, also one that consented before.
func TestRevokeSparesAnOlderGrant(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		s := servicetest.New(t, url, servicetest.Options{Change: func(p *provider.Provider) {
			p.ConsentEndsOlderGrant = false
		}})
		k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
		if err := k.Zoom.SetSwitches(zoomsim.Switches{ConsentKeepsEarlierGrants: true}); err != nil {
			t.Fatal(err)
		}
		older := k.Connect(t, k.Tenant(t, "other"), user)
		k.Clock.Advance(time.Minute)
		newer := k.connect()
		k.delete(newer.ID)
		k.sweep()
		if got := k.job(); got.State != revocationjob.StateSKIPPED {
			t.Errorf("got %s", got.State)
		}
		if g := k.Ledger(user)[0]; g.Status != zoomsim.GrantLive {
			t.Errorf("the older grant was ended: %s", g.EndedReason)
		}
		if row := k.Row(t, older.ID); row.State != connection.StateCONNECTED {
			t.Errorf("got %s", row.State)
		}
	})
}

// TestRevokeKeepsTrying: what the provider says of the client is not the end of the job.
func TestRevokeKeepsTrying(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.delete(c.ID)
		for _, outcome := range []oauth.Outcome{oauth.AppMisconfigured, oauth.RateLimited, oauth.Unknown, oauth.Rejected} {
			k.OAuth.Before("Revoke", servicetest.Fail(&oauth.Error{Outcome: outcome}))
			k.sweep()
			if got := k.job(); got.State != revocationjob.StatePENDING {
				t.Errorf("%s: got %s", outcome, got.State)
			}
			k.Clock.Advance(2 * time.Minute)
		}
		k.OAuth.Before("Revoke", nil)
		k.sweep()
		k.gone(c)
	})
}

// TestErasureIsOrderedByTheTombstone: the process dies between the deletion and the erasure.
func TestErasureIsOrderedByTheTombstone(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.Before("EraseRecord", servicetest.Fail(vault.ErrUnavailable))
		k.delete(c.ID)
		if _, _, err := k.Vault.Vault.ReadRecord(t.Context(), k.ref(c)); err != nil {
			t.Fatalf("the record is gone already: %v", err)
		}
		k.Vault.Before("EraseRecord", nil)
		if got := k.sweep(); got.Erasures != 1 {
			t.Errorf("got %+v, want one erasure", got)
		}
		k.gone(c)
	})
}

// TestDeletedAroundARefresh: a refresh settles between the copy for the revocation and the deletion. What is revoked is
// what lives.
func TestDeletedAroundARefresh(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("NewDataKey", once(func() {
			k.Vault.After("NewDataKey", nil)
			k.Clock.Advance(2 * time.Hour)
			out, err := k.refresh(c)
			k.refreshed(out, err, 2)
		}))
		k.delete(c.ID)
		k.sweep()
		k.gone(c)
		if got := k.job(); got.State != revocationjob.StateDONE || got.Outcome != "revoked" {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
		if got := k.ledger(); got.EndedReason != zoomsim.EndedByRevoke {
			t.Errorf("ended by %s", got.EndedReason)
		}
	})
}

// TestRevocationLosesItsRefresh: the answer to the refresh of the job's own copy is lost. One retry may get the token; where
// it does not, a later refusal is not taken for the end of the grant.
func TestRevocationLosesItsRefresh(t *testing.T) {
	lost := servicetest.Fail(&oauth.Error{Outcome: oauth.Unknown})
	for _, test := range []struct {
		name    string
		lose    func(k *kit)
		state   revocationjob.State
		outcome string
	}{
		{"before anything happened", func(k *kit) { k.OAuth.Before("Refresh", servicetest.Times(1, lost)) }, revocationjob.StateDONE, "revoked"},
		{"after the provider rotated", func(k *kit) { k.OAuth.After("Refresh", servicetest.Times(1, lost)) }, revocationjob.StateEXPIRED, "unknown: refresh unanswered"},
		{"and the retry's, too", func(k *kit) { k.OAuth.After("Refresh", servicetest.Times(2, lost)) }, revocationjob.StateEXPIRED, "unknown: refresh unanswered"},
		{"and the retry never got there", func(k *kit) {
			k.OAuth.Before("Refresh", servicetest.Times(2, lost))
		}, revocationjob.StateDONE, "revoked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				k.delete(k.connect().ID)
				k.Clock.Advance(2 * time.Hour)
				test.lose(k)
				for range 3 {
					k.sweep()
					k.Clock.Advance(20 * time.Minute)
				}
				if got := k.job(); got.State != test.state || got.Outcome != test.outcome || got.Sealed != nil {
					t.Errorf("got %s, %q", got.State, got.Outcome)
				}
			})
		})
	}
}

// TestRevokeLooksAgain: a code is exchanged while the job renews its own copy. The revocation waits for it.
func TestRevokeLooksAgain(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		s := servicetest.New(t, url, servicetest.Options{Change: func(p *provider.Provider) { p.ConsentEndsOlderGrant = false }})
		k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
		if err := k.Zoom.SetSwitches(zoomsim.Switches{ConsentKeepsEarlierGrants: true}); err != nil {
			t.Fatal(err)
		}
		k.delete(k.connect().ID)
		k.Clock.Advance(2 * time.Hour)
		code, gate := k.Consent(t, user), servicetest.NewGate()
		var wait func() (*ent.Connection, error)
		k.OAuth.Before("Refresh", once(func() {
			k.ZoomAPI.After("Me", gate.Hook)
			wait = async(func() (*ent.Connection, error) { c, _, err := k.create(k.Service, code); return c, err })
			<-gate.Arrived
		}))
		k.sweep()
		if got := k.job(); got.State != revocationjob.StatePENDING {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
		gate.Open()
		made, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(time.Minute)
		k.sweep()
		if got := k.job(); got.State != revocationjob.StateSKIPPED {
			t.Errorf("got %s, %s", got.State, got.Outcome)
		}
		k.safe(made, 1)
	})
}
