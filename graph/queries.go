package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
	tkid "github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Query implements generated.ResolverRoot.
func (r *Resolver) Query() generated.QueryResolver { return &queryResolver{r} }

type queryResolver struct{ *Resolver }

func (r *queryResolver) Node(ctx context.Context, id string) (model.Node, error) {
	nodes, err := r.nodes(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func (r *queryResolver) Nodes(ctx context.Context, ids []string) ([]model.Node, error) {
	if err := limited("ids", ids); err != nil {
		return nil, err
	}
	return r.nodes(ctx, ids)
}

func (r *queryResolver) Viewer(ctx context.Context) (*model.Viewer, error) {
	t, err := r.read.OwnTenant(ctx)
	if err != nil {
		return nil, err
	}
	k, err := r.read.OwnKey(ctx)
	if err != nil {
		return nil, err
	}
	v := tenant.FromContext(ctx)
	return &model.Viewer{Tenant: model.TenantOf(t), APIKey: model.APIKeyOf(k), Scopes: model.ScopesOf(v), IsOperator: v.IsOperator}, nil
}

func (r *queryResolver) Providers(ctx context.Context) ([]*model.Provider, error) {
	if err := read.Catalogue(ctx); err != nil {
		return nil, err
	}
	return model.ProvidersOf(r.providers.List()), nil
}

func (r *queryResolver) Provider(ctx context.Context, key string) (*model.Provider, error) {
	if err := read.Catalogue(ctx); err != nil {
		return nil, err
	}
	p, ok := r.providers.Get(key)
	if !ok {
		return nil, nil
	}
	return model.ProviderOf(p), nil
}

func (r *queryResolver) App(ctx context.Context, id string) (*model.OAuthApp, error) {
	a, err := one(r.read.AppsByID(ctx, sought(tkid.App, id)))
	return model.OAuthAppOf(a), err
}

func (r *queryResolver) Apps(ctx context.Context, first *int, after *string, last *int, before *string) (*model.OAuthAppConnection, error) {
	p, err := r.read.Apps(ctx, page.Args{First: first, After: after, Last: last, Before: before})
	if err != nil {
		return nil, err
	}
	return model.AppPage(p), nil
}

func (r *queryResolver) Connection(ctx context.Context, id string) (*model.Connection, error) {
	c, err := one(r.read.ConnectionsByID(ctx, sought(tkid.Connection, id)))
	return model.ConnectionOf(c), err
}

func (r *queryResolver) Connections(ctx context.Context, first *int, after *string, last *int, before *string, filter *model.ConnectionFilter, orderBy *model.ConnectionOrder) (*model.ConnectionConnection, error) {
	f, err := filterOf(filter)
	if err != nil {
		return nil, err
	}
	p, err := r.read.Connections(ctx, page.Args{First: first, After: after, Last: last, Before: before}, f, orderOf(orderBy))
	if err != nil {
		return nil, err
	}
	return model.ConnectionPage(p), nil
}

func (r *queryResolver) Credential(ctx context.Context, of model.CredentialSelector, minTTL *int) (model.CredentialResult, error) {
	selector, err := selectorOf(of)
	if err != nil {
		return nil, err
	}
	selector.Bare = !selectsConnection(ctx)
	result, err := r.connections.Credential(ctx, selector, minTTL)
	if err != nil {
		return nil, err
	}
	return model.CredentialResultOf(result), nil
}

// selectsConnection reports whether the request asks for anything of a credential's connection.
func selectsConnection(ctx context.Context) bool {
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, []string{"Credential", "CredentialResult"}), func(f graphql.CollectedField) bool {
		return f.Name == "connection"
	})
}

func (r *queryResolver) Credentials(ctx context.Context, connections []string, minTTL *int) ([]model.CredentialResult, error) {
	if err := limited("connections", connections); err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(connections))
	for i, text := range connections {
		ids[i] = sought(tkid.Connection, text)
	}
	results, err := r.connections.Credentials(ctx, ids, minTTL)
	return model.CredentialResultsOf(results), err
}

func (r *queryResolver) APIKeys(ctx context.Context, first *int, after *string, last *int, before *string) (*model.APIKeyConnection, error) {
	p, err := r.read.Keys(ctx, page.Args{First: first, After: after, Last: last, Before: before})
	if err != nil {
		return nil, err
	}
	return model.KeyPage(p), nil
}

func (r *queryResolver) Tenants(ctx context.Context, first *int, after *string, last *int, before *string) (*model.TenantConnection, error) {
	p, err := r.read.Tenants(ctx, page.Args{First: first, After: after, Last: last, Before: before})
	if err != nil {
		return nil, err
	}
	return model.TenantPage(p), nil
}

func (r *queryResolver) Holds(ctx context.Context, standing *bool) ([]*model.Hold, error) {
	all, err := r.holds.List(ctx, standing != nil && *standing)
	return model.HoldsOf(all), err
}
