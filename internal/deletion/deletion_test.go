package deletion_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/migrate"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/deletion"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestDeletion(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		records, secret := k.hoard()
		k.order(false)
		if _, err := k.Tenancy.Authenticate(t.Context(), k.one.Key); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a key of the suspended tenant: got %v, want UNAUTHENTICATED", err)
		}
		k.complete()
		k.gone()
		k.revoked()
		if !slices.Equal(k.forgotten, []uuid.UUID{k.one.ID}) {
			t.Errorf("memory was told to forget %v, want the tenant, once", k.forgotten)
		}
		for c, r := range records {
			if _, err := vault.OpenRecord(t.Context(), k.Vault, vault.Ref{Tenant: k.one.ID, Connection: c}, r); !errors.Is(err, vault.ErrNoKey) {
				t.Errorf("a copy of a record: got %v, want ErrNoKey", err)
			}
		}
		place := vault.Place{Tenant: k.one.ID, Purpose: vault.PurposeClientSecret, Object: k.one.App.ID}
		if _, err := vault.Unseal(t.Context(), k.Vault, place, secret); !errors.Is(err, vault.ErrNoKey) {
			t.Errorf("a copy of the client secret: got %v, want ErrNoKey", err)
		}
		want := map[string][]string{
			audit.TenantDelete: {"its grants are revoked at the providers before its key is destroyed"},
			audit.TenantErase:  {"the key was destroyed after the revocations; grants left unrevoked: 0"},
		}
		if diff := cmp.Diff(want, k.trail()); diff != "" {
			t.Errorf("the operator's trail (-want +got):\n%s", diff)
		}
		k.order(false) // the same answer, and nothing new
		if diff := cmp.Diff(want, k.trail()); diff != "" {
			t.Errorf("after a second call (-want +got):\n%s", diff)
		}
	})
}

func TestImmediately(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.order(true)
		k.complete()
		k.gone()
		if got := k.live(); got != users {
			t.Errorf("%d grants live at the provider, want all %d", got, users)
		}
		want := map[string][]string{
			audit.TenantDelete: {"immediately: its grants are not revoked at the providers"},
			audit.TenantErase:  {"the key was destroyed at once, as ordered; grants left unrevoked: 5"},
		}
		if diff := cmp.Diff(want, k.trail()); diff != "" {
			t.Errorf("the operator's trail (-want +got):\n%s", diff)
		}
	})
}

// TestTheTimeForRevocationsIsBounded: the provider does not take them.
func TestTheTimeForRevocationsIsBounded(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.OAuth.Before("Revoke", servicetest.Fail(errors.New("the provider is down")))
		k.order(false)
		for range 30 {
			if _, err := k.deleter.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.sweep()
			k.elapse()
		}
		if got := k.progress(); got.Phase != "REVOKE" {
			t.Fatalf("got %+v, want it to wait for revocations", got)
		}
		k.expire()
		k.complete()
		k.gone()
		if got := k.trail()[audit.TenantErase]; len(got) != 1 || !strings.HasSuffix(got[0], "was over; grants left unrevoked: 5") {
			t.Errorf("got %q", got)
		}
	})
}

// TestASecondCallMayHurry turns a deletion that waits into an immediate one.
func TestASecondCallMayHurry(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.order(false)
		if _, err := k.deleter.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.order(true)
		k.complete()
		k.gone()
		if got := k.trail()[audit.TenantErase]; len(got) != 1 || !strings.HasSuffix(got[0], "as ordered; grants left unrevoked: 3") {
			t.Errorf("got %q", got)
		}
	})
}

// TestAnInterruptedDeletionEnds fails each call in turn, before and after it did its work, and lets another process go on.
// An immediate deletion has the calls that erase records, which otherwise went with their connections.
func TestAnInterruptedDeletionEnds(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for _, after := range []bool{false, true} {
			for _, immediately := range []bool{false, true} {
				t.Run(fmt.Sprintf("call %d after %t immediately %t", n, after, immediately), func(t *testing.T) {
					eachEmbedded(t, func(t *testing.T, k *kit) { k.interrupted(n, after, immediately) })
				})
			}
		}
	}
}

func (k *kit) interrupted(n int, after, immediately bool) {
	k.order(immediately)
	k.interrupt(n, after)
	k.elapse()
	k.complete()
	k.gone()
	if !immediately {
		k.revoked()
	}
	if got := k.trail()[audit.TenantErase]; len(got) != 1 {
		k.t.Errorf("got %q, want one entry", got)
	}
}

// interrupt runs until the nth call has failed.
func (k *kit) interrupt(n int, after bool) {
	k.t.Helper()
	f := &steps{Vault: k.Vault, connections: k.Connections, n: n, after: after}
	s := k.on(f, f)
	for f.n > 0 {
		did, err := s.RunOnce(k.t.Context())
		if err != nil && !errors.Is(err, errInjected) {
			k.t.Fatal(err)
		}
		if did.Finished > 0 {
			k.t.Fatalf("the deletion makes fewer than %d calls", n)
		}
		k.sweep()
		k.elapse()
	}
}

// TestWhatWasUnderWayGoesToo: an authorization that began before the suspension ends after it.
func TestWhatWasUnderWayGoesToo(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		gate := servicetest.NewGate()
		k.OAuth.Before("Exchange", gate.Hook)
		done := make(chan error, 1)
		code := k.Consent(t, "late")
		go func() {
			_, _, err := k.Connections.Create(k.one.Ctx, k.one.CodeInput(code))
			done <- err
		}()
		<-gate.Arrived
		k.order(false)
		for range 20 {
			if _, err := k.deleter.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.elapse()
		}
		if got := k.progress(); got.Phase != "REVOKE" {
			t.Fatalf("got %+v, want it to wait for the authorization", got)
		}
		gate.Open()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		k.complete()
		k.gone()
		if all := k.Ledger("late"); len(all) != 1 || all[0].EndedReason != zoomsim.EndedByRevoke {
			t.Errorf("the late grant: got %+v, want it revoked", all)
		}
	})
}

func TestWhoMayDelete(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		if err := k.Tenancy.DeleteTenant(k.one.Ctx, k.one.ID, false); !errs.Is(err, errs.Forbidden) {
			t.Errorf("a tenant's key: got %v, want FORBIDDEN", err)
		}
		if err := k.Tenancy.DeleteTenant(servicetest.Operator(t, uuid.Nil), id.New(), false); !errs.Is(err, errs.NotFound) {
			t.Errorf("nobody's id: got %v, want NOT_FOUND", err)
		}
	})
}

// TestEveryTableIsCleared finds tables that somebody adds and forgets here.
func TestEveryTableIsCleared(t *testing.T) {
	for _, table := range migrate.Tables {
		for _, c := range table.Columns {
			if c.Name == "tenant_id" && !slices.Contains(deletion.Tables(), table.Name) {
				t.Errorf("the rows of %s stay when their tenant goes: add it to the tables", table.Name)
			}
		}
	}
}
