package app_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// kit is a service on a fresh database and a fresh vault, with two tenants.
type kit struct {
	*app.Service
	db         *database.DB
	vault      *faultyVault
	one, other uuid.UUID
	now        time.Time
}

// each runs the test on every database.
func each(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		k := &kit{db: servicetest.OpenDatabase(t, url), vault: &faultyVault{Vault: openVault(t)}, now: start}
		k.one, k.other = k.tenant(t, "one"), k.tenant(t, "other")
		k.Service = app.New(app.Options{
			DB: k.db, Keys: k.vault, Providers: catalogue(), PublicURL: "https://tokens.example.com",
			Now: func() time.Time { return k.now },
		})
		t.Cleanup(k.Close)
		test(t, k)
	})
}

// catalogue has the built-in providers and two plain ones: a public client is possible with the first only.
func catalogue() *provider.Catalogue {
	code := []provider.GrantType{provider.AuthorizationCode}
	return provider.Builtin().With(
		provider.Provider{Key: "public", Name: "Public", GrantTypes: code, SupportsPKCE: true},
		provider.Provider{Key: "plain", Name: "Plain", GrantTypes: code},
	)
}

func openVault(t *testing.T) vault.Vault {
	t.Helper()
	root := secret.NewBytes(bytes.Repeat([]byte{7}, 32))
	v, err := embedded.Open(t.Context(), embedded.Options{Path: filepath.Join(t.TempDir(), "vault"), RootKey: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// faultyVault fails on demand.
type faultyVault struct {
	vault.Vault
	fail error
	// unwraps counts the calls of UnwrapDataKeys.
	unwraps int
}

func (f *faultyVault) NewDataKey(ctx context.Context, t uuid.UUID) (vault.DataKey, error) {
	if f.fail != nil {
		return vault.DataKey{}, f.fail
	}
	return f.Vault.NewDataKey(ctx, t)
}

func (f *faultyVault) UnwrapDataKeys(ctx context.Context, t uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	f.unwraps++
	if f.fail != nil {
		return nil, f.fail
	}
	return f.Vault.UnwrapDataKeys(ctx, t, wrapped)
}

func (k *kit) tenant(t *testing.T, name string) uuid.UUID {
	t.Helper()
	made, err := k.db.Ent.Tenant.Create().SetName(name).Save(operator(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.vault.CreateKey(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// as returns a context in which a key of the tenant calls.
func as(t *testing.T, whose uuid.UUID, scopes ...tenant.Scope) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: whose, KeyID: id.New(), Scopes: scopes})
}

// admin returns a context in which a key with all scopes calls.
func admin(t *testing.T, whose uuid.UUID) context.Context { return as(t, whose, tenant.TenantAdmin) }

// operator returns a context in which an operator calls who acts in no tenant.
func operator(t *testing.T) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true})
}

// zoom is a good input.
func zoom() app.CreateInput {
	return app.CreateInput{
		Provider: "zoom", ClientID: "client-1", ClientSecret: secret.New("hush-hush"),
		RedirectURIs: []string{"https://app.example.com/callback"}, ReturnTo: []string{"https://app.example.com"},
		Scopes: []string{"user:read:user"}, WebhookSecret: secret.New("hook"),
	}
}

func (k *kit) create(t *testing.T, ctx context.Context, in app.CreateInput) *ent.OAuthApp {
	t.Helper()
	a, err := k.Create(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// connect writes a connection of the app as a caller's tenant would have it.
func (k *kit) connect(t *testing.T, ctx context.Context, a *ent.OAuthApp, user string) *ent.Connection {
	t.Helper()
	c, err := k.db.Ent.Connection.Create().SetTenantID(tenant.FromContext(ctx).Tenant).SetAppID(a.ID).SetProvider(a.Provider).
		SetClientID(a.ClientID).SetGrantKey(user).SetGrantType(connection.GrantTypeAUTHORIZATION_CODE).
		SetState(connection.StateCONNECTED).SetExternalUserID(user).SetScopes([]string{}).SetConsentedAt(start).Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trail returns "action object" of all entries in a tenant's trail, with "refused" behind where it was.
func (k *kit) trail(t *testing.T, whose uuid.UUID) []string {
	t.Helper()
	all, err := k.db.Ent.AuditEntry.Query().All(tenant.System(t.Context(), whose))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		line := e.Action + " " + e.Object
		if !e.Allowed {
			line += " refused"
		}
		out = append(out, line)
	}
	return out
}

// fails compares the error that a caller would see with its text.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	var e *errs.Error
	if !errors.As(err, &e) {
		t.Errorf("got  %v\nwant %s", err, want)
		return
	}
	if got := e.WithCause(nil).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
