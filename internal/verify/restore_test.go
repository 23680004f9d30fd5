package verify_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/verify"
)

// The rows of the design's restore table: a copy is taken, life goes on, the copy is put back.

func TestNothingToFind(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.refresh(c)
		gone := k.Connect(t, k.one, "bob")
		if err := k.Connections.Delete(k.one.Ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		k.clean()
		_, summary, err := k.runOn(k.Service, true)
		if want := (verify.Summary{Tenants: 1, Connections: 1, Records: 1}); err != nil || summary != want {
			t.Errorf("got %+v, %v, want %+v", summary, err, want)
		}
		k.lives(c.ID, 2)
	})
}

// TestOlderDatabaseNewerRecord: the row is brought up to the record, and nothing is spent.
func TestOlderDatabaseNewerRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		restore := k.backUpDatabase()
		k.refresh(c)
		k.refresh(c)
		restore()
		k.repairs(verify.RowBehind)
		k.rotations(2)
		k.lives(c.ID, 3)
	})
}

// TestOlderDatabaseNewerConsent: the time of the consent comes back, too; it decides who superseded whom.
func TestOlderDatabaseNewerConsent(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		before := k.connect()
		restore := k.backUpDatabase()
		again := k.Connect(t, k.one, user)
		restore()
		// A reader is first: it brings the row up to the set.
		if _, err := k.Connections.Keeper().Open(k.one.Ctx, k.Row(t, before.ID)); err != nil {
			t.Fatal(err)
		}
		k.repairs(verify.RowBehind)
		row := k.lives(before.ID, 2)
		if before.ID != again.ID || !row.ConsentedAt.Equal(again.ConsentedAt) {
			t.Errorf("got a consent at %v, want %v", row.ConsentedAt, again.ConsentedAt)
		}
	})
}

// TestOlderDatabaseRecordWithoutRow: the row is rebuilt under its id.
func TestOlderDatabaseRecordWithoutRow(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		restore := k.backUpDatabase()
		want := k.connect()
		restore()
		k.repairs(verify.RowMissing)
		k.rotations(0)
		got := k.Row(t, want.ID)
		for name, same := range map[string]bool{
			"app": got.AppID == want.AppID, "provider": got.Provider == want.Provider, "client": got.ClientID == want.ClientID,
			"grant key": got.GrantKey == want.GrantKey, "kind": got.Kind == want.Kind, "grant type": got.GrantType == want.GrantType,
			"user": *got.ExternalUserID == *want.ExternalUserID, "account": *got.ExternalAccountID == *want.ExternalAccountID,
			"email": *got.ExternalEmail == *want.ExternalEmail, "scopes": len(got.Scopes) == len(want.Scopes),
			"consent": got.ConsentedAt.Equal(want.ConsentedAt), "creation": got.CreatedAt.Equal(want.CreatedAt),
			"expiry": got.AccessTokenExpiresAt.Equal(*want.AccessTokenExpiresAt), "next refresh": got.NextRefreshAt.Equal(*want.NextRefreshAt),
			"life": got.AccessTokenLife == want.AccessTokenLife, "tenant": got.TenantID == want.TenantID,
		} {
			if !same {
				t.Errorf("%s differs: got %+v, want %+v", name, got, want)
			}
		}
		if last := k.lastEvent(want.ID); last != "CONNECTION_CREATED" {
			t.Errorf("the last event is %s", last)
		}
		k.lives(want.ID, 1)
	})
}

// TestRowLostAlone: the events are still there; their numbers go on.
func TestRowLostAlone(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.exec("DELETE FROM connections")
		k.repairs(verify.RowMissing)
		if last := k.lastEvent(c.ID); last != "CONNECTION_CREATED" {
			t.Errorf("the last event is %s", last)
		}
		k.lives(c.ID, 1)
	})
}

// TestOlderDatabaseAppMissing: nothing can be made of the record, and it is left.
func TestOlderDatabaseAppMissing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.connect()
		k.exec("DELETE FROM connections")
		restore := k.backUpDatabase()
		k.exec("DELETE FROM oauth_apps")
		k.kinds(k.run(true), false, verify.AppMissing)
		k.kinds(k.run(true), false, verify.AppMissing)
		restore()
		k.repairs(verify.RowMissing)
	})
}

// TestOlderDatabaseUserTaken: the user has connected again since, under another id.
func TestOlderDatabaseUserTaken(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		restore := k.backUpDatabase()
		k.connect()
		restore()
		second := k.connect()
		k.kinds(k.run(true), false, verify.UserTaken)
		k.lives(second.ID, 1)
	})
}

// TestRebuiltButSuperseded: the same user consented later in another tenant, which ended the rebuilt grant.
func TestRebuiltButSuperseded(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.exec("DELETE FROM connections")
		other := k.Tenant(t, "other")
		later := k.Connect(t, other, user)
		k.repairs(verify.RowMissing)
		k.over(c.ID, "SUPERSEDED")
		if row := k.Row(t, later.ID); row.State != "CONNECTED" {
			t.Errorf("the newer consent's connection is %s", row.State)
		}
	})
}

// TestOlderVaultDeletedConnection: the tombstone says that the record is to be destroyed.
func TestOlderVaultDeletedConnection(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		restore := k.backUpVault()
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		restore()
		k.repairs(verify.RecordDeleted)
		k.erased(c)
		if k.Row(t, c.ID) != nil {
			t.Error("a deleted connection came back")
		}
	})
}

// TestStoredAfterDeletion: a token set that came too late for its connection is revoked and destroyed.
func TestStoredAfterDeletion(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		restore := k.backUpDatabase()
		k.refresh(c)
		restore()
		k.exec("DELETE FROM connections")
		if err := k.DB.Ent.Tombstone.Create().SetID(c.ID).SetGeneration(1).SetErasedAt(k.Clock.Now()).Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		k.repairs(verify.RecordDeletedLater)
		k.erased(c)
		if n := k.DB.Ent.RevocationJob.Query().Where(revocationjob.ConnectionID(c.ID)).CountX(k.all()); n != 1 {
			t.Errorf("%d revocation jobs, want 1", n)
		}
	})
}

// erased fails unless the record is destroyed.
func (k *kit) erased(c *ent.Connection) {
	k.t.Helper()
	if _, _, err := k.Vault.ReadRecord(k.t.Context(), k.ref(c.ID)); !errors.Is(err, vault.ErrErased) {
		k.t.Errorf("reading the record: got %v, want ErrErased", err)
	}
}

// TestOlderVaultRowWithoutRecord: there is nothing to spend.
func TestOlderVaultRowWithoutRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		restore := k.backUpVault()
		c := k.connect()
		restore()
		k.repairs(verify.RecordMissing)
		k.over(c.ID, "RECORD_MISSING")
		again := k.Connect(t, k.one, user)
		if again.ID != c.ID {
			t.Error("a new consent did not renew the connection")
		}
		k.clean()
		k.lives(c.ID, 2)
	})
}

// TestManyRecordsMissing: a repair goes by the holds, as the service does. Below the threshold connections end, from there on
// they are kept until an operator confirms.
func TestManyRecordsMissing(t *testing.T) {
	eachWith(t, servicetest.Options{Holds: hold.Policy{Minimum: 3}}, func(t *testing.T, k *kit) {
		restore := k.backUpVault()
		for _, name := range []string{"ada", "bob", "cy", "dan", "eve"} {
			k.Connect(t, k.one, name)
		}
		k.Clock.Advance(time.Minute)
		restore()
		operator := tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true})
		if repaired, held := count(k.run(true)); repaired != 2 || held != 3 {
			t.Fatalf("%d were repaired and %d held, want 2 and 3", repaired, held)
		}
		if repaired, held := count(k.run(true)); repaired != 0 || held != 3 {
			t.Errorf("again: %d were repaired and %d held, want 0 and 3", repaired, held)
		}
		if seen, err := k.Holds.ConfirmRollback(operator); err != nil || seen.Kept != 3 || seen.Stopped != 3 {
			t.Fatalf("got %+v, %v: want a hold that keeps 3", seen, err)
		}
		if repaired, held := count(k.run(true)); repaired != 3 || held != 0 {
			t.Errorf("confirmed: %d were repaired and %d held, want 3 and 0", repaired, held)
		}
		k.clean()
	})
}

// count counts what was repaired and what was held of the findings.
func count(all []verify.Finding) (repaired, held int) {
	for _, f := range all {
		if f.Repaired {
			repaired++
		}
		if f.Held {
			held++
		}
	}
	return repaired, held
}

func TestRecordThatDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		record, cas, err := k.Vault.ReadRecord(t.Context(), k.ref(c.ID))
		if err != nil {
			t.Fatal(err)
		}
		record.Ciphertext[len(record.Ciphertext)-1]++
		if _, err := k.Vault.WriteRecord(t.Context(), k.ref(c.ID), record, cas); err != nil {
			t.Fatal(err)
		}
		// Without row or tombstone nobody can say whose it is.
		if _, err := k.Vault.WriteRecord(t.Context(), k.ref(id.New()), record, 0); err != nil {
			t.Fatal(err)
		}
		k.finds(verify.RecordUnreadable, verify.RecordStray)
		found := k.run(true)
		if len(found) != 2 || !found[0].Repaired || found[1].Repaired {
			t.Errorf("got %+v", found)
		}
		k.over(c.ID, "RECORD_UNREADABLE")
		k.finds(verify.RecordStray)
	})
}

// TestOlderVaultOlderRecord is reported and left: one try is made by the next refresh, and a refusal is named; the end waits
// for an operator (internal/hold has the rest).
func TestOlderVaultOlderRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		restore := k.backUpVault()
		k.refresh(c)
		restore()
		found := k.finds(verify.RolledBack)
		if found[0].Stored != 1 || found[0].Row != 2 || found[0].Mendable {
			t.Errorf("got %+v", found[0])
		}
		k.kinds(k.run(true), false, verify.RolledBack)
		if row := k.Row(t, c.ID); row.State != "CONNECTED" || row.Generation != 2 {
			t.Errorf("verify changed the row: %+v", row)
		}
		k.rotations(1)
		out, err := k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: 2})
		if err != nil || out.Verdict == nil || out.Verdict.Reason != "STORE_ROLLED_BACK" {
			t.Fatalf("got %+v, %v", out, err)
		}
		k.finds(verify.RolledBack)
		if _, err := k.Holds.ConfirmRollback(servicetest.Operator(t, uuid.Nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: 2, Now: true}); err != nil {
			t.Fatal(err)
		}
		k.over(c.ID, "STORE_ROLLED_BACK")
		k.clean()
	})
}

// TestDestroyedTenantKey: the tenant stays deleted, whatever an older database says.
func TestDestroyedTenantKey(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.connect()
		if err := k.Vault.DestroyKey(t.Context(), k.one.ID); err != nil {
			t.Fatal(err)
		}
		k.kinds(k.run(true), false, verify.TenantKeyMissing)
		k.finds(verify.TenantKeyMissing)
	})
}

// TestOtherTenantsAreLeftAlone: one tenant's faults are found under its name, and --tenant looks at no other.
func TestOtherTenantsAreLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		other := k.Tenant(t, "other")
		c := k.Connect(t, other, "bob")
		k.exec("DELETE FROM connections")
		v := verify.New(verify.Options{DB: k.DB, Vault: k.Vault, Connections: k.Connections, Repair: true})
		if s, err := v.Run(servicetest.Operator(t, c.AppID), k.one.ID); err == nil {
			t.Errorf("inside a tenant: got %+v, want FORBIDDEN", s)
		}
		if s, err := v.Run(servicetest.Operator(t, [16]byte{}), k.one.ID); err != nil || s.Findings != 0 || s.Tenants != 1 {
			t.Errorf("the first tenant: got %+v, %v", s, err)
		}
		if s, err := v.Run(servicetest.Operator(t, [16]byte{}), id.New()); err == nil {
			t.Errorf("no tenant: got %+v, want NOT_FOUND", s)
		}
		if s, err := v.Run(k.one.Ctx, k.one.ID); err == nil {
			t.Errorf("a tenant's key: got %+v, want FORBIDDEN", s)
		}
	})
}
