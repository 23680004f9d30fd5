package read

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/apikey"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// ConnectionsByID are those of the connections that the caller's tenant has, in no order.
// Errors: UNAUTHENTICATED, FORBIDDEN.
func (r *Reader) ConnectionsByID(ctx context.Context, ids ...uuid.UUID) ([]*ent.Connection, error) {
	if _, err := audit.RequireRead(ctx, tenant.ConnectionsRead); err != nil {
		return nil, err
	}
	return r.client.Connection.Query().Where(connection.IDIn(ids...)).All(ctx)
}

// AppsByID are those of the apps that the caller may use, in no order. Errors: UNAUTHENTICATED, FORBIDDEN.
func (r *Reader) AppsByID(ctx context.Context, ids ...uuid.UUID) ([]*ent.OAuthApp, error) {
	if err := Catalogue(ctx); err != nil {
		return nil, err
	}
	return r.apps(ctx, ids...)
}

// apps is AppsByID for the app of a connection that the caller got, whatever the scope that got it.
func (r *Reader) apps(ctx context.Context, ids ...uuid.UUID) ([]*ent.OAuthApp, error) {
	return r.client.OAuthApp.Query().Where(oauthapp.IDIn(ids...)).All(ctx)
}

// TenantsByID are those of the tenants that the caller may see, in no order: his own, or any for an operator.
// Errors: UNAUTHENTICATED.
func (r *Reader) TenantsByID(ctx context.Context, ids ...uuid.UUID) ([]*ent.Tenant, error) {
	if _, err := viewer(ctx); err != nil {
		return nil, err
	}
	return r.client.Tenant.Query().Where(enttenant.IDIn(ids...)).All(ctx)
}

// KeysByID are those of the keys that the caller's tenant has, in no order. Errors: UNAUTHENTICATED, FORBIDDEN.
func (r *Reader) KeysByID(ctx context.Context, ids ...uuid.UUID) ([]*ent.APIKey, error) {
	if _, err := audit.RequireRead(ctx, tenant.TenantAdmin); err != nil {
		return nil, err
	}
	return r.client.APIKey.Query().Where(apikey.IDIn(ids...)).All(ctx)
}

// OwnKey is the caller's own key, which takes no scope to see; nil for an operator. Errors: UNAUTHENTICATED.
func (r *Reader) OwnKey(ctx context.Context) (*ent.APIKey, error) {
	v, err := viewer(ctx)
	if err != nil || v.KeyID == uuid.Nil {
		return nil, err
	}
	return absent(r.client.APIKey.Query().Where(apikey.ID(v.KeyID)).Only(ctx))
}

// OwnTenant is the tenant that the caller acts in; nil for an operator who acts in none. Errors: UNAUTHENTICATED.
func (r *Reader) OwnTenant(ctx context.Context) (*ent.Tenant, error) {
	v, err := viewer(ctx)
	if err != nil || v.Tenant == uuid.Nil {
		return nil, err
	}
	return absent(r.client.Tenant.Query().Where(enttenant.ID(v.Tenant)).Only(ctx))
}
