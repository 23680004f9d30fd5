package grant_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// delete deletes the connection.
func (k *kit) delete(connectionID uuid.UUID) {
	k.t.Helper()
	if err := k.Connections.Delete(k.one.Ctx, connectionID); err != nil {
		k.t.Fatalf("deleting: %v", err)
	}
}

// gone fails unless nothing of the connection is left but its tombstone, and the provider has ended the grant.
func (k *kit) gone(c *ent.Connection) {
	k.t.Helper()
	if row := k.Row(k.t, c.ID); row != nil {
		k.t.Error("the row is there")
	}
	k.erased(c.ID)
	k.escrowed(0)
	tomb, err := k.DB.Ent.Tombstone.Get(k.all(), c.ID)
	if err != nil || tomb.ErasedAt == nil {
		k.t.Errorf("got tombstone %+v, %v", tomb, err)
	}
	for _, g := range k.Ledger(user) {
		if g.Status != zoomsim.GrantEnded {
			k.t.Errorf("the grant of generation %d lives on at the provider", g.Generation)
		}
	}
	left, err := k.DB.Ent.RevocationJob.Query().Where(revocationjob.Or(revocationjob.SealedNotNil(), revocationjob.StateEQ(revocationjob.StatePENDING))).Count(k.all())
	if err != nil || left != 0 {
		k.t.Errorf("%d revocation jobs are open or keep tokens, %v", left, err)
	}
	if n := k.Locks(k.t); n != 0 {
		k.t.Errorf("%d locks are left", n)
	}
}

// TestDeletedWhileRefreshing deletes the connection while the provider has the refresh, at every point of it. The new
// token is revoked, the record stays erased, and nothing comes back.
func TestDeletedWhileRefreshing(t *testing.T) {
	for _, test := range []struct {
		name string
		at   func(k *kit, remove func())
	}{
		{"before the head is read", func(k *kit, remove func()) { k.Vault.Before("ReadRecord", once(remove)) }},
		{"after the reserve", func(k *kit, remove func()) { k.Vault.After("NewDataKey", once(remove)) }},
		{"before the provider rotates", func(k *kit, remove func()) { k.OAuth.Before("Refresh", once(remove)) }},
		{"after the provider rotated", func(k *kit, remove func()) { k.OAuth.After("Refresh", once(remove)) }},
		{"before the write", func(k *kit, remove func()) { k.Vault.Before("WriteRecord", once(remove)) }},
		{"after the write", func(k *kit, remove func()) { k.Vault.After("WriteRecord", once(remove)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				other := k.Process(t)
				test.at(k, func() {
					if err := other.Connections.Delete(k.one.Ctx, c.ID); err != nil {
						t.Errorf("deleting: %v", err)
					}
				})
				if _, err := k.refresh(c); !errors.Is(err, grant.ErrGone) && !errors.Is(err, grant.ErrBusy) {
					t.Errorf("got %v, want ErrGone", err)
				}
				k.sweep()
				k.gone(c)
				if got := k.events(c.ID); !slices.Equal(got, []string{"CONNECTION_CREATED", "CONNECTION_DELETED"}) {
					t.Errorf("got events %v", got)
				}
			})
		})
	}
}

// once makes a hook of f that runs it the first time.
func once(f func()) func(context.Context) error {
	done := false
	return func(context.Context) error {
		if !done {
			done = true
			f()
		}
		return nil
	}
}

// TestDeletedBetweenWriteAndErasure: the deletion commits, the refresh's write lands, and only then is the record erased,
// by a process that dies before it can.
func TestDeletedBetweenWriteAndErasure(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		doomed := k.Process(t)
		doomed.Vault.Before("EraseRecord", func(context.Context) error { return vault.ErrUnavailable })
		k.Vault.Before("WriteRecord", once(func() {
			if err := doomed.Connections.Delete(k.one.Ctx, c.ID); err != nil {
				t.Errorf("deleting: %v", err)
			}
		}))
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		swept := k.sweep()
		if swept.Erasures != 1 || swept.Revocations != 2 {
			t.Errorf("got %+v, want one erasure and two revocations", swept)
		}
		k.sweep() // the erasure could not know that the set is revoked already, and ordered it once more
		k.gone(c)
	})
}

// TestDeletedWhileTheVaultIsAway: the refresh's answer finds neither a vault nor a connection. It is kept until it can be
// ordered to be revoked.
func TestDeletedWhileTheVaultIsAway(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		other := k.Process(t)
		arrived := make(chan struct{}, 1)
		k.OAuth.After("Refresh", once(func() {
			if err := other.Connections.Delete(k.one.Ctx, c.ID); err != nil {
				t.Errorf("deleting: %v", err)
			}
			k.Vault.Away()
			arrived <- struct{}{}
		}))
		wait := async(func() (grant.Refreshed, error) { return k.refresh(c) })
		<-arrived
		k.Vault.Away()()
		if _, err := wait(); !errors.Is(err, grant.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		k.sweep()
		k.gone(c)
	})
}

// TestDeletedWithAnEscrow: what waits for the vault goes, too, and its tokens are the ones that are revoked.
func TestDeletedWithAnEscrow(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		if _, err := k.refresh(c); err != nil {
			t.Fatal(err)
		}
		back()
		if err := k.Zoom.SetSwitches(zoomsim.Switches{RefreshEndsAccessToken: true}); err != nil {
			t.Fatal(err)
		}
		k.delete(c.ID)
		k.sweep()
		k.gone(c)
	})
}

// TestDeletedWhileLandingAnEscrow: a write that comes behind the erasure is undone.
func TestDeletedWhileLandingAnEscrow(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		if _, err := k.refresh(c); err != nil {
			t.Fatal(err)
		}
		back()
		other := k.Process(t)
		k.Vault.Before("ReadRecord", once(func() {
			if err := other.Connections.Delete(k.one.Ctx, c.ID); err != nil {
				t.Errorf("deleting: %v", err)
			}
			// A sweep may find the revocation at once. The lock is held by the landing: the revocation waits for it.
			if _, err := grant.NewSweeper(other.Connections.Keeper(), 0).RunOnce(t.Context()); err != nil {
				t.Errorf("sweeping: %v", err)
			}
		}))
		k.sweep()
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.gone(c)
	})
}

// TestRenewedWhileDeleted: the connection is deleted while its user consents again. The consent makes a new connection:
// the old record stays erased, and the new grant is not revoked with the old one.
func TestRenewedWhileDeleted(t *testing.T) {
	for _, test := range []struct {
		name string
		at   func(k *kit, remove func())
	}{
		{"before the head is read", func(k *kit, remove func()) { k.Vault.Before("ReadRecord", once(remove)) }},
		{"before the write", func(k *kit, remove func()) { k.Vault.Before("WriteRecord", once(remove)) }},
		{"after the write", func(k *kit, remove func()) { k.Vault.After("WriteRecord", once(remove)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				other := k.Process(t)
				test.at(k, func() {
					if err := other.Connections.Delete(k.one.Ctx, c.ID); err != nil {
						t.Errorf("deleting: %v", err)
					}
				})
				renewed, created, err := k.Connections.Create(k.one.Ctx, k.one.CodeInput(k.Consent(t, user)))
				if err != nil || !created || renewed.ID == c.ID {
					t.Fatalf("got %+v, created %v, %v", renewed, created, err)
				}
				for range 3 {
					k.sweep()
					k.Clock.Advance(time.Minute)
				}
				k.erased(c.ID)
				k.safe(renewed, 1)
				if got := k.jobs(revocationjob.StateSKIPPED); got != 1 {
					t.Errorf("%d revocations were skipped, want 1", got)
				}
			})
		})
	}
}

// TestDeletedWithAnUnknown: what was not known of a grant is forgotten with it.
func TestDeletedWithAnUnknown(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 2, Drop: true})
		k.failed(k.refresh(c))
		if n := k.Locks(t); n != 1 {
			t.Fatalf("%d locks, want the one that remembers", n)
		}
		k.delete(c.ID)
		k.sweep()
		k.gone(c)
	})
}
