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
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// filing is where a caller's new row lands, by the tenant that the row names ("" where it names none): an owner, or an
// error.
type filing map[string]any

// filings says what becomes of creates, for tables that belong to tenants.
var filings = map[string]map[string]filing{
	"A's key":               {"": inA},
	"operator in A":         {"": inA},
	"system for A":          {"": inA},
	"operator in no tenant": {"": refused, "operator too": operators, "shared": operators},
	"system":                {"": {"": rule.ErrTenantMissing, "A": "A", "B": "B", "operator": "operator"}},
}

var (
	inA       = filing{"": "A", "A": "A", "B": rule.ErrTenantMismatch, "operator": rule.ErrTenantMismatch}
	refused   = filing{"": rule.ErrTenantMismatch, "A": rule.ErrTenantMismatch, "B": rule.ErrTenantMismatch, "operator": rule.ErrTenantMismatch}
	operators = filing{"": "operator", "operator": "operator", "A": rule.ErrTenantMismatch, "B": rule.ErrTenantMismatch}
	noViewer  = filing{"": rule.ErrNoViewer, "A": rule.ErrNoViewer, "B": rule.ErrNoViewer, "operator": rule.ErrNoViewer}
)

// filingOf finds what the tables above say.
func filingOf(c caller, kind string) filing {
	if c.fails[kind] != nil {
		return noViewer
	}
	if f := filings[c.name][kind]; len(f) > 0 {
		return f
	}
	return filings[c.name][""]
}

// TestCreates tries every way to insert: one row, in bulk, and as an upsert.
func TestCreates(t *testing.T) {
	eachCaller(t, func(t *testing.T, ctx context.Context, c caller, w *world, client *ent.Client, name string) {
		k := kinds[name]
		if c.name == "a third tenant" || k.belongs == "tenant" || k.belongs == "system" {
			return // as A's key; TestSpecialCreates
		}
		for _, named := range []string{"", "A", "B", "operator"} {
			build := func() any {
				h := w.homes["A"]
				return filedUnder(k.build(client, h), w.homes[named].tenant)
			}
			want := filingOf(c, k.belongs)[named]
			one, err := save(ctx, build())
			wantFiled(t, w, "creating", named, one, err, want)
			many, err := save(ctx, call1(of(client, name), "CreateBulk", build(), build()))
			if err == nil {
				for i := range reflect.ValueOf(many).Len() {
					wantFiled(t, w, "creating in bulk", named, reflect.ValueOf(many).Index(i).Interface(), nil, want)
				}
			} else {
				wantFiled(t, w, "creating in bulk", named, nil, err, want)
			}
			upsert := call1(build(), "OnConflict", sql.ConflictColumns("id"), sql.ResolveWithNewValues())
			if err := callErr(upsert, "Exec", ctx); err != nil || reflect.TypeOf(want).Kind() != reflect.String {
				wantFiled(t, w, "upserting", named, nil, err, want)
			}
		}
	})
}

// wantFiled checks under whom a row landed.
func wantFiled(t *testing.T, w *world, doing, named string, made any, err error, want any) {
	t.Helper()
	if wanted, ok := want.(error); ok {
		if !errors.Is(err, wanted) {
			t.Errorf("%s a row that names %q: got %v, want %v", doing, named, err, wanted)
		}
		return
	}
	if err != nil {
		t.Errorf("%s a row that names %q: %v", doing, named, err)
		return
	}
	got := reflect.Indirect(reflect.ValueOf(made)).FieldByName("TenantID").Interface()
	if got != w.homes[want.(string)].tenant {
		t.Errorf("%s a row that names %q: it landed under %v, want %v", doing, named, got, want)
	}
}

// TestSpecialCreates tries the tables that have no tenant column.
func TestSpecialCreates(t *testing.T) {
	mayMakeTenants := []string{"operator in A", "operator in no tenant", "system"}
	eachCaller(t, func(t *testing.T, ctx context.Context, c caller, w *world, client *ent.Client, name string) {
		k, want := kinds[name], error(nil)
		switch {
		case k.belongs != "tenant" && k.belongs != "system":
			return
		case c.fails[k.belongs] != nil:
			want = c.fails[k.belongs]
		case k.belongs == "tenant" && !slices.Contains(mayMakeTenants, c.name):
			want = rule.ErrTenantMismatch
		}
		if _, err := save(ctx, k.build(client, home{tenant: uuid.New()})); !errors.Is(err, want) {
			t.Errorf("creating: got %v, want %v", err, want)
		}
	})
}

// TestFilingsNameCallers keeps the table in step with callers().
func TestFilingsNameCallers(t *testing.T) {
	var names []string
	for _, c := range callers() {
		names = append(names, c.name)
	}
	for name := range maps.Keys(filings) {
		if !slices.Contains(names, name) {
			t.Errorf("filings names %q, which is no caller", name)
		}
	}
	if tenant.Operator == uuid.Nil {
		t.Error("the operator's tenant is the zero UUID: a forgotten field would mean the operator")
	}
}
