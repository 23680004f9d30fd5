package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// connections is the domain with injected behaviour; what a test does not expect panics.
type connections struct {
	create      func(connection.CreateInput) (*ent.Connection, bool, error)
	update      func(connection.UpdateInput) (*ent.Connection, error)
	remove      func(uuid.UUID) error
	refresh     func(uuid.UUID) (*ent.Connection, error)
	report      func(u uuid.UUID, version int64) (*ent.Connection, error)
	credential  func(connection.Selector, *int) (connection.Result, error)
	credentials func([]uuid.UUID, *int) ([]connection.Result, error)
}

func (c *connections) Create(_ context.Context, in connection.CreateInput) (*ent.Connection, bool, error) {
	return c.create(in)
}
func (c *connections) Update(_ context.Context, in connection.UpdateInput) (*ent.Connection, error) {
	return c.update(in)
}
func (c *connections) Delete(_ context.Context, u uuid.UUID) error { return c.remove(u) }
func (c *connections) Refresh(_ context.Context, u uuid.UUID) (*ent.Connection, error) {
	return c.refresh(u)
}
func (c *connections) ReportUnauthorized(_ context.Context, u uuid.UUID, version int64) (*ent.Connection, error) {
	return c.report(u, version)
}
func (c *connections) Credential(_ context.Context, of connection.Selector, ttl *int) (connection.Result, error) {
	return c.credential(of, ttl)
}
func (c *connections) Credentials(_ context.Context, ids []uuid.UUID, ttl *int) ([]connection.Result, error) {
	return c.credentials(ids, ttl)
}

type apps struct {
	create func(app.CreateInput) (*ent.OAuthApp, error)
	update func(app.UpdateInput) (*ent.OAuthApp, error)
	remove func(uuid.UUID) error
}

func (a *apps) Create(_ context.Context, in app.CreateInput) (*ent.OAuthApp, error) {
	return a.create(in)
}
func (a *apps) Update(_ context.Context, in app.UpdateInput) (*ent.OAuthApp, error) {
	return a.update(in)
}
func (a *apps) Delete(_ context.Context, u uuid.UUID) error { return a.remove(u) }
func (a *apps) WebhookURL(row *ent.OAuthApp) string {
	return "https://tokenkeep.example/webhooks/" + id.App.Format(row.ID)
}

type tenants struct {
	createTenant func(string, map[string]string) (*ent.Tenant, secret.Text, error)
	updateTenant func(uuid.UUID, *string, *map[string]string) (*ent.Tenant, error)
	deleteTenant func(uuid.UUID, bool) error
	rotateKey    func(uuid.UUID) (*ent.Tenant, error)
	createKey    func(tenancy.CreateKeyInput) (*ent.APIKey, secret.Text, error)
	revokeKey    func(uuid.UUID) (*ent.APIKey, error)
}

func (s *tenants) CreateTenant(_ context.Context, name string, m map[string]string) (*ent.Tenant, secret.Text, error) {
	return s.createTenant(name, m)
}
func (s *tenants) UpdateTenant(_ context.Context, u uuid.UUID, name *string, m *map[string]string) (*ent.Tenant, error) {
	return s.updateTenant(u, name, m)
}
func (s *tenants) DeleteTenant(_ context.Context, u uuid.UUID, immediately bool) error {
	return s.deleteTenant(u, immediately)
}
func (s *tenants) RotateKey(_ context.Context, u uuid.UUID) (*ent.Tenant, error) {
	return s.rotateKey(u)
}
func (s *tenants) CreateKey(_ context.Context, in tenancy.CreateKeyInput) (*ent.APIKey, secret.Text, error) {
	return s.createKey(in)
}
func (s *tenants) RevokeKey(_ context.Context, u uuid.UUID) (*ent.APIKey, error) {
	return s.revokeKey(u)
}

// server is a handler over injected services, and whoever calls it.
type server struct {
	connections connections
	apps        apps
	tenants     tenants
	viewer      *tenant.Viewer
	log         bytes.Buffer
	handler     http.Handler
}

// newServer makes a server whose caller holds all scopes of a tenant; change adapts the options.
func newServer(change func(*graph.Options)) *server {
	s := &server{viewer: &tenant.Viewer{Tenant: id.New(), KeyID: id.New(), Scopes: tenant.Scopes()}}
	o := graph.Options{
		Connections: &s.connections, Apps: &s.apps, Tenancy: &s.tenants, Providers: provider.Builtin(),
		Log: slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Introspection: true,
	}
	if change != nil {
		change(&o)
	}
	s.handler = graph.NewHandler(o)
	return s
}

// answer is what came back.
type answer struct {
	Data   map[string]any `json:"data"`
	Errors []problem      `json:"errors"`

	status int
	header http.Header
	body   string
}

type problem struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}

// do serves a request as the server's viewer.
func (s *server) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	ctx := tenant.WithRequest(t.Context(), tenant.Request{ID: "req-1"})
	if s.viewer != nil {
		ctx = tenant.NewContext(ctx, s.viewer)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r.WithContext(ctx))
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
	}
	return a
}

// post sends a query with variables.
func (s *server) post(t *testing.T, query string, variables map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return s.do(t, r)
}

// must is post for what has to work.
func (s *server) must(t *testing.T, query string, variables map[string]any) map[string]any {
	t.Helper()
	a := s.post(t, query, variables)
	if len(a.Errors) > 0 {
		t.Fatalf("%s: %s", query, a.body)
	}
	return a.Data
}

// fails checks the first error's code, field and part of its sentence.
func (a answer) fails(t *testing.T, code, field, says string) {
	t.Helper()
	if len(a.Errors) == 0 {
		t.Fatalf("no error in %s", a.body)
	}
	e := a.Errors[0]
	got, _ := e.Extensions["field"].(string)
	if e.Extensions["code"] != code || got != field || !strings.Contains(e.Message, says) {
		t.Errorf("got %+v, want %s on %q that says %q", e, code, field, says)
	}
	if e.Extensions["requestId"] != "req-1" {
		t.Errorf("requestId: got %v", e.Extensions["requestId"])
	}
}

func row() *ent.Connection {
	return &ent.Connection{ID: id.New(), TenantID: id.New(), AppID: id.New(), Provider: "zoom", Kind: "USER", GrantType: "API_KEY", State: "CONNECTED"}
}
