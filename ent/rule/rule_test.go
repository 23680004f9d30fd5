package rule_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/rule"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

func TestEveryTypeIsListed(t *testing.T) {
	var got []string
	client := reflect.TypeOf(ent.Client{})
	for i := range client.NumField() {
		if _, ok := client.Field(i).Type.MethodByName("CreateBulk"); ok {
			got = append(got, client.Field(i).Name)
		}
	}
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Fatalf("the schema has the types %v, the table kinds has %v; add the new type there, and its rule to the schema", got, want)
	}
}

// caller is a viewer and what it may do with a row, by the table's kind: owners of rows it sees, owners of rows it
// changes, or the error that everything fails with.
type caller struct {
	name    string
	context func(context.Context, *world) context.Context
	sees    map[string][]string
	changes map[string][]string
	fails   map[string]error
}

// always says the same of every kind.
func always[T any](v T) map[string]T {
	return map[string]T{"tenants": v, "operator too": v, "shared": v, "tenant": v, "system": v}
}

// with returns m where kind has v instead.
func with[T any](m map[string]T, kind string, v T) map[string]T {
	m = maps.Clone(m)
	m[kind] = v
	return m
}

func as(v *tenant.Viewer) func(context.Context, *world) context.Context {
	return func(ctx context.Context, _ *world) context.Context { return tenant.NewContext(ctx, v) }
}

func callers() []caller {
	systemOnly := map[string]error{"system": rule.ErrSystemOnly}
	ownA := always([]string{"A"})
	acting := func(operator bool) func(context.Context, *world) context.Context {
		return func(ctx context.Context, w *world) context.Context {
			return tenant.NewContext(ctx, &tenant.Viewer{Tenant: w.homes["A"].tenant, IsOperator: operator, Scopes: tenant.Scopes()})
		}
	}
	none := map[string][]string{"operator too": {"operator"}, "shared": {"operator"}, "tenant": {"A", "B"}}
	return []caller{
		{name: "A's key", context: acting(false), fails: systemOnly, sees: with(ownA, "shared", []string{"A", "operator"}), changes: ownA},
		{name: "operator in A", context: acting(true), fails: systemOnly,
			sees:    with(with(ownA, "shared", []string{"A", "operator"}), "tenant", []string{"A", "B"}),
			changes: with(ownA, "tenant", []string{"A", "B"})},
		{name: "operator in no tenant", context: as(&tenant.Viewer{IsOperator: true}), fails: systemOnly, sees: none, changes: none},
		{name: "a third tenant", context: as(&tenant.Viewer{Tenant: id.New(), Scopes: tenant.Scopes()}), fails: systemOnly,
			sees: map[string][]string{"shared": {"operator"}}},
		{name: "nobody", context: func(ctx context.Context, _ *world) context.Context { return ctx }, fails: always(rule.ErrNoViewer)},
		{name: "a zero viewer", context: as(&tenant.Viewer{}), fails: always(rule.ErrNoViewer)},
		{name: "a key of the operator's tenant", context: as(&tenant.Viewer{Tenant: tenant.Operator}), fails: always(rule.ErrNoViewer)},
		{name: "operator in the operator's tenant", context: as(&tenant.Viewer{Tenant: tenant.Operator, IsOperator: true}), fails: always(rule.ErrNoViewer)},
		{name: "system", context: func(ctx context.Context, _ *world) context.Context { return tenant.System(ctx, uuid.Nil) },
			sees: everybody(), changes: everybody()},
		{name: "system for A", context: func(ctx context.Context, w *world) context.Context { return tenant.System(ctx, w.homes["A"].tenant) },
			sees:    with(with(ownA, "shared", []string{"A", "operator"}), "system", []string{"A", "B"}),
			changes: with(ownA, "system", []string{"A", "B"})},
	}
}

func everybody() map[string][]string {
	all := always([]string{"A", "B"})
	return with(with(all, "shared", []string{"A", "B", "operator"}), "operator too", []string{"A", "B", "operator"})
}

// attempt is what one caller tries with one type, through a client whose transaction is rolled back.
type attempt func(t *testing.T, ctx context.Context, c caller, w *world, client *ent.Client, name string)

// eachCaller runs f for every caller and type, on both databases.
func eachCaller(t *testing.T, f attempt) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) { eachCallerOn(t, newWorld(t, url), f) })
}

func eachCallerOn(t *testing.T, w *world, f attempt) {
	for _, c := range callers() {
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				tx, err := w.client.Tx(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = tx.Rollback() }()
				f(t, c.context(t.Context(), w), c, w, tx.Client(), name)
			})
		}
	}
}

func TestReads(t *testing.T) {
	eachCaller(t, func(t *testing.T, ctx context.Context, c caller, w *world, client *ent.Client, name string) {
		kind := kinds[name].belongs
		ids, err := call2(call1(of(client, name), "Query"), "IDs", ctx)
		if !errors.Is(err, c.fails[kind]) {
			t.Fatalf("listing: got error %v, want %v", err, c.fails[kind])
		}
		if err != nil {
			wantFailing(t, ctx, client, w.rows[name], name, c.fails[kind])
			return
		}
		var got []string
		for i := range reflect.ValueOf(ids).Len() {
			got = append(got, w.owners[reflect.ValueOf(ids).Index(i).Interface()])
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, c.sees[kind]) {
			t.Errorf("listing: got rows of %v, want %v", got, c.sees[kind])
		}
		exist, err := call2(call1(of(client, name), "Query"), "Exist", ctx)
		if err != nil || exist != (len(c.sees[kind]) > 0) {
			t.Errorf("asking for existence: got %v, %v", exist, err)
		}
		for _, r := range w.rows[name] {
			_, err := call2(of(client, name), "Get", ctx, r.id)
			wantAccess(t, "getting", r, err, c.sees[kind], nil)
		}
	})
}

// wantFailing checks that the other reads of a type fail as the listing did.
func wantFailing(t *testing.T, ctx context.Context, client *ent.Client, rows []row, name string, want error) {
	t.Helper()
	if _, err := call2(call1(of(client, name), "Query"), "Exist", ctx); !errors.Is(err, want) {
		t.Errorf("asking for existence: got %v, want %v", err, want)
	}
	for _, r := range rows {
		_, err := call2(of(client, name), "Get", ctx, r.id)
		wantAccess(t, "getting", r, err, nil, want)
	}
}

func TestUpdatesAndDeletes(t *testing.T) {
	eachCaller(t, func(t *testing.T, ctx context.Context, c caller, w *world, client *ent.Client, name string) {
		kind, fails := kinds[name].belongs, c.fails[kinds[name].belongs]
		if kinds[name].frozen && fails == nil {
			fails = rule.ErrAppendOnly
		}
		for _, r := range w.rows[name] {
			one := call1(call1(of(client, name), "UpdateOneID", r.id), "Modify", touch(name))
			wantAccess(t, "updating", r, callErr(one, "Exec", ctx), c.changes[kind], fails)
		}
		n, err := call2(call1(call1(of(client, name), "Update"), "Modify", touch(name)), "Save", ctx)
		if !errors.Is(err, fails) || fails == nil && (n == 0) != (len(c.changes[kind]) == 0) {
			t.Errorf("updating all: got %v, %v", n, err)
		}
		for _, r := range w.rows[name] {
			wantAccess(t, "deleting", r, callErr(call1(of(client, name), "DeleteOneID", r.id), "Exec", ctx), c.changes[kind], fails)
		}
		if name != "OAuthApp" { // its helper rows are held by connections
			if _, err := call2(call1(of(client, name), "Delete"), "Exec", ctx); !errors.Is(err, fails) {
				t.Errorf("deleting all: got %v, want %v", err, fails)
			}
		}
		everything := tenant.System(t.Context(), uuid.Nil)
		for _, r := range w.rows[name] {
			_, err := call2(of(client, name), "Get", everything, r.id)
			gone := fails == nil && slices.Contains(c.changes[kind], r.owner)
			if ent.IsNotFound(err) != gone {
				t.Errorf("after deleting, the row of %s: got %v, want gone %v", r.owner, err, gone)
			}
		}
	})
}

// wantAccess checks what reaching for one row gave: the row, absence, or the error that everything fails with.
func wantAccess(t *testing.T, doing string, r row, err error, owners []string, fails error) {
	t.Helper()
	switch {
	case fails != nil:
		if !errors.Is(err, fails) {
			t.Errorf("%s the row of %s: got %v, want %v", doing, r.owner, err, fails)
		}
	case slices.Contains(owners, r.owner):
		if err != nil {
			t.Errorf("%s the row of %s: got %v, want it done", doing, r.owner, err)
		}
	case !ent.IsNotFound(err):
		t.Errorf("%s the row of %s: got %v, want not found", doing, r.owner, err)
	}
}

// TestEdges proves that a row which points into another tenant leads nowhere.
func TestEdges(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) { walkEdges(t, newWorld(t, url)) })
}

func walkEdges(t *testing.T, w *world) {
	t.Helper()
	a, b := w.homes["A"], w.homes["B"]
	stray := newConnection(w.client, b.app).SetTenantID(a.tenant).SaveX(tenant.System(t.Context(), uuid.Nil))
	ctx := tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: a.tenant})
	if found, err := stray.QueryApp().Exist(ctx); found || err != nil {
		t.Errorf("walking the edge: got %v, %v", found, err)
	}
	got := w.client.Connection.Query().WithApp().AllX(ctx)
	for _, c := range got {
		if (c.Edges.App == nil) != (c.ID == stray.ID) {
			t.Errorf("loading the edge of %v: got %v", c.ID, c.Edges.App)
		}
	}
	narrow := func(s *sql.Selector) { s.Select(s.C("id")) }
	if rows, err := w.client.OAuthApp.Query().Modify(narrow).Strings(tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: b.tenant})); err != nil || len(rows) != 4 {
		t.Errorf("selecting with a modifier: got %d rows, %v, want 4", len(rows), err)
	}
}
