package app_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := as(t, k.one, tenant.AppsWrite)
		a := k.create(t, ctx, zoom())
		if a.TenantID != k.one || a.Provider != "zoom" || a.Name != "Zoom" || a.ClientID != "client-1" || a.State != oauthapp.StateACTIVE ||
			!slices.Equal(a.RedirectUris, zoom().RedirectURIs) || !slices.Equal(a.ReturnTo, zoom().ReturnTo) ||
			!slices.Equal(a.Scopes, zoom().Scopes) || !a.CreatedAt.Equal(start) || !a.UpdatedAt.Equal(start) {
			t.Errorf("got %+v", a)
		}
		if a.ClientSecretKeyVersion != 1 || a.WebhookSecretKeyVersion != 1 ||
			bytes.Contains(a.ClientSecret, []byte("hush")) || bytes.Contains(a.WebhookSecret, []byte("hook")) {
			t.Error("the secrets are not sealed")
		}
		if got, want := k.WebhookURL(a), "https://tokens.example.com/webhooks/"+id.App.Format(a.ID); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := k.trail(t, k.one), []string{"app.create " + id.App.Format(a.ID)}; !slices.Equal(got, want) {
			t.Errorf("trail: got %v, want %v", got, want)
		}

		_, err := k.Create(ctx, zoom())
		fails(t, err, "CONFLICT: there is an app of Zoom with this clientId already; update that one (clientId)")
		k.create(t, as(t, k.other, tenant.AppsWrite), zoom()) // another tenant's may be the same client
	})
}

func TestCreateTheLeastThereCanBe(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a := k.create(t, admin(t, k.one), app.CreateInput{Provider: "api_key", ClientID: "Weather service"})
		if a.Name != "API key" || a.ClientSecret != nil || a.WebhookSecret != nil || a.RedirectUris == nil || a.Scopes == nil || a.ReturnTo == nil {
			t.Errorf("got %+v", a)
		}
		if c, err := k.Credentials(admin(t, k.one), a); err != nil || !c.ClientSecret.IsZero() || c.Provider.Key != "api_key" {
			t.Errorf("got %+v, %v", c, err)
		}
		k.create(t, admin(t, k.one), app.CreateInput{Provider: "public", ClientID: "spa"})
	})
}

func TestSharedApps(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		in := zoom()
		in.Shared = true
		for _, test := range []struct {
			ctx  context.Context
			want string
		}{
			{admin(t, k.one), "FORBIDDEN: only an operator may do this"},
			{inside(t, k.one), "FORBIDDEN: an operator does this outside of any tenant: leave out the header Tokenkeep-Tenant"},
			{t.Context(), "UNAUTHENTICATED: nobody is signed in: send an API key in the header Authorization"},
		} {
			_, err := k.Create(test.ctx, in)
			fails(t, err, test.want)
		}
		_, err := k.Create(operator(t), zoom())
		fails(t, err, "FORBIDDEN: an operator does this inside a tenant: name one in the header Tokenkeep-Tenant")

		a := k.create(t, operator(t), in)
		if a.TenantID != tenant.Operator {
			t.Errorf("it is filed under %v", a.TenantID)
		}
		for _, ctx := range []context.Context{admin(t, k.one), admin(t, k.other), inside(t, k.one), operator(t)} {
			seen, err := k.Get(ctx, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			c, err := k.Credentials(ctx, seen)
			if err != nil || !c.ClientSecret.Equal(in.ClientSecret) || c.ClientID != in.ClientID {
				t.Errorf("got %+v, %v", c, err)
			}
		}
		name := "x"
		const not = "FORBIDDEN: this app is shared by all tenants; only an operator changes it"
		for _, ctx := range []context.Context{admin(t, k.other), inside(t, k.other)} {
			_, err := k.Update(ctx, app.UpdateInput{ID: a.ID, Name: &name})
			fails(t, err, not)
			fails(t, k.Delete(ctx, a.ID), not)
		}
		object := id.App.Format(a.ID)
		want := []string{"app.update " + object + " refused", "app.delete " + object + " refused"}
		if got := k.trail(t, k.other); !slices.Equal(got, append(want, want...)) {
			t.Errorf("trail: got %v", got)
		}
		if _, err := k.Update(operator(t), app.UpdateInput{ID: a.ID, Name: &name}); err != nil {
			t.Error(err)
		}
		if err := k.Delete(operator(t), a.ID); err != nil {
			t.Error(err)
		}
	})
}

// inside returns a context in which an operator calls who acts in a tenant.
func inside(t *testing.T, whose uuid.UUID) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true, Tenant: whose})
}

func TestUpdate(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		a := k.create(t, ctx, zoom())
		system := tenant.System(t.Context(), k.one)
		misconfigure := k.db.Ent.OAuthApp.UpdateOneID(a.ID).SetState(oauthapp.StateMISCONFIGURED).SetFailureClass("APP_MISCONFIGURED").
			SetFailureReason("CLIENT_REJECTED").SetFailureMessage("no").SetFailureAttempts(3).SetFailureSince(start).SetFailureLastAt(start)
		if err := misconfigure.Exec(system); err != nil {
			t.Fatal(err)
		}
		k.now = start.Add(time.Hour)
		name, uris, none := "Mine", []string{"http://localhost:8080/cb"}, []string{}
		got, err := k.Update(ctx, app.UpdateInput{ID: a.ID, Name: &name, RedirectURIs: &uris, ReturnTo: &none})
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != name || !slices.Equal(got.RedirectUris, uris) || len(got.ReturnTo) != 0 || !slices.Equal(got.Scopes, zoom().Scopes) ||
			!got.UpdatedAt.Equal(k.now) || !got.CreatedAt.Equal(start) || got.State != oauthapp.StateMISCONFIGURED {
			t.Errorf("got %+v", got)
		}
		if c, err := k.Credentials(ctx, got); err != nil || !c.ClientSecret.Equal(zoom().ClientSecret) {
			t.Errorf("the client secret changed: %v", err)
		}

		text, empty := secret.New("newer"), secret.Text{}
		got, err = k.Update(ctx, app.UpdateInput{ID: a.ID, ClientSecret: &text, WebhookSecret: &empty})
		if err != nil {
			t.Fatal(err)
		}
		if got.State != oauthapp.StateACTIVE || got.FailureClass != "" || got.FailureReason != "" || got.FailureMessage != "" ||
			got.FailureAttempts != 0 || got.FailureSince != nil || got.FailureLastAt != nil || got.WebhookSecret != nil {
			t.Errorf("got %+v", got)
		}
		if c, err := k.Credentials(ctx, got); err != nil || !c.ClientSecret.Equal(text) {
			t.Errorf("the new client secret does not open: %v", err)
		}
		object := id.App.Format(a.ID)
		want := []string{"app.create " + object, "app.update " + object, "app.update " + object}
		if got := k.trail(t, k.one); !slices.Equal(got, want) {
			t.Errorf("trail: got %v, want %v", got, want)
		}
	})
}

func TestForeignAndAbsentAppsAreTheSame(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		theirs := k.create(t, admin(t, k.other), zoom()).ID
		name := "x"
		for what, do := range map[string]func(ctx context.Context, app uuid.UUID) error{
			"get":    func(ctx context.Context, u uuid.UUID) error { _, err := k.Get(ctx, u); return err },
			"delete": func(ctx context.Context, u uuid.UUID) error { return k.Delete(ctx, u) },
			"update": func(ctx context.Context, u uuid.UUID) error {
				_, err := k.Update(ctx, app.UpdateInput{ID: u, Name: &name})
				return err
			},
			"resolve": func(ctx context.Context, u uuid.UUID) error { _, err := k.Resolve(ctx, &u, ""); return err },
		} {
			for _, ctx := range []context.Context{admin(t, k.one), inside(t, k.one)} {
				foreign, absent := do(ctx, theirs), do(ctx, id.New())
				if !errs.Is(foreign, errs.NotFound) || foreign.Error() != absent.Error() {
					t.Errorf("%s: foreign %v, absent %v", what, foreign, absent)
				}
			}
		}
		for _, do := range []error{
			k.Delete(operator(t), theirs),
			func() error { _, err := k.Get(operator(t), theirs); return err }(),
		} {
			fails(t, do, "NOT_FOUND: there is no such app (id)")
		}
		if got := k.trail(t, k.one); len(got) != 0 {
			t.Errorf("the trail tells of %v", got)
		}
	})
}

func TestScopes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a := k.create(t, admin(t, k.one), zoom())
		reader, writer := as(t, k.one, tenant.ConnectionsRead), as(t, k.one, tenant.AppsWrite)
		if _, err := k.Get(reader, a.ID); err != nil {
			t.Error(err)
		}
		_, err := k.Get(writer, a.ID)
		fails(t, err, "FORBIDDEN: this API key lacks the scope CONNECTIONS_READ")
		const want = "FORBIDDEN: this API key lacks the scope APPS_WRITE"
		_, err = k.Create(reader, zoom())
		fails(t, err, want)
		_, err = k.Update(reader, app.UpdateInput{ID: a.ID})
		fails(t, err, want)
		fails(t, k.Delete(reader, a.ID), want)
		const nobody = "UNAUTHENTICATED: nobody is signed in: send an API key in the header Authorization"
		for _, err := range []error{
			k.Delete(t.Context(), a.ID),
			func() error { _, err := k.Get(t.Context(), a.ID); return err }(),
			func() error { _, err := k.Update(t.Context(), app.UpdateInput{ID: a.ID}); return err }(),
			func() error { _, err := k.Resolve(t.Context(), &a.ID, ""); return err }(),
			func() error { _, err := k.Credentials(t.Context(), a); return err }(),
		} {
			fails(t, err, nobody)
		}
	})
}

func TestWithoutTheVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a := k.create(t, admin(t, k.one), zoom())
		text := secret.New("newer")
		in := zoom()
		in.ClientID = "client-2"
		for _, test := range []struct {
			cause error
			want  errs.Kind
		}{
			{vault.ErrUnavailable, errs.VaultUnavailable}, {vault.ErrFull, errs.VaultUnavailable},
			{vault.ErrNoKey, errs.Internal}, {vault.ErrDenied, errs.VaultUnavailable},
		} {
			k.vault.fail = test.cause
			_, create := k.Create(admin(t, k.one), in)
			_, update := k.Update(admin(t, k.one), app.UpdateInput{ID: a.ID, ClientSecret: &text})
			_, open := k.Credentials(admin(t, k.one), a)
			for _, err := range []error{create, update, open} {
				if !errs.Is(err, test.want) {
					t.Errorf("%v: got %v", test.cause, err)
				}
			}
		}
		k.vault.fail = nil
		if c, err := k.Credentials(admin(t, k.one), a); err != nil || !c.ClientSecret.Equal(zoom().ClientSecret) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestARowThatSlippedThroughDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		theirs := k.create(t, admin(t, k.other), zoom())
		mine := k.create(t, admin(t, k.one), zoom())
		const want = "APP_MISCONFIGURED: the client secret of this app cannot be opened; enter it again with updateOAuthApp"
		_, err := k.Credentials(admin(t, k.one), theirs)
		fails(t, err, want)
		moved := *mine
		moved.ClientSecret = theirs.ClientSecret
		_, err = k.Credentials(admin(t, k.one), &moved)
		fails(t, err, want)
		swapped := *mine
		swapped.ClientSecret = mine.WebhookSecret
		_, err = k.Credentials(admin(t, k.one), &swapped)
		fails(t, err, want)
		claims := *theirs
		claims.TenantID = tenant.Operator
		if _, err = k.Credentials(admin(t, k.one), &claims); err == nil {
			t.Error("a row that claims to be shared opened")
		}
		gone := *mine
		gone.Provider = "gone"
		_, err = k.Credentials(admin(t, k.one), &gone)
		fails(t, err, "APP_MISCONFIGURED: the provider gone of this app is not in the catalogue of this installation")
		_, err = k.Credentials(tenant.System(t.Context(), uuid.Nil), mine)
		if !errs.Is(err, errs.Internal) {
			t.Errorf("the service on behalf of nobody: got %v", err)
		}
		if _, err = k.Credentials(tenant.System(t.Context(), k.one), mine); err != nil {
			t.Errorf("the service on behalf of the tenant: %v", err)
		}
	})
}
