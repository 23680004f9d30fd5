package servicetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Tenant is a tenant with a key, and an app for the emulator's client.
type Tenant struct {
	ID  uuid.UUID
	Key secret.Text
	App *ent.OAuthApp
	// Ctx carries the key, which holds all scopes.
	Ctx context.Context
}

// Tenant makes a tenant.
func (s *Service) Tenant(t testing.TB, name string) *Tenant {
	t.Helper()
	made, key, err := s.Tenancy.CreateTenant(Operator(t, uuid.Nil), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	viewer, err := s.Tenancy.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	out := &Tenant{ID: made.ID, Key: key, Ctx: tenant.NewContext(t.Context(), viewer)}
	out.App = s.App(t, out, "zoom")
	return out
}

// App makes an app of the tenant's for the emulator's client at the provider.
func (s *Service) App(t testing.TB, of *Tenant, provider string) *ent.OAuthApp {
	t.Helper()
	a, err := s.Apps.Create(of.Ctx, app.CreateInput{Provider: provider, ClientID: ClientID, ClientSecret: secret.New(ClientSecret),
		RedirectURIs: []string{RedirectURI}, Scopes: Scopes})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// As returns a context in which another key of the tenant calls, with these scopes.
func (of *Tenant) As(t testing.TB, scopes ...tenant.Scope) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: of.ID, KeyID: id.New(), Scopes: scopes})
}

// System returns a context of the service itself, in the tenant.
func (of *Tenant) System(t testing.TB) context.Context { return tenant.System(t.Context(), of.ID) }

// Operator returns a context in which the operator calls, inside the tenant unless that is uuid.Nil.
func Operator(t testing.TB, inside uuid.UUID) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true, Tenant: inside})
}

// CodeInput is the input that connects by a code.
func (of *Tenant) CodeInput(code string) connection.CreateInput {
	return connection.CreateInput{App: &of.App.ID, Code: &connection.CodeGrant{Code: secret.New(code), RedirectURI: RedirectURI}}
}

// Connect connects the user and returns the row.
func (s *Service) Connect(t testing.TB, of *Tenant, user string) *ent.Connection {
	t.Helper()
	c, _, err := s.Connections.Create(of.Ctx, of.CodeInput(s.Consent(t, user)))
	if err != nil {
		t.Fatalf("connecting %s: %v", user, err)
	}
	return c
}

// Row reads a connection as the service itself; nil where it is gone.
func (s *Service) Row(t testing.TB, connectionID uuid.UUID) *ent.Connection {
	t.Helper()
	c, err := s.DB.Ent.Connection.Get(tenant.System(t.Context(), uuid.Nil), connectionID)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ExpireLocks makes all grant locks look as if their owners had been gone for long.
func (s *Service) ExpireLocks(t testing.TB) {
	t.Helper()
	if _, err := s.DB.SQL().ExecContext(t.Context(), "UPDATE grant_locks SET until_ms = 1"); err != nil {
		t.Fatal(err)
	}
}

// Locks returns how many grant locks there are, held or kept for what they know.
func (s *Service) Locks(t testing.TB) int {
	t.Helper()
	n, err := s.DB.Ent.GrantLock.Query().Count(tenant.System(t.Context(), uuid.Nil))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
