package graph_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

const creation = `mutation($in: CreateConnectionInput!) { createConnection(input: $in) { created } }`

// TestOneOf tries none, one and two members, as variables and as literals; null counts as none.
func TestOneOf(t *testing.T) {
	code, key := map[string]any{"code": "c", "redirectUri": "u"}, map[string]any{"apiKey": "k"}
	for _, test := range []struct {
		name, literal string
		grant         any
		says          string
	}{
		{"one", `{authorizationCode: {code: "c", redirectUri: "u"}}`, map[string]any{"authorizationCode": code}, ""},
		{"one and null", `{authorizationCode: {code: "c", redirectUri: "u"}, apiKey: null}`, map[string]any{"authorizationCode": code, "apiKey": nil}, ""},
		{"none", `{}`, map[string]any{}, "exactly one of authorizationCode, apiKey, and has none"},
		{"null", `{apiKey: null}`, map[string]any{"apiKey": nil}, "and has none"},
		{"two", `{authorizationCode: {code: "c", redirectUri: "u"}, apiKey: {apiKey: "k"}}`, map[string]any{"authorizationCode": code, "apiKey": key}, "and has apiKey and authorizationCode"},
	} {
		for how, send := range map[string]func(*server) answer{
			"variable": func(s *server) answer {
				return s.post(t, creation, map[string]any{"in": map[string]any{"grant": test.grant}})
			},
			"variable inside of a literal": func(s *server) answer {
				return s.post(t, `mutation($g: GrantInput!) { createConnection(input: {grant: $g}) { created } }`, map[string]any{"g": test.grant})
			},
			"literal": func(s *server) answer {
				return s.post(t, `mutation { createConnection(input: {grant: `+test.literal+`}) { created } }`, nil)
			},
		} {
			t.Run(test.name+" as "+how, func(t *testing.T) {
				s := newServer(nil)
				s.connections.create = func(in connection.CreateInput) (*ent.Connection, bool, error) {
					if in.Code == nil || in.APIKey != nil || in.Code.Code.Reveal() != "c" || in.Code.RedirectURI != "u" {
						t.Errorf("got %+v", in)
					}
					return row(), true, nil
				}
				if a := send(s); test.says != "" {
					a.fails(t, "BAD_USER_INPUT", "grant", test.says)
				} else if len(a.Errors) > 0 {
					t.Error(a.body)
				}
			})
		}
	}
}

// TestOneOfMembersAsVariables gives a variable for each member: a client that writes its query once and fills in one.
func TestOneOfMembersAsVariables(t *testing.T) {
	s := newServer(nil)
	s.connections.credential = func(of connection.Selector, _ *int) (connection.Result, error) {
		return connection.Result{NotConnected: fmt.Sprint(of.Connection != nil, of.Lookup != nil)}, nil
	}
	query := `query($c: ID, $l: CredentialLookup) { credential(of: {connection: $c, lookup: $l}) { ... on NotConnected { message } } }`
	data := s.must(t, query, map[string]any{"c": id.Connection.Format(id.New())})
	if got, want := fmt.Sprint(data["credential"]), "map[message:true false]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.post(t, query, nil).fails(t, "BAD_USER_INPUT", "of", "exactly one of connection, lookup, and has none")
}

func TestMetadata(t *testing.T) {
	many := map[string]any{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	for _, test := range []struct {
		name string
		in   any
		says string
	}{
		{"pairs", map[string]any{"crm.id": "7", "": nil}, `key "" must be a string, not null`},
		{"a number", map[string]any{"n": 7}, `key "n" must be a string, not a number`},
		{"a boolean", map[string]any{"b": true}, `key "b" must be a string, not a boolean`},
		{"nested", map[string]any{"o": map[string]any{}}, `key "o" must be a string, not an object`},
		{"a list", []any{"x"}, "must be an object"},
		{"an empty key", map[string]any{"": "x"}, "empty key"},
		{"too many keys", many, "51 keys; 50 is the most"},
		{"too large", map[string]any{"k": strings.Repeat("x", 9000)}, "too large"},
		{"a text", "x", "must be an object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(nil)
			grant := map[string]any{"apiKey": map[string]any{"apiKey": "k"}}
			s.post(t, creation, map[string]any{"in": map[string]any{"grant": grant, "metadata": test.in}}).
				fails(t, "BAD_USER_INPUT", "metadata", test.says)
			s.post(t, `query($m: Metadata) { connections(filter: {metadata: $m}) { nodes { id } } }`, map[string]any{"m": test.in}).
				fails(t, "BAD_USER_INPUT", "filter.metadata", test.says)
		})
	}
	s := newServer(nil)
	s.post(t, `mutation { createConnection(input: {grant: {apiKey: {apiKey: "k"}}, metadata: {a: 1}}) { created } }`, nil).
		fails(t, "BAD_USER_INPUT", "metadata", `key "a" must be a string, not a number`)
	s.connections.create = func(in connection.CreateInput) (*ent.Connection, bool, error) {
		c := row()
		c.Metadata = *in.Metadata
		return c, true, nil
	}
	data := s.must(t, `mutation($v: Metadata) {
		a: createConnection(input: {grant: {apiKey: {apiKey: "k"}}, metadata: {a: "1", b: "<"}}) { connection { metadata } }
		b: createConnection(input: {grant: {apiKey: {apiKey: "k"}}, metadata: $v}) { connection { metadata } }
	}`, map[string]any{"v": map[string]any{"crm.id": "Ü"}})
	want := map[string]any{
		"a": map[string]any{"connection": map[string]any{"metadata": map[string]any{"a": "1", "b": "<"}}},
		"b": map[string]any{"connection": map[string]any{"metadata": map[string]any{"crm.id": "Ü"}}},
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
}

// TestLeftOutIsNotNull: a field that is left out stays as it is, null changes it.
func TestLeftOutIsNotNull(t *testing.T) {
	u, text := id.New(), "x"
	mutation := `mutation($in: UpdateConnectionInput!) { updateConnection(input: $in) { connection { id } } }`
	for name, test := range map[string]struct {
		in   map[string]any
		want connection.UpdateInput
	}{
		"left out": {map[string]any{}, connection.UpdateInput{ID: u}},
		"null": {
			map[string]any{"metadata": nil, "subject": nil, "isOnBehalfTokenSupported": nil, "mergeMetadata": nil},
			connection.UpdateInput{ID: u, MetadataNull: true, ClearSubject: true},
		},
		"given": {
			map[string]any{"metadata": map[string]any{"a": "b"}, "subject": "x", "removeMetadataKeys": []string{"k"}, "mergeMetadata": map[string]any{"c": "d"}},
			connection.UpdateInput{ID: u, Metadata: &map[string]string{"a": "b"}, Subject: &text, RemoveKeys: []string{"k"}, Merge: map[string]string{"c": "d"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(nil)
			s.connections.update = func(in connection.UpdateInput) (*ent.Connection, error) {
				if diff := cmp.Diff(test.want, in); diff != "" {
					t.Error(diff)
				}
				return row(), nil
			}
			test.in["id"] = id.Connection.Format(u)
			s.must(t, mutation, map[string]any{"in": test.in})
		})
	}
}

func TestLeftOutIsNotNullOnApps(t *testing.T) {
	u, name, empty := id.New(), "n", []string(nil)
	set, none := secret.New("s"), secret.New("")
	mutation := `mutation($in: UpdateOAuthAppInput!) { updateOAuthApp(input: $in) { app { id } } }`
	secrets := cmp.Comparer(func(a, b secret.Text) bool { return a.Equal(b) })
	for title, test := range map[string]struct {
		in   map[string]any
		want app.UpdateInput
	}{
		"left out": {map[string]any{}, app.UpdateInput{ID: u}},
		"null": {
			map[string]any{"clientSecret": nil, "webhookSecret": nil, "scopes": nil},
			app.UpdateInput{ID: u, ClientSecret: &none, WebhookSecret: &none, Scopes: &empty},
		},
		"given": {
			map[string]any{"clientSecret": "s", "name": "n", "returnTo": []string{"r"}},
			app.UpdateInput{ID: u, ClientSecret: &set, Name: &name, ReturnTo: &[]string{"r"}},
		},
	} {
		t.Run(title, func(t *testing.T) {
			s := newServer(nil)
			s.apps.update = func(in app.UpdateInput) (*ent.OAuthApp, error) {
				if diff := cmp.Diff(test.want, in, secrets); diff != "" {
					t.Error(diff)
				}
				return &ent.OAuthApp{ID: u}, nil
			}
			test.in["id"] = id.App.Format(u)
			s.must(t, mutation, map[string]any{"in": test.in})
		})
	}
	newServer(nil).post(t, mutation, map[string]any{"in": map[string]any{"id": id.App.Format(u), "name": nil}}).
		fails(t, "BAD_USER_INPUT", "name", "leave name out")
}

// TestIDsOfMutations: an id that cannot be one is the caller's mistake, and nothing is called.
func TestIDsOfMutations(t *testing.T) {
	foreign := id.Event.Format(id.New())
	for _, bad := range []string{"", "x", foreign, "conn_", "conn_01h455vb4pex5vsknk084sn02", uuid.NewString()} {
		s := newServer(nil)
		for _, test := range []struct{ query, field string }{
			{`mutation($id: ID!) { deleteConnection(id: $id) { deletedId } }`, "id"},
			{`mutation($id: ID!) { refreshConnection(id: $id) { connection { id } } }`, "id"},
			{`mutation($id: ID!) { reportUnauthorized(connection: $id, version: 1) { connection { id } } }`, "connection"},
			{`mutation($id: ID!) { updateConnection(input: {id: $id}) { connection { id } } }`, "id"},
			{`mutation($id: ID!) { createConnection(input: {app: $id, grant: {apiKey: {apiKey: "k"}}}) { created } }`, "app"},
			{`mutation($id: ID!) { updateOAuthApp(input: {id: $id}) { app { id } } }`, "id"},
			{`mutation($id: ID!) { deleteOAuthApp(id: $id) { deletedId } }`, "id"},
			{`mutation($id: ID!) { revokeAPIKey(id: $id) { apiKey { id } } }`, "id"},
			{`mutation($id: ID!) { deleteTenant(id: $id) { deletedId } }`, "id"},
			{`mutation($id: ID!) { rotateTenantKey(id: $id) { tenant { id } } }`, "id"},
			{`mutation($id: ID!) { updateTenant(input: {id: $id}) { tenant { id } } }`, "id"},
			{`query($id: ID!) { connections(filter: {app: $id}) { nodes { id } } }`, "filter.app"},
			{`query($id: ID!) { credential(of: {lookup: {provider: "zoom", kind: USER, app: $id}}) { __typename } }`, "of.lookup.app"},
		} {
			s.post(t, test.query, map[string]any{"id": bad}).fails(t, "BAD_USER_INPUT", test.field, "such ids begin with")
		}
	}
}

// TestSecretsAreNotInTheLog sends secrets with requests that fail, at debug level.
func TestSecretsAreNotInTheLog(t *testing.T) {
	s := newServer(nil)
	s.connections.create = func(connection.CreateInput) (*ent.Connection, bool, error) {
		return nil, false, errors.New("the store is away")
	}
	const plain = "hunter2-hunter2"
	for _, query := range []string{
		`mutation($s: String!) { createConnection(input: {grant: {apiKey: {apiKey: $s}}}) { created } }`,
		`mutation { createConnection(input: {grant: {apiKey: {apiKey: "` + plain + `"}}, kind: "` + plain + `"}) { created } }`,
		`mutation($s: String!) { createConnection(input: {grant: {apiKey: {apiKey: $s}}, kind: "` + plain + `"}) { created } }`,
		`mutation($s: Int!) { createConnection(input: {grant: {apiKey: {apiKey: $s}}}) { created } }`,
	} {
		if a := s.post(t, query, map[string]any{"s": plain}); len(a.Errors) == 0 {
			t.Errorf("no error: %s", a.body)
		}
	}
	if strings.Contains(s.log.String(), plain) {
		t.Errorf("a secret is in the log:\n%s", s.log.String())
	}
}
