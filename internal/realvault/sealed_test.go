package realvault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// hoard is whatever is sealed under a tenant's key, with the place it belongs to: the copy that a thief has.
type hoard struct {
	records []vault.Record
	refs    []vault.Ref
	values  [][]byte
	places  []vault.Place
}

// furnish leaves one of each kind behind: records, an escrow, an app's two secrets, a parked answer, a revocation job.
func (w *world) furnish() {
	w.t.Helper()
	if _, err := w.Apps.Update(w.one.Ctx, app.UpdateInput{ID: w.one.App.ID, WebhookSecret: new(secret.New("a-webhook-secret-of-some-length"))}); err != nil {
		w.t.Fatal(err)
	}
	w.Connect(w.t, w.one, "alice")
	bob, carol := w.Connect(w.t, w.one, "bob"), w.Connect(w.t, w.one, "carol")
	away := errors.New("injected")
	w.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
	if a := w.refresh(bob); len(a.Errors) != 0 {
		w.t.Fatalf("refreshing into escrow: got %s", a.body)
	}
	w.Vault.Before("WriteRecord", nil)
	w.OAuth.Before("Revoke", servicetest.Fail(away))
	if err := w.Connections.Delete(w.one.Ctx, carol.ID); err != nil {
		w.t.Fatal(err)
	}
	w.ZoomAPI.Before("Me", servicetest.Fail(away))
	if _, _, err := w.Connections.Create(w.one.Ctx, w.one.CodeInput(w.Consent(w.t, "dora"))); err == nil {
		w.t.Fatal("a consent of nobody known was connected")
	}
}

// collect copies everything that is sealed, from both stores.
func (w *world) collect() hoard {
	w.t.Helper()
	var h hoard
	all := tenant.System(w.t.Context(), uuid.Nil)
	owner := w.one.ID
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	ids, err := w.Vault.ListRecords(w.t.Context(), owner, uuid.Nil, 100)
	must(err)
	for _, one := range ids {
		ref := vault.Ref{Tenant: owner, Connection: one}
		if r, _, err := w.Vault.ReadRecord(w.t.Context(), ref); err == nil {
			h.records, h.refs = append(h.records, r), append(h.refs, ref)
		}
	}
	escrows, err := w.DB.Ent.Escrow.Query().All(all)
	must(err)
	for _, e := range escrows {
		var r vault.Record
		must(r.UnmarshalBinary(e.Record))
		h.records, h.refs = append(h.records, r), append(h.refs, vault.Ref{Tenant: owner, Connection: e.ID})
	}
	add := func(purpose vault.Purpose, object uuid.UUID, sealed []byte) {
		if len(sealed) > 0 {
			h.values, h.places = append(h.values, sealed), append(h.places, vault.Place{Tenant: owner, Purpose: purpose, Object: object})
		}
	}
	apps, err := w.DB.Ent.OAuthApp.Query().All(all)
	must(err)
	for _, a := range apps {
		add(vault.PurposeClientSecret, a.ID, a.ClientSecret)
		add(vault.PurposeWebhookSecret, a.ID, a.WebhookSecret)
	}
	attempts, err := w.DB.Ent.GrantAttempt.Query().All(all)
	must(err)
	for _, a := range attempts {
		add(vault.PurposeAnswer, a.ID, a.Answer)
	}
	jobs, err := w.DB.Ent.RevocationJob.Query().All(all)
	must(err)
	for _, j := range jobs {
		add(vault.PurposeRevocation, j.ID, j.Sealed)
	}
	return h
}

// opens tries everything under a tenant's name and returns what opened, and the errors of the rest.
func (h hoard) opens(ctx context.Context, v vault.Vault, as uuid.UUID) (opened int, failures []error) {
	note := func(err error) {
		if err == nil {
			opened++
		} else {
			failures = append(failures, err)
		}
	}
	for i, r := range h.records {
		_, err := vault.OpenRecord(ctx, v, vault.Ref{Tenant: as, Connection: h.refs[i].Connection}, r)
		note(err)
	}
	for i, sealed := range h.values {
		place := h.places[i]
		place.Tenant = as
		_, err := vault.Unseal(ctx, v, place, sealed)
		note(err)
	}
	return opened, failures
}

// TestNothingOpensWithoutTheKey copies everything that is sealed out of the database and KV: it opens under the tenant's
// key, under no other tenant's, in no other place, and not at all once the key is destroyed.
func TestNothingOpensWithoutTheKey(t *testing.T) {
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		server := servicetest.SharedVault(t)
		w := newWorld(t, url, server)
		w.furnish()
		stranger := w.Tenant(t, "stranger")
		h := w.collect()
		kinds := map[vault.Purpose]int{}
		for _, p := range h.places {
			kinds[p.Purpose]++
		}
		t.Logf("%d records, values %v", len(h.records), kinds)
		if len(h.records) != 3 || kinds[vault.PurposeClientSecret] != 2 || kinds[vault.PurposeWebhookSecret] != 1 || kinds[vault.PurposeAnswer] != 1 || kinds[vault.PurposeRevocation] != 1 {
			t.Errorf("got %d records and %v, want two of connections and one in escrow, and each kind of value", len(h.records), kinds)
		}
		// The stranger's own app secret is the one thing that is not the tenant's.
		mine, all := len(h.records)+len(h.values)-1, len(h.records)+len(h.values)
		if opened, failures := h.opens(t.Context(), w.Vault, w.one.ID); opened != mine {
			t.Errorf("under its own key %d of %d open: %v", opened, mine, failures)
		}
		if opened, _ := h.opens(t.Context(), w.Vault, stranger.ID); opened != 1 {
			t.Errorf("under another tenant's key %d open, want its own app's secret alone", opened)
		}
		moved := h
		moved.refs, moved.places = append([]vault.Ref(nil), h.refs...), append([]vault.Place(nil), h.places...)
		for i := range moved.refs {
			moved.refs[i].Connection = uuid.New()
		}
		for i := range moved.places {
			moved.places[i].Object = uuid.New()
		}
		if opened, _ := moved.opens(t.Context(), w.Vault, w.one.ID); opened != 0 {
			t.Errorf("%d open in a place that is not theirs", opened)
		}
		if err := w.Vault.DestroyKey(t.Context(), w.one.ID); err != nil {
			t.Fatal(err)
		}
		thief := server.Open(t) // with nothing in memory
		opened, failures := h.opens(t.Context(), thief, w.one.ID)
		if opened != 0 || len(failures) != all {
			t.Errorf("%d of %d open without the key", opened, all)
		}
		for _, err := range failures {
			if !errors.Is(err, vault.ErrNoKey) {
				t.Errorf("got %v, want that there is no key", err)
			}
		}
	})
}
