package graph

import (
	"context"

	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// Connection implements generated.ResolverRoot.
func (r *Resolver) Connection() generated.ConnectionResolver { return &connectionResolver{r} }

type connectionResolver struct{ *Resolver }

// OAuthApp implements generated.ResolverRoot.
func (r *Resolver) OAuthApp() generated.OAuthAppResolver { return &oAuthAppResolver{r} }

type oAuthAppResolver struct{ *Resolver }

func (r *connectionResolver) Tenant(ctx context.Context, obj *model.Connection) (*model.Tenant, error) {
	return r.tenant(ctx, obj.Row.TenantID)
}

func (r *connectionResolver) App(ctx context.Context, obj *model.Connection) (*model.OAuthApp, error) {
	a, err := r.app(ctx, obj.Row)
	return model.OAuthAppOf(a), err
}

func (r *connectionResolver) Provider(ctx context.Context, obj *model.Connection) (*model.Provider, error) {
	return r.provider(obj.Row.Provider), nil
}

func (r *connectionResolver) MissingScopes(ctx context.Context, obj *model.Connection) ([]string, error) {
	a, err := r.app(ctx, obj.Row)
	if err != nil {
		return nil, err
	}
	return model.List(connection.MissingScopes(obj.Row, a)), nil
}

func (r *oAuthAppResolver) Tenant(ctx context.Context, obj *model.OAuthApp) (*model.Tenant, error) {
	return r.tenant(ctx, obj.Row.TenantID)
}

func (r *oAuthAppResolver) Provider(ctx context.Context, obj *model.OAuthApp) (*model.Provider, error) {
	return r.provider(obj.Row.Provider), nil
}

func (r *oAuthAppResolver) WebhookURL(ctx context.Context, obj *model.OAuthApp) (string, error) {
	return r.apps.WebhookURL(obj.Row), nil
}
