package graph

import (
	"context"

	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/model"
	tkid "github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
)

// Mutation implements generated.ResolverRoot.
func (r *Resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }

type mutationResolver struct{ *Resolver }

func (r *mutationResolver) CreateConnection(ctx context.Context, input model.CreateConnectionInput) (*model.CreateConnectionPayload, error) {
	in, err := createInput(input)
	if err != nil {
		return nil, err
	}
	c, created, err := r.connections.Create(ctx, in)
	if err != nil {
		return nil, err
	}
	return &model.CreateConnectionPayload{Connection: model.ConnectionOf(c), Created: created}, nil
}

func (r *mutationResolver) UpdateConnection(ctx context.Context, input model.UpdateConnectionInput) (*model.UpdateConnectionPayload, error) {
	in, err := updateInput(input)
	if err != nil {
		return nil, err
	}
	c, err := r.connections.Update(ctx, in)
	if err != nil {
		return nil, err
	}
	return &model.UpdateConnectionPayload{Connection: model.ConnectionOf(c)}, nil
}

func (r *mutationResolver) DeleteConnection(ctx context.Context, id string) (*model.DeleteConnectionPayload, error) {
	u, err := parse(tkid.Connection, "id", id)
	if err != nil {
		return nil, err
	}
	if err := r.connections.Delete(ctx, u); err != nil {
		return nil, err
	}
	return &model.DeleteConnectionPayload{DeletedID: id}, nil
}

func (r *mutationResolver) RefreshConnection(ctx context.Context, id string) (*model.RefreshConnectionPayload, error) {
	u, err := parse(tkid.Connection, "id", id)
	if err != nil {
		return nil, err
	}
	c, err := r.connections.Refresh(ctx, u)
	if err != nil {
		return nil, err
	}
	return &model.RefreshConnectionPayload{Connection: model.ConnectionOf(c)}, nil
}

func (r *mutationResolver) ReportUnauthorized(ctx context.Context, connection string, version int) (*model.ReportUnauthorizedPayload, error) {
	u, err := parse(tkid.Connection, "connection", connection)
	if err != nil {
		return nil, err
	}
	c, err := r.connections.ReportUnauthorized(ctx, u, int64(version))
	if err != nil {
		return nil, err
	}
	return &model.ReportUnauthorizedPayload{Connection: model.ConnectionOf(c)}, nil
}

func (r *mutationResolver) CreateOAuthApp(ctx context.Context, input model.CreateOAuthAppInput) (*model.CreateOAuthAppPayload, error) {
	a, err := r.apps.Create(ctx, createAppInput(input))
	if err != nil {
		return nil, err
	}
	return &model.CreateOAuthAppPayload{App: model.OAuthAppOf(a)}, nil
}

func (r *mutationResolver) UpdateOAuthApp(ctx context.Context, input model.UpdateOAuthAppInput) (*model.UpdateOAuthAppPayload, error) {
	in, err := updateAppInput(input)
	if err != nil {
		return nil, err
	}
	a, err := r.apps.Update(ctx, in)
	if err != nil {
		return nil, err
	}
	return &model.UpdateOAuthAppPayload{App: model.OAuthAppOf(a)}, nil
}

func (r *mutationResolver) DeleteOAuthApp(ctx context.Context, id string) (*model.DeleteOAuthAppPayload, error) {
	u, err := parse(tkid.App, "id", id)
	if err != nil {
		return nil, err
	}
	if err := r.apps.Delete(ctx, u); err != nil {
		return nil, err
	}
	return &model.DeleteOAuthAppPayload{DeletedID: id}, nil
}

func (r *mutationResolver) CreateAPIKey(ctx context.Context, input model.CreateAPIKeyInput) (*model.CreateAPIKeyPayload, error) {
	k, secret, err := r.tenancy.CreateKey(ctx, tenancy.CreateKeyInput{
		Name: input.Name, Scopes: model.TenantScopes(input.Scopes), ExpiresAt: input.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return &model.CreateAPIKeyPayload{APIKey: model.APIKeyOf(k), Secret: secret}, nil
}

func (r *mutationResolver) RevokeAPIKey(ctx context.Context, id string) (*model.RevokeAPIKeyPayload, error) {
	u, err := parse(tkid.Key, "id", id)
	if err != nil {
		return nil, err
	}
	k, err := r.tenancy.RevokeKey(ctx, u)
	if err != nil {
		return nil, err
	}
	return &model.RevokeAPIKeyPayload{APIKey: model.APIKeyOf(k)}, nil
}

func (r *mutationResolver) CreateTenant(ctx context.Context, input model.CreateTenantInput) (*model.CreateTenantPayload, error) {
	t, key, err := r.tenancy.CreateTenant(ctx, input.Name, input.Metadata)
	if err != nil {
		return nil, err
	}
	return &model.CreateTenantPayload{Tenant: model.TenantOf(t), APIKey: key}, nil
}

func (r *mutationResolver) UpdateTenant(ctx context.Context, input model.UpdateTenantInput) (*model.UpdateTenantPayload, error) {
	u, err := parse(tkid.Tenant, "id", input.ID)
	if err != nil {
		return nil, err
	}
	var metadata *map[string]string
	if m, set := input.Metadata.ValueOK(); set {
		metadata = &m
	}
	t, err := r.tenancy.UpdateTenant(ctx, u, input.Name, metadata)
	if err != nil {
		return nil, err
	}
	return &model.UpdateTenantPayload{Tenant: model.TenantOf(t)}, nil
}

func (r *mutationResolver) DeleteTenant(ctx context.Context, id string, immediately *bool) (*model.DeleteTenantPayload, error) {
	u, err := parse(tkid.Tenant, "id", id)
	if err != nil {
		return nil, err
	}
	if err := r.tenancy.DeleteTenant(ctx, u, immediately != nil && *immediately); err != nil {
		return nil, err
	}
	return &model.DeleteTenantPayload{DeletedID: id}, nil
}

func (r *mutationResolver) RotateTenantKey(ctx context.Context, id string) (*model.RotateTenantKeyPayload, error) {
	u, err := parse(tkid.Tenant, "id", id)
	if err != nil {
		return nil, err
	}
	t, err := r.tenancy.RotateKey(ctx, u)
	if err != nil {
		return nil, err
	}
	return &model.RotateTenantKeyPayload{Tenant: model.TenantOf(t)}, nil
}

func (r *mutationResolver) ConfirmHold(ctx context.Context, id string) (*model.ConfirmHoldPayload, error) {
	u, err := parse(tkid.Hold, "id", id)
	if err != nil {
		return nil, err
	}
	h, err := r.holds.Confirm(ctx, u)
	if err != nil {
		return nil, err
	}
	return &model.ConfirmHoldPayload{Hold: model.HoldOf(h)}, nil
}

func (r *mutationResolver) DismissHold(ctx context.Context, id string) (*model.DismissHoldPayload, error) {
	u, err := parse(tkid.Hold, "id", id)
	if err != nil {
		return nil, err
	}
	h, err := r.holds.Dismiss(ctx, u)
	if err != nil {
		return nil, err
	}
	return &model.DismissHoldPayload{Hold: model.HoldOf(h)}, nil
}
