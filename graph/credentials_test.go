package graph_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5000, time.FixedZone("CET", 3600))

// TestCredentialResults asks for four connections in four states, by an id that nobody has and by one that is none.
func TestCredentialResults(t *testing.T) {
	s := newServer(nil)
	c := row()
	failure := &connection.Failure{Class: "REAUTHORIZATION_REQUIRED", Reason: "REVOKED", Message: "gone", Attempts: 2, Since: noon, LastAt: noon}
	var asked []uuid.UUID
	s.connections.credentials = func(ids []uuid.UUID, ttl *int) ([]connection.Result, error) {
		asked = ids
		if *ttl != 90 {
			t.Errorf("minTTL: got %d", *ttl)
		}
		return []connection.Result{
			{Connection: c, Credential: &connection.Credential{Version: 3, TokenType: "bearer", AccessToken: secret.New("token"), ExpiresAt: &noon, APIURL: "", RevalidateAfter: noon}},
			{Connection: c, Reauthorization: failure},
			{Unavailable: &connection.Unavailable{Code: "VAULT_UNAVAILABLE", Message: "later", RetryAfter: 1100 * time.Millisecond}},
			{NotConnected: "nothing here"},
		}, nil
	}
	known, unknown := id.New(), id.New()
	data := s.must(t, `query($ids: [ID!]!) { credentials(connections: $ids, minTTL: 90) {
		__typename
		... on Credential { connection { id } version tokenType accessToken expiresAt scopes apiUrl revalidateAfter }
		... on ReauthorizationRequired { failure { class reason message providerCode httpStatus attempts since nextAttemptAt } }
		... on CredentialUnavailable { unavailable: connection { id } code message retryAfter }
		... on NotConnected { message }
	} }`, map[string]any{"ids": []string{id.Connection.Format(known), id.Connection.Format(unknown), id.App.Format(known), "x"}})
	if diff := cmp.Diff([]uuid.UUID{known, unknown, uuid.Nil, uuid.Nil}, asked); diff != "" {
		t.Error(diff)
	}
	at := "2026-01-02T11:00:00.000005Z"
	want := []any{
		map[string]any{
			"__typename": "Credential", "connection": map[string]any{"id": id.Connection.Format(c.ID)}, "version": 3.0, "tokenType": "bearer",
			"accessToken": "token", "expiresAt": at, "scopes": []any{}, "apiUrl": nil, "revalidateAfter": at,
		},
		map[string]any{"__typename": "ReauthorizationRequired", "failure": map[string]any{
			"class": "REAUTHORIZATION_REQUIRED", "reason": "REVOKED", "message": "gone", "providerCode": nil, "httpStatus": nil,
			"attempts": 2.0, "since": at, "nextAttemptAt": nil,
		}},
		map[string]any{"__typename": "CredentialUnavailable", "unavailable": nil, "code": "VAULT_UNAVAILABLE", "message": "later", "retryAfter": 2.0},
		map[string]any{"__typename": "NotConnected", "message": "nothing here"},
	}
	if diff := cmp.Diff(want, data["credentials"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.post(t, `query($ids: [ID!]!) { credentials(connections: $ids) { __typename } }`, map[string]any{"ids": make([]string, 101)}).
		fails(t, "BAD_USER_INPUT", "connections", "100 is the most")
}

// TestBareCredentials: the row is read whole where anything of it is asked for, however the request is written.
func TestBareCredentials(t *testing.T) {
	s := newServer(nil)
	c := row()
	var bare bool
	s.connections.credential = func(of connection.Selector, _ *int) (connection.Result, error) {
		bare = of.Bare
		return connection.Result{Connection: c, Credential: &connection.Credential{RevalidateAfter: noon}}, nil
	}
	for selection, want := range map[string]bool{
		`__typename`:                    true,
		`... on Credential { version }`: true,
		`... on CredentialUnavailable { connection { id } } ... on Credential { version }`: true,
		`... on Credential { connection @skip(if: $with) { id } version }`:                 true,
		`... on Credential { connection { id } }`:                                          false,
		`... on Credential { alias: connection { subject } }`:                              false,
		`... on Credential { connection @include(if: $with) { id } }`:                      false,
		`... on CredentialResult { ... on Credential { connection { id } } }`:              false,
		`...F`: false,
	} {
		document := `query($id: ID!, $with: Boolean = true) {
			__typename @include(if: $with) credential(of: {connection: $id}) { ` + selection + ` } }`
		if selection == "...F" {
			document += ` fragment F on Credential { connection { id } }`
		}
		s.must(t, document, map[string]any{"id": id.Connection.Format(c.ID)})
		if bare != want {
			t.Errorf("%s: got bare %v, want %v", selection, bare, want)
		}
	}
}

func TestLookup(t *testing.T) {
	s := newServer(nil)
	a, user := id.New(), "u1"
	s.connections.credential = func(of connection.Selector, ttl *int) (connection.Result, error) {
		want := connection.Selector{Bare: true, Lookup: &connection.Lookup{Provider: "zoom", App: &a, Kind: "USER", ExternalUserID: &user}}
		if diff := cmp.Diff(want, of); diff != "" || ttl != nil {
			t.Error(diff, ttl)
		}
		return connection.Result{NotConnected: "n"}, nil
	}
	s.must(t, `query($app: ID) { credential(of: {lookup: {provider: "zoom", app: $app, kind: USER, externalUserId: "u1"}}) { __typename } }`,
		map[string]any{"app": id.App.Format(a)})
}

// TestSecretsAreShownOnce: new keys leave in the answer that makes them.
func TestSecretsAreShownOnce(t *testing.T) {
	s := newServer(nil)
	s.tenants.createKey = func(in tenancy.CreateKeyInput) (*ent.APIKey, secret.Text, error) {
		if in.Name != "n" || !cmp.Equal(in.Scopes, []tenant.Scope{tenant.ConnectionsRead, tenant.AppsWrite}) || !in.ExpiresAt.Equal(noon) {
			t.Errorf("got %+v", in)
		}
		return &ent.APIKey{ID: id.New(), Prefix: "tk_ab", Scopes: []string{"APPS_WRITE"}}, secret.New("tk_key"), nil
	}
	s.tenants.createTenant = func(string, map[string]string) (*ent.Tenant, secret.Text, error) {
		return &ent.Tenant{ID: id.New(), Name: "t"}, secret.New("tk_first"), nil
	}
	data := s.must(t, `mutation($at: DateTime) {
		createAPIKey(input: {name: "n", scopes: [CONNECTIONS_READ, APPS_WRITE], expiresAt: $at}) { apiKey { prefix scopes } secret }
		createTenant(input: {name: "t"}) { tenant { name metadata } apiKey }
	}`, map[string]any{"at": "2026-01-02T12:00:00.000005+01:00"})
	want := map[string]any{
		"createAPIKey": map[string]any{"apiKey": map[string]any{"prefix": "tk_ab", "scopes": []any{"APPS_WRITE"}}, "secret": "tk_key"},
		"createTenant": map[string]any{"tenant": map[string]any{"name": "t", "metadata": nil}, "apiKey": "tk_first"},
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []any{"yesterday", "2026-01-02", "2026-01-02T12:00:00", 7, true} {
		s.post(t, `mutation($at: DateTime) { createAPIKey(input: {name: "n", scopes: [], expiresAt: $at}) { secret } }`, map[string]any{"at": bad}).
			fails(t, "BAD_USER_INPUT", "expiresAt", "DateTime")
	}
}

func TestPayloads(t *testing.T) {
	s := newServer(nil)
	c, a, k, u := row(), &ent.OAuthApp{ID: id.New()}, &ent.APIKey{ID: id.New()}, &ent.Tenant{ID: id.New()}
	s.connections.create = func(connection.CreateInput) (*ent.Connection, bool, error) { return c, false, nil }
	s.connections.refresh = func(uuid.UUID) (*ent.Connection, error) { return c, nil }
	s.connections.report = func(_ uuid.UUID, version int64) (*ent.Connection, error) {
		if version != 7 {
			t.Errorf("got version %d", version)
		}
		return c, nil
	}
	s.connections.remove = func(uuid.UUID) error { return nil }
	s.apps.remove = func(uuid.UUID) error { return nil }
	s.tenants.revokeKey = func(uuid.UUID) (*ent.APIKey, error) { return k, nil }
	s.tenants.updateTenant = func(_ uuid.UUID, name *string, m *map[string]string) (*ent.Tenant, error) {
		if name != nil || m == nil || *m != nil {
			t.Errorf("got %v %v", name, m)
		}
		return u, nil
	}
	cid, aid := id.Connection.Format(c.ID), id.App.Format(a.ID)
	kid, tid := id.Key.Format(k.ID), id.Tenant.Format(u.ID)
	data := s.must(t, `mutation($c: ID!, $a: ID!, $k: ID!, $t: ID!) {
		createConnection(input: {grant: {apiKey: {apiKey: "k"}}}) { created connection { id } }
		refreshConnection(id: $c) { connection { id } }
		reportUnauthorized(connection: $c, version: 7) { connection { id } }
		deleteConnection(id: $c) { deletedId }
		deleteOAuthApp(id: $a) { deletedId }
		revokeAPIKey(id: $k) { apiKey { id } }
		updateTenant(input: {id: $t, metadata: null}) { tenant { id } }
	}`, map[string]any{"c": cid, "a": aid, "k": kid, "t": tid})
	want := map[string]any{
		"createConnection":   map[string]any{"created": false, "connection": map[string]any{"id": cid}},
		"refreshConnection":  map[string]any{"connection": map[string]any{"id": cid}},
		"reportUnauthorized": map[string]any{"connection": map[string]any{"id": cid}},
		"deleteConnection":   map[string]any{"deletedId": cid},
		"deleteOAuthApp":     map[string]any{"deletedId": aid},
		"revokeAPIKey":       map[string]any{"apiKey": map[string]any{"id": kid}},
		"updateTenant":       map[string]any{"tenant": map[string]any{"id": tid}},
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
}
