package read_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// operator is a context in which the operator calls, inside a tenant or, for uuid.Nil, in none.
func operator(ctx context.Context, inside uuid.UUID) context.Context {
	return tenant.NewContext(ctx, &tenant.Viewer{Tenant: inside, IsOperator: true})
}

// TestOtherLists walks the lists that have one order, a page at a time and from both ends.
func TestOtherLists(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		client := servicetest.OpenDatabase(t, url).Ent
		mine, other := id.New(), id.New()
		const n = 5
		for i := range n {
			for _, u := range []uuid.UUID{mine, other} {
				seed(as(t.Context(), u), t, client, i)
			}
			if err := client.Tenant.Create().SetName(fmt.Sprint("tenant", i)).Exec(operator(t.Context(), uuid.Nil)); err != nil {
				t.Fatal(err)
			}
		}
		r := read.New(client)
		walk(as(t.Context(), mine), t, "apps", n, r.Apps,
			func(a *ent.OAuthApp) (string, bool) { return a.Name, a.TenantID == mine })
		walk(as(t.Context(), mine), t, "keys", n, r.Keys,
			func(k *ent.APIKey) (string, bool) { return k.Name, k.TenantID == mine })
		walk(operator(t.Context(), uuid.Nil), t, "tenants", n, r.Tenants,
			func(x *ent.Tenant) (string, bool) { return x.Name, true })
	})
}

func seed(ctx context.Context, t *testing.T, client *ent.Client, i int) {
	t.Helper()
	err := client.OAuthApp.Create().SetProvider("zoom").SetName(fmt.Sprint("apps", i)).SetClientID(fmt.Sprint(i)).
		SetRedirectUris(nil).SetReturnTo(nil).SetScopes(nil).Exec(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = client.APIKey.Create().SetName(fmt.Sprint("keys", i)).SetPrefix("tk_").SetHash(fmt.Append(nil, id.New())).SetScopes(nil).Exec(ctx)
	if err != nil {
		t.Fatal(err)
	}
}

// walk goes through a list of n newest first, two at a time, then back from the end.
func walk[T any](
	ctx context.Context, t *testing.T, list string, n int,
	read func(context.Context, page.Args) (*page.Page[T], error), name func(T) (string, bool),
) {
	t.Helper()
	two := 2
	for _, forward := range []bool{true, false} {
		args := page.Args{First: &two}
		if !forward {
			args = page.Args{Last: &two}
		}
		seen := 0
		for range n {
			p, err := read(ctx, args)
			if err != nil {
				t.Fatalf("%s: %v", list, err)
			}
			total, err := p.Total(ctx)
			if err != nil || total.N != n || !total.Exact {
				t.Errorf("%s total: got %+v, %v, want %d", list, total, err, n)
			}
			for i, row := range p.Items {
				place := seen + i
				if !forward {
					place = n - seen - len(p.Items) + i
				}
				if got, mine := name(row); !mine || got[len(got)-1:] != fmt.Sprint(n-1-place) {
					t.Errorf("%s at %d: got %s", list, place, got)
				}
			}
			seen += len(p.Items)
			start, end := p.Ends()
			args.After, args.Before = end, nil
			more := p.Next
			if !forward {
				args.After, args.Before, more = nil, start, p.Previous
			}
			if goes, err := more(ctx); err != nil || !goes {
				break
			}
		}
		if seen != n {
			t.Errorf("%s: saw %d, want %d", list, seen, n)
		}
	}
}

// TestScopes tries every read as nobody, without its scope, and as those who may.
func TestScopes(t *testing.T) {
	r := read.New(servicetest.OpenDatabase(t, servicetest.SQLite(t)).Ent)
	u := id.New()
	reads := map[string]func(context.Context) error{
		"connections": func(ctx context.Context) error {
			_, err := r.Connections(ctx, page.Args{}, read.Filter{}, page.Order{Field: page.Created})
			return err
		},
		"connections by id": func(ctx context.Context) error { _, err := r.ConnectionsByID(ctx, u); return err },
		"apps":              func(ctx context.Context) error { _, err := r.Apps(ctx, page.Args{}); return err },
		"apps by id":        func(ctx context.Context) error { _, err := r.AppsByID(ctx, u); return err },
		"keys":              func(ctx context.Context) error { _, err := r.Keys(ctx, page.Args{}); return err },
		"keys by id":        func(ctx context.Context) error { _, err := r.KeysByID(ctx, u); return err },
		"tenants":           func(ctx context.Context) error { _, err := r.Tenants(ctx, page.Args{}); return err },
		"tenants by id":     func(ctx context.Context) error { _, err := r.TenantsByID(ctx, u); return err },
		"own key":           func(ctx context.Context) error { _, err := r.OwnKey(ctx); return err },
		"own tenant":        func(ctx context.Context) error { _, err := r.OwnTenant(ctx); return err },
	}
	may := map[string]map[string]bool{
		"reader":          {"connections": true, "connections by id": true, "apps": true, "apps by id": true, "tenants by id": true, "own key": true, "own tenant": true},
		"writer":          {"tenants by id": true, "own key": true, "own tenant": true},
		"admin":           {"connections": true, "connections by id": true, "apps": true, "apps by id": true, "keys": true, "keys by id": true, "tenants by id": true, "own key": true, "own tenant": true},
		"operator":        {"apps": true, "apps by id": true, "tenants": true, "tenants by id": true, "own key": true, "own tenant": true},
		"operator inside": {"connections": true, "connections by id": true, "apps": true, "apps by id": true, "keys": true, "keys by id": true, "tenants": true, "tenants by id": true, "own key": true, "own tenant": true},
	}
	callers := map[string]context.Context{
		"reader":          as(t.Context(), u, tenant.ConnectionsRead),
		"writer":          as(t.Context(), u, tenant.ConnectionsWrite, tenant.CredentialsRead, tenant.AppsWrite),
		"admin":           as(t.Context(), u),
		"operator":        operator(t.Context(), uuid.Nil),
		"operator inside": operator(t.Context(), u),
	}
	for name, do := range reads {
		if err := do(t.Context()); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s as nobody: got %v, want UNAUTHENTICATED", name, err)
		}
		for caller, ctx := range callers {
			err := do(ctx)
			if may[caller][name] && err != nil || !may[caller][name] && !errs.Is(err, errs.Forbidden) {
				t.Errorf("%s as %s: got %v, may: %t", name, caller, err, may[caller][name])
			}
		}
	}
}

// TestCountingStops counts a list that is one connection too long, and the same without its first two.
func TestCountingStops(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, servicetest.OpenDatabase(t, url), 1, read.CountLimit+1)
		r, ctx, later := read.New(w.client), as(t.Context(), w.mine), epoch.Add(time.Millisecond)
		for _, test := range []struct {
			filter read.Filter
			want   page.Total
		}{
			{read.Filter{}, page.Total{N: read.CountLimit, Exact: false}},
			{read.Filter{CreatedAfter: &later}, page.Total{N: read.CountLimit - 1, Exact: true}},
		} {
			p, err := r.Connections(ctx, page.Args{}, test.filter, page.Order{Field: page.Created})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Total(ctx); err != nil || got != test.want {
				t.Errorf("%+v: got %+v, %v, want %+v", test.filter, got, err, test.want)
			}
		}
	})
}
