package graph_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// counter is a driver that counts the queries that it passes on.
type counter struct {
	dialect.Driver
	mu      sync.Mutex
	queries []string
}

// Query implements dialect.Driver.
func (c *counter) Query(ctx context.Context, text string, args, v any) error {
	c.mu.Lock()
	c.queries = append(c.queries, text)
	c.mu.Unlock()
	return c.Driver.Query(ctx, text, args, v)
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.queries
	c.queries = nil
	return all
}

// home is a server over a database with one tenant's things: the tenant, a key, an app and connections.
type home struct {
	*server
	client      *ent.Client
	counter     *counter
	tenant, key uuid.UUID
	app         uuid.UUID
	connections []string
}

func newHome(t *testing.T, url string, n int) (mine, other *home) {
	t.Helper()
	db := servicetest.OpenDatabase(t, url)
	c := &counter{Driver: entsql.OpenDB(db.Dialect, db.SQL())}
	client := ent.NewClient(ent.Driver(c))
	mine, other = move(t, client, c, n), move(t, client, c, n)
	c.take()
	return mine, other
}

func move(t *testing.T, client *ent.Client, c *counter, n int) *home {
	t.Helper()
	h := &home{client: client, server: newServer(func(o *graph.Options) { o.Ent = client }), counter: c, tenant: id.New()}
	operator := tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true})
	if err := client.Tenant.Create().SetID(h.tenant).SetName("t").SetMetadata(map[string]string{"a": "b"}).Exec(operator); err != nil {
		t.Fatal(err)
	}
	h.viewer = &tenant.Viewer{Tenant: h.tenant, Scopes: []tenant.Scope{tenant.TenantAdmin}}
	ctx := tenant.NewContext(t.Context(), h.viewer)
	k, err := client.APIKey.Create().SetName("k").SetPrefix("tk_").SetHash(h.tenant[:]).SetScopes([]string{"TENANT_ADMIN"}).Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.OAuthApp.Create().SetProvider("zoom").SetName("app").SetClientID("c").SetRedirectUris(nil).SetReturnTo(nil).
		SetScopes([]string{"a", "b"}).Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h.key, h.viewer.KeyID, h.app = k.ID, k.ID, a.ID
	for i := range n {
		row, err := client.Connection.Create().SetAppID(a.ID).SetProvider(fmt.Sprint([]string{"zoom", "gone"}[i%2])).SetClientID("c").SetGrantKey("g").
			SetGrantType("API_KEY").SetState("CONNECTED").SetSubject(fmt.Sprint(i)).SetScopes([]string{"a"}).SetConsentedAt(noon).Save(ctx)
		if err != nil {
			t.Fatal(err)
		}
		h.connections = append(h.connections, id.Connection.Format(row.ID))
	}
	return h
}

// TestConnectionsThroughTheSchema reads a page with all that hangs on it: one query for each kind of row, whatever the size.
func TestConnectionsThroughTheSchema(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		h, _ := newHome(t, url, 6)
		query := `query($after: Cursor) { connections(first: 4, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) {
			edges { cursor node { id } }
			nodes { id app { id webhookUrl tenant { id } provider { key } } tenant { id metadata } provider { key name } missingScopes failure { class } }
			pageInfo { hasNextPage startCursor endCursor }
		} }`
		list := h.must(t, query, nil)["connections"].(map[string]any)
		if got := h.counter.take(); len(got) != 3 {
			t.Errorf("got %d queries, want one each for connections, apps and tenants:\n%v", len(got), got)
		}
		appID, tenantID := id.App.Format(h.app), id.Tenant.Format(h.tenant)
		want := map[string]any{
			"id": h.connections[1], "missingScopes": []any{"b"}, "failure": nil,
			"app": map[string]any{
				"id": appID, "webhookUrl": "https://tokenkeep.example/webhooks/" + appID,
				"tenant": map[string]any{"id": tenantID}, "provider": map[string]any{"key": "zoom"},
			},
			"tenant":   map[string]any{"id": tenantID, "metadata": map[string]any{"a": "b"}},
			"provider": map[string]any{"key": "gone", "name": "gone"},
		}
		if diff := cmp.Diff(want, list["nodes"].([]any)[1]); diff != "" {
			t.Error(diff)
		}
		info, edges := list["pageInfo"].(map[string]any), list["edges"].([]any)
		if info["hasNextPage"] != true || info["startCursor"] != edges[0].(map[string]any)["cursor"] || info["endCursor"] != edges[3].(map[string]any)["cursor"] {
			t.Errorf("got %v", info)
		}
		second := h.must(t, query, map[string]any{"after": info["endCursor"]})["connections"].(map[string]any)
		if got := len(second["nodes"].([]any)); got != 2 {
			t.Errorf("got %d on the second page, want 2", got)
		}
	})
}

// TestMutationsSeeEachOther renames an app between two mutations that both show it.
func TestMutationsSeeEachOther(t *testing.T) {
	h, _ := newHome(t, servicetest.SQLite(t), 1)
	ctx := tenant.NewContext(t.Context(), h.viewer)
	c, err := h.client.Connection.Query().Only(ctx)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"before", "after"}
	h.server.connections.refresh = func(uuid.UUID) (*ent.Connection, error) {
		name := names[0]
		names = names[1:]
		return c, h.client.OAuthApp.UpdateOneID(h.app).SetName(name).Exec(ctx)
	}
	data := h.must(t, `mutation($id: ID!) { a: refreshConnection(id: $id) { ...f } b: refreshConnection(id: $id) { ...f } }
		fragment f on RefreshConnectionPayload { connection { app { name } } }`, map[string]any{"id": h.connections[0]})
	if got, want := fmt.Sprint(data), "map[a:map[connection:map[app:map[name:before]]] b:map[connection:map[app:map[name:after]]]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOnlyWhatIsAskedForIsRead counts queries: no COUNT and no look behind a cursor that nobody selected.
func TestOnlyWhatIsAskedForIsRead(t *testing.T) {
	h, _ := newHome(t, servicetest.SQLite(t), 6)
	page := `connections(last: 2, before: $c) `
	list := h.must(t, `{ connections(first: 4) { pageInfo { endCursor } } }`, nil)["connections"].(map[string]any)
	cursor := list["pageInfo"].(map[string]any)["endCursor"]
	h.counter.take()
	for selection, want := range map[string]int{
		`nodes { id } pageInfo { endCursor hasPreviousPage }`: 1,
		`pageInfo { hasNextPage }`:                            2,
		`totalCount totalCountIsExact`:                        2,
		`totalCount pageInfo { hasNextPage hasPreviousPage }`: 3,
	} {
		h.must(t, `query($c: Cursor) { `+page+`{ `+selection+` } }`, map[string]any{"c": cursor})
		if got := h.counter.take(); len(got) != want {
			t.Errorf("%s: got %d queries, want %d: %v", selection, len(got), want, got)
		}
	}
	totals := h.must(t, `{ connections(first: 0) { totalCount totalCountIsExact nodes { id } } apps { totalCount } apiKeys { nodes { id } } }`, nil)
	want := map[string]any{
		"connections": map[string]any{"totalCount": 6.0, "totalCountIsExact": true, "nodes": []any{}},
		"apps":        map[string]any{"totalCount": 1.0},
		"apiKeys":     map[string]any{"nodes": []any{map[string]any{"id": id.Key.Format(h.key)}}},
	}
	if diff := cmp.Diff(want, totals); diff != "" {
		t.Error(diff)
	}
}

// TestForeignIsAbsent asks for another tenant's objects, for objects that nobody has, and by ids that are none: null,
// and the same statements.
func TestForeignIsAbsent(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		h, other := newHome(t, url, 1)
		kinds := map[id.Prefix]struct{ mine, foreign string }{
			id.Connection: {h.connections[0], other.connections[0]},
			id.App:        {id.App.Format(h.app), id.App.Format(other.app)},
			id.Tenant:     {id.Tenant.Format(h.tenant), id.Tenant.Format(other.tenant)},
			id.Key:        {id.Key.Format(h.key), id.Key.Format(other.key)},
		}
		// One field for each operation: fields of one run side by side, and how the loader gathers their keys is chance.
		node, nodes := `query($id: ID!) { node(id: $id) { id } }`, `query($id: ID!) { nodes(ids: [$id, $id]) { id } }`
		ask := func(prefix id.Prefix, of string, want any) string {
			t.Helper()
			h.counter.take()
			variables := map[string]any{"id": of}
			if diff := cmp.Diff(map[string]any{"node": want}, h.must(t, node, variables)); diff != "" {
				t.Errorf("%s: %s", prefix, diff)
			}
			if diff := cmp.Diff(map[string]any{"nodes": []any{want, want}}, h.must(t, nodes, variables)); diff != "" {
				t.Errorf("%s: %s", prefix, diff)
			}
			return fmt.Sprint(h.counter.take())
		}
		for prefix, ids := range kinds {
			ask(prefix, ids.mine, map[string]any{"id": ids.mine})
			if foreign, absent := ask(prefix, ids.foreign, nil), ask(prefix, prefix.Format(id.New()), nil); foreign != absent {
				t.Errorf("%s: foreign and absent differ: %s, %s", prefix, foreign, absent)
			}
		}
		direct := `query($c: ID!, $a: ID!) { connection(id: $c) { id } app(id: $a) { id } }`
		for _, ids := range [][2]string{
			{kinds[id.Connection].foreign, kinds[id.App].foreign}, {kinds[id.App].mine, kinds[id.Connection].mine}, {"x", ""},
		} {
			data := h.must(t, direct, map[string]any{"c": ids[0], "a": ids[1]})
			if data["connection"] != nil || data["app"] != nil {
				t.Errorf("%v: got %v", ids, data)
			}
		}
		for _, none := range []string{"", "x", id.Event.Format(id.New())} {
			if data := h.must(t, node, map[string]any{"id": none}); data["node"] != nil {
				t.Errorf("%q: got %v", none, data)
			}
		}
	})
}

// TestViewer is what each kind of caller learns of itself.
func TestViewer(t *testing.T) {
	h, _ := newHome(t, servicetest.SQLite(t), 0)
	query := `{ viewer { tenant { id } apiKey { id } scopes isOperator } }`
	all := []any{"CONNECTIONS_READ", "CONNECTIONS_WRITE", "CREDENTIALS_READ", "APPS_WRITE", "TENANT_ADMIN"}
	mine := map[string]any{"id": id.Tenant.Format(h.tenant)}
	key := map[string]any{"id": id.Key.Format(h.key)}
	for name, test := range map[string]struct {
		viewer tenant.Viewer
		want   map[string]any
	}{
		"a reader": {
			tenant.Viewer{Tenant: h.tenant, KeyID: h.key, Scopes: []tenant.Scope{tenant.ConnectionsRead}},
			map[string]any{"tenant": mine, "apiKey": key, "scopes": all[:1], "isOperator": false},
		},
		"an admin":        {*h.viewer, map[string]any{"tenant": mine, "apiKey": key, "scopes": all, "isOperator": false}},
		"an operator":     {tenant.Viewer{IsOperator: true}, map[string]any{"tenant": nil, "apiKey": nil, "scopes": []any{}, "isOperator": true}},
		"one in a tenant": {tenant.Viewer{Tenant: h.tenant, IsOperator: true}, map[string]any{"tenant": mine, "apiKey": nil, "scopes": []any{all[0], all[1], all[3], all[4]}, "isOperator": true}},
	} {
		t.Run(name, func(t *testing.T) {
			h.server.viewer = &test.viewer
			if diff := cmp.Diff(test.want, h.must(t, query, nil)["viewer"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProviders(t *testing.T) {
	s := newServer(nil)
	data := s.must(t, `{ providers { key } zoom: provider(key: "zoom") { name grantTypes scopes { name description } supportsPKCE } none: provider(key: "none") { key } }`, nil)
	zoom := data["zoom"].(map[string]any)
	if data["none"] != nil || zoom["name"] != "Zoom" || zoom["supportsPKCE"] != true || len(zoom["scopes"].([]any)) == 0 {
		t.Errorf("got %v", zoom)
	}
	if first := data["providers"].([]any)[0]; first.(map[string]any)["key"] != "zoom" {
		t.Errorf("got %v first, want zoom", first)
	}
}

func TestFiltersAreChecked(t *testing.T) {
	s := newServer(nil)
	keys := make([]string, 51)
	s.post(t, `{ connections(filter: {state: []}) { nodes { id } } }`, nil).fails(t, "BAD_USER_INPUT", "filter.state", "empty list")
	s.post(t, `query($k: [String!]) { connections(filter: {metadataHasKeys: $k}) { nodes { id } } }`, map[string]any{"k": keys}).
		fails(t, "BAD_USER_INPUT", "filter.metadataHasKeys", "50 is the most")
	s.post(t, `{ connections(after: "nonsense") { nodes { id } } }`, nil).fails(t, "BAD_USER_INPUT", "after", "not a cursor")
	s.post(t, `{ connections(first: 1, last: 1) { nodes { id } } }`, nil).fails(t, "BAD_USER_INPUT", "last", "not both")
	s.post(t, `{ connections(first: 101) { nodes { id } } }`, nil).fails(t, "BAD_USER_INPUT", "first", "100 entries at most")
	s.post(t, `query($i: [ID!]!) { nodes(ids: $i) { id } }`, map[string]any{"i": make([]string, 101)}).fails(t, "BAD_USER_INPUT", "ids", "100 is the most")
}
