package rewrap_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/migrate"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(7)
		attempt, job := k.parked()
		elsewhere := k.Connect(t, k.other, "eve")
		before := map[uuid.UUID]vault.Record{}
		for _, c := range all {
			before[c.ID] = k.record(c.ID)
		}
		if row := k.rotate(); row.KeyVersion != 2 || k.tenantRow().KeyVersion != 2 {
			t.Errorf("got key version %d, want 2", row.KeyVersion)
		}
		// 7 records, the client secret, an answer and a job.
		if did := k.run(); did.Rewrapped != 10 || did.Stale != 10 || did.Finished != 0 {
			t.Errorf("got %+v from the first pass, want 10 re-wrapped", did)
		}
		k.wantInfo(2, 1)
		if did := k.run(); did.Rounds != 0 {
			t.Errorf("got %+v before a lock's life is over, want nothing", did)
		}
		k.elapse()
		if did := k.run(); did.Checked != 10 || did.Stale != 0 || did.Finished != 1 {
			t.Errorf("got %+v from the second pass, want 10 checked and the end", did)
		}
		k.wantInfo(2, 2)
		if p := k.progress(); p.Target != 2 || p.Rewrapped != 10 || p.FinishedAt == nil {
			t.Errorf("got %+v", p)
		}
		for _, c := range all {
			k.untouched(before[c.ID], c)
		}
		k.columns(attempt, job)
		if err := k.refresh(all[0]); err != nil {
			t.Error(err)
		}
		if info, err := k.Vault.KeyInfo(t.Context(), k.other.ID); err != nil || info.Latest != 1 {
			t.Errorf("the other tenant's key is at %+v, %v", info, err)
		}
		if _, err := k.Connections.Keeper().Open(k.other.Ctx, elsewhere); err != nil {
			t.Error(err)
		}
	})
}

// untouched fails unless the record is what it was but for its key, opens, and its old copy does not.
func (k *kit) untouched(old vault.Record, c *ent.Connection) {
	k.t.Helper()
	now := k.record(c.ID)
	if now.Header != old.Header || string(now.Ciphertext) != string(old.Ciphertext) || now.Key.Version != 2 {
		k.t.Errorf("the record changed: %+v", now.Header)
	}
	k.opens(c)
	ref := vault.Ref{Tenant: k.one.ID, Connection: c.ID}
	if _, err := vault.OpenRecord(k.t.Context(), k.Vault, ref, old); !errors.Is(err, vault.ErrCorrupt) {
		k.t.Errorf("an old copy: got %v, want ErrCorrupt", err)
	}
}

// columns fails unless what the database holds opens and says its version.
func (k *kit) columns(attempt, job uuid.UUID) {
	k.t.Helper()
	ctx := k.one.System(k.t)
	a, err := k.DB.Ent.GrantAttempt.Get(ctx, attempt)
	if err != nil {
		k.t.Fatal(err)
	}
	j, err := k.DB.Ent.RevocationJob.Get(ctx, job)
	if err != nil {
		k.t.Fatal(err)
	}
	o, err := k.DB.Ent.OAuthApp.Get(ctx, k.one.App.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	if a.AnswerKeyVersion != 2 || j.KeyVersion != 2 || o.ClientSecretKeyVersion != 2 {
		k.t.Errorf("got key versions %d, %d, %d, want 2", a.AnswerKeyVersion, j.KeyVersion, o.ClientSecretKeyVersion)
	}
	for place, sealed := range map[vault.Place][]byte{
		{Purpose: vault.PurposeAnswer, Object: attempt}:            a.Answer,
		{Purpose: vault.PurposeRevocation, Object: job}:            j.Sealed,
		{Purpose: vault.PurposeClientSecret, Object: k.one.App.ID}: o.ClientSecret,
	} {
		place.Tenant = k.one.ID
		if _, err := vault.Unseal(k.t.Context(), k.Vault, place, sealed); err != nil {
			k.t.Errorf("%s: %v", place.Purpose, err)
		}
	}
}

// TestEveryKeyVersionIsASource finds columns that somebody adds and forgets here.
func TestEveryKeyVersionIsASource(t *testing.T) {
	known := rewrap.Columns()
	for _, table := range migrate.Tables {
		for _, c := range table.Columns {
			name := table.Name + "." + c.Name
			if strings.HasSuffix(c.Name, "key_version") && table.Name != "tenants" && !known[name] {
				t.Errorf("%s says a key's version and is not re-wrapped: add it to the sources", name)
			}
			delete(known, name)
		}
	}
	for name := range known {
		t.Errorf("%s is a source and no column", name)
	}
}

func TestWhoMayRotate(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		operator := servicetest.Operator(t, uuid.Nil)
		if _, err := k.Tenancy.RotateKey(k.one.Ctx, k.one.ID); !errs.Is(err, errs.Forbidden) {
			t.Errorf("a tenant's key: got %v, want FORBIDDEN", err)
		}
		if _, err := k.Tenancy.RotateKey(operator, id.New()); !errs.Is(err, errs.NotFound) {
			t.Errorf("nobody's id: got %v, want NOT_FOUND", err)
		}
		if err := k.Tenancy.RotateOperatorKey(operator); !errs.Is(err, errs.NotFound) {
			t.Errorf("without a shared app: got %v, want NOT_FOUND", err)
		}
	})
}

func TestTheOperatorsKeyRotates(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		operator := servicetest.Operator(t, uuid.Nil)
		shared, err := k.Apps.Create(operator, app.CreateInput{Shared: true, Provider: "zoom", ClientID: "shared",
			ClientSecret: secret.New("s1"), WebhookSecret: secret.New("s2"), RedirectURIs: []string{servicetest.RedirectURI}})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Tenancy.RotateOperatorKey(operator); err != nil {
			t.Fatal(err)
		}
		k.complete()
		row, err := k.DB.Ent.OAuthApp.Get(operator, shared.ID)
		if err != nil || row.ClientSecretKeyVersion != 2 || row.WebhookSecretKeyVersion != 2 {
			t.Fatalf("got %+v, %v, want both secrets under version 2", row, err)
		}
		if info, err := k.Vault.KeyInfo(t.Context(), tenant.Operator); err != nil || info.Min != 2 {
			t.Errorf("got %+v, %v, want minimum 2", info, err)
		}
		if opened, err := k.Apps.Credentials(k.one.Ctx, row); err != nil || opened.ClientSecret.Reveal() != "s1" {
			t.Errorf("the secret does not open: %v", err)
		}
	})
}
