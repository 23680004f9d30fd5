package read

import (
	"context"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Apps is a page of the apps that the caller may use. Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT.
func (r *Reader) Apps(ctx context.Context, args page.Args) (*page.Page[*ent.OAuthApp], error) {
	if err := Catalogue(ctx); err != nil {
		return nil, err
	}
	return newest(ctx, page.Apps, args, page.Source[*ent.OAuthApp]{
		Rows: func(ctx context.Context, w page.Walk) ([]*ent.OAuthApp, error) {
			return r.client.OAuthApp.Query().Where(created.within(w)).Order(created.along(w)).Limit(w.Limit).All(ctx)
		},
		Key:   func(a *ent.OAuthApp) page.Key { return page.Key{ID: a.ID} },
		Count: exactly(func(ctx context.Context) (int, error) { return r.client.OAuthApp.Query().Count(ctx) }),
	})
}

// Keys is a page of the keys of the caller's tenant. Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT.
func (r *Reader) Keys(ctx context.Context, args page.Args) (*page.Page[*ent.APIKey], error) {
	if _, err := audit.RequireRead(ctx, tenant.TenantAdmin); err != nil {
		return nil, err
	}
	return newest(ctx, page.Keys, args, page.Source[*ent.APIKey]{
		Rows: func(ctx context.Context, w page.Walk) ([]*ent.APIKey, error) {
			return r.client.APIKey.Query().Where(created.within(w)).Order(created.along(w)).Limit(w.Limit).All(ctx)
		},
		Key:   func(k *ent.APIKey) page.Key { return page.Key{ID: k.ID} },
		Count: exactly(func(ctx context.Context) (int, error) { return r.client.APIKey.Query().Count(ctx) }),
	})
}

// Tenants is a page of all tenants, for an operator. Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT.
func (r *Reader) Tenants(ctx context.Context, args page.Args) (*page.Page[*ent.Tenant], error) {
	if err := operator(ctx); err != nil {
		return nil, err
	}
	return newest(ctx, page.Tenants, args, page.Source[*ent.Tenant]{
		Rows: func(ctx context.Context, w page.Walk) ([]*ent.Tenant, error) {
			return r.client.Tenant.Query().Where(created.within(w)).Order(created.along(w)).Limit(w.Limit).All(ctx)
		},
		Key:   func(t *ent.Tenant) page.Key { return page.Key{ID: t.ID} },
		Count: exactly(func(ctx context.Context) (int, error) { return r.client.Tenant.Query().Count(ctx) }),
	})
}

// newest is a page of a list that has one order only.
func newest[T any](ctx context.Context, list page.List, args page.Args, source page.Source[T]) (*page.Page[T], error) {
	plan, err := page.Order{List: list, Field: page.Created, Desc: true}.Plan(args)
	if err != nil {
		return nil, err
	}
	return page.Fetch(ctx, plan, source)
}

func exactly(count func(context.Context) (int, error)) func(context.Context) (page.Total, error) {
	return func(ctx context.Context) (page.Total, error) {
		n, err := count(ctx)
		return page.Total{N: n, Exact: true}, err
	}
}
