package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Resolver has what the resolvers call.
type Resolver struct {
	connections Connections
	apps        Apps
	tenancy     Tenancy
	holds       Holds
	providers   *provider.Catalogue
	read        *read.Reader
}

var _ generated.ResolverRoot = (*Resolver)(nil)

// app is the app of a connection, read once for a whole response.
func (r *Resolver) app(ctx context.Context, c *ent.Connection) (*ent.OAuthApp, error) {
	a, err := read.FromContext(ctx).App(ctx, c.AppID)
	if err == nil && a == nil {
		return nil, errs.New(errs.Internal, "the app of a connection is missing")
	}
	return a, err
}

// tenant is a tenant that a row names, read once for a whole response; nil for what is the operator's.
func (r *Resolver) tenant(ctx context.Context, id uuid.UUID) (*model.Tenant, error) {
	if id == tenant.Operator {
		return nil, nil
	}
	t, err := read.FromContext(ctx).Tenant(ctx, id)
	return model.TenantOf(t), err
}

// provider is a catalogue entry. One that the operator has taken out since is its key and nothing else: what was
// connected with it can still be listed.
func (r *Resolver) provider(key string) *model.Provider {
	p, ok := r.providers.Get(key)
	if !ok {
		p = provider.Provider{Key: key, Name: key}
	}
	return model.ProviderOf(p)
}
