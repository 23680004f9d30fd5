package grant_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.safe(c, 1)
		for generation := int64(2); generation < 5; generation++ {
			out, err := k.refresh(k.Row(t, c.ID))
			k.refreshed(out, err, generation)
			row := k.safe(c, generation)
			if row.LastRefreshedAt == nil || !row.LastRefreshedAt.Equal(k.Clock.Now()) || !row.UpdatedAt.Equal(c.UpdatedAt) {
				t.Errorf("got refreshed at %v, updated at %v", row.LastRefreshedAt, row.UpdatedAt)
			}
			k.Clock.Advance(time.Hour)
		}
		k.rotations(3)
		if got := k.events(c.ID); !slices.Equal(got, []string{"CONNECTION_CREATED"}) {
			t.Errorf("an ordinary refresh is nobody's business: got %v", got)
		}
	})
}

func TestRefreshSpendsNothingWhereMoreIsStored(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		out, err = k.refresh(c) // as one who has not seen the second
		k.refreshed(out, err, 2)
		k.rotations(1)
		k.safe(c, 2)
	})
}

// TestRefreshTogether lets twenty callers in two processes want the same generation: the provider is called once.
func TestRefreshTogether(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		for round := range 3 {
			row := k.Row(t, c.ID)
			var group sync.WaitGroup
			var mu sync.Mutex
			got := map[int64]int{}
			for i := range 20 {
				group.Go(func() {
					out, err := k.refreshOn(processes[i%2], row)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case errors.Is(err, grant.ErrBusy):
						got[0]++
					case err != nil || out.Verdict != nil:
						t.Errorf("got verdict %+v, error %v", out.Verdict, err)
					default:
						got[out.Generation]++
					}
				})
			}
			group.Wait()
			want := row.Generation + 1
			if got[want] == 0 || got[0]+got[want] != 20 {
				t.Errorf("round %d: got %v, want some of generation %d and the rest busy", round, got, want)
			}
			k.rotations(round + 1)
			k.safe(c, want)
		}
	})
}

// TestRefreshIsNotCancelled ends the caller's context while the provider has the request.
func TestRefreshIsNotCancelled(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		hold := k.hold(zoomsim.AfterProcessing)
		ctx, cancel := context.WithCancel(k.one.Ctx)
		wait := async(func() (grant.Refreshed, error) {
			return k.Connections.Keeper().Refresh(ctx, c.ID, grant.Wanted{IfGeneration: 1})
		})
		<-hold.Arrived()
		cancel()
		if _, err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller waited on: %v", err)
		}
		hold.Release()
		if err := k.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.safe(c, 2)
		_, err := k.refresh(c)
		wantKind(t, err, errs.VaultUnavailable) // nothing begins while the service stops
	})
}

func TestDrainGivesUpWhenTold(t *testing.T) {
	k := &kit{Service: servicetest.New(t, servicetest.SQLite(t), servicetest.Options{}), t: t}
	k.one = k.Tenant(t, "one")
	c := k.connect()
	hold := k.hold(zoomsim.BeforeProcessing)
	wait := async(func() (grant.Refreshed, error) { return k.refresh(c) })
	<-hold.Arrived()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Connections.Keeper().Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	hold.Release()
	out, err := wait()
	k.refreshed(out, err, 2)
}

func TestRefreshOfNothing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		other := k.Tenant(t, "other")
		mine := k.Connect(t, k.one, "bob")
		if _, err := k.Connections.Keeper().Refresh(other.Ctx, mine.ID, grant.Wanted{}); !errors.Is(err, grant.ErrGone) {
			t.Errorf("of another tenant: got %v, want ErrGone", err)
		}
		if _, err := k.Connections.Keeper().Refresh(t.Context(), mine.ID, grant.Wanted{}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("of nobody: got %v", err)
		}
		k.rotations(0)
	})
}

// TestRefreshWithoutRefreshToken: the provider gave none, so the connection lives until its token expires.
func TestRefreshWithoutRefreshToken(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Omit: []string{"refresh_token"}})
		c := k.connect()
		if c.NextRefreshAt != nil {
			t.Errorf("the next refresh is due at %v", c.NextRefreshAt)
		}
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrNothingToSpend) {
			t.Errorf("got %v, want ErrNothingToSpend", err)
		}
		k.Clock.Advance(time.Hour)
		out, err := k.refresh(c)
		if err != nil || out.Verdict == nil || !out.Verdict.Disconnect {
			t.Errorf("got %+v, %v", out.Verdict, err)
		}
		k.failing(c, connection.StateDISCONNECTED, "EXPIRED")
		k.rotations(0)
	})
}

// TestRefreshKeepsWhatTheAnswerLeavesOut: a refresh token that was not replaced, scopes that are not named, a life that is
// not told, and unknown members.
func TestRefreshKeepsWhatTheAnswerLeavesOut(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		before, err := k.Connections.Keeper().Open(k.one.Ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Omit: []string{"refresh_token", "scope", "expires_in", "api_url"},
			Extra: map[string]any{"id_token": "unknown"}})
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		row := k.Row(t, c.ID)
		if !out.Set.RefreshToken.Equal(before.Set.RefreshToken) || !slices.Equal(out.Set.Scopes, before.Set.Scopes) ||
			!slices.Equal(row.Scopes, c.Scopes) || out.Set.APIURL != before.Set.APIURL {
			t.Errorf("got scopes %v at %s", out.Set.Scopes, out.Set.APIURL)
		}
		if want := k.Clock.Now().Add(time.Hour); !out.Set.ExpiresAt.Equal(want) {
			t.Errorf("expires at %v, want the provider's default, %v", out.Set.ExpiresAt, want)
		}
		opened, err := k.Connections.Keeper().Open(k.one.Ctx, row)
		if err != nil || string(opened.Set.Extra["id_token"]) != `"unknown"` || opened.Set.Owner != before.Set.Owner {
			t.Errorf("got %s of %+v, %v", opened.Set.Extra["id_token"], opened.Set.Owner, err)
		}
	})
}

// TestRefreshWithoutRecord: what is stored is gone, or does not open, or is too old.
func TestRefreshWithoutRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		for _, test := range []struct {
			user, reason string
			spoil        func(c *ent.Connection)
		}{
			{"erased", "RECORD_MISSING", func(c *ent.Connection) {
				if err := k.Vault.EraseRecord(t.Context(), k.ref(c)); err != nil {
					t.Fatal(err)
				}
			}},
			{"spoilt", "RECORD_UNREADABLE", func(c *ent.Connection) {
				k.rewrite(c, func(r vault.Record) vault.Record { r.Ciphertext[20] ^= 1; return r })
			}},
		} {
			c := k.Connect(t, k.one, test.user)
			test.spoil(c)
			out, err := k.refresh(c)
			if err != nil || out.Verdict == nil || !out.Verdict.Disconnect {
				t.Errorf("%s: got %+v, %v", test.user, out.Verdict, err)
			}
			k.failing(c, connection.StateDISCONNECTED, test.reason)
			if n := k.Locks(t); n != 0 {
				t.Errorf("%s: %d locks are left", test.user, n)
			}
			out, err = k.refresh(c)
			if err != nil || out.Verdict == nil || out.Verdict.Reason != test.reason {
				t.Errorf("%s again: got %+v, %v", test.user, out.Verdict, err)
			}
			if got := k.events(c.ID); !slices.Equal(got, []string{"CONNECTION_CREATED", "CONNECTION_DISCONNECTED"}) {
				t.Errorf("%s: got events %v", test.user, got)
			}
		}
		k.rotations(0)
	})
}

// rewrite changes the stored record, as one who can write into the vault.
func (k *kit) rewrite(c *ent.Connection, change func(vault.Record) vault.Record) {
	k.t.Helper()
	r, cas, err := k.Vault.Vault.ReadRecord(k.t.Context(), k.ref(c))
	if err == nil {
		_, err = k.Vault.Vault.WriteRecord(k.t.Context(), k.ref(c), change(r), cas)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// TestRefreshOfARestoredVault: the record is older than the row. The one try may work; where it is refused the end is held
// until an operator confirms it, and nothing is sent any more.
func TestRefreshOfARestoredVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		for _, test := range []struct {
			user  string
			lives bool
		}{{"lucky", true}, {"unlucky", false}} {
			c := k.Connect(t, k.one, test.user)
			old, _, err := k.Vault.Vault.ReadRecord(t.Context(), k.ref(c))
			if err != nil {
				t.Fatal(err)
			}
			if test.lives {
				err = k.DB.Ent.Connection.UpdateOneID(c.ID).SetGeneration(2).Exec(k.one.Ctx)
			} else {
				_, err = k.refresh(c)
				k.rewrite(c, func(vault.Record) vault.Record { return old })
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Connections.Keeper().Open(k.one.Ctx, k.Row(t, c.ID)); !errors.Is(err, grant.ErrRolledBack) {
				t.Errorf("%s: reading: got %v, want ErrRolledBack", test.user, err)
			}
			out, err := k.refresh(k.Row(t, c.ID))
			if test.lives {
				k.refreshed(out, err, 3)
				continue
			}
			if err != nil || out.Verdict == nil || !out.Verdict.Held {
				t.Errorf("got %+v, %v", out.Verdict, err)
			}
			k.failing(c, connection.StateCONNECTED, "STORE_ROLLED_BACK")
			if _, err := k.Holds.ConfirmRollback(servicetest.Operator(t, uuid.Nil)); err != nil {
				t.Fatal(err)
			}
			k.OAuth.Before("Refresh", servicetest.Fail(errors.New("a refused token was sent again")))
			out, err = k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: 2, Now: true})
			if err != nil || out.Verdict == nil || !out.Verdict.Disconnect || out.Verdict.HTTPStatus != 400 {
				t.Errorf("got %+v, %v", out.Verdict, err)
			}
			k.failing(c, connection.StateDISCONNECTED, "STORE_ROLLED_BACK")
		}
	})
}
