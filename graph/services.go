package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
)

// Connections is what the resolvers need of internal/connection.
type Connections interface {
	Create(ctx context.Context, in connection.CreateInput) (c *ent.Connection, created bool, err error)
	Update(ctx context.Context, in connection.UpdateInput) (*ent.Connection, error)
	Delete(ctx context.Context, id uuid.UUID) error
	Refresh(ctx context.Context, id uuid.UUID) (*ent.Connection, error)
	ReportUnauthorized(ctx context.Context, id uuid.UUID, version int64) (*ent.Connection, error)
	Credential(ctx context.Context, of connection.Selector, minTTL *int) (connection.Result, error)
	Credentials(ctx context.Context, ids []uuid.UUID, minTTL *int) ([]connection.Result, error)
}

// Apps is what the resolvers need of internal/app.
type Apps interface {
	Create(ctx context.Context, in app.CreateInput) (*ent.OAuthApp, error)
	Update(ctx context.Context, in app.UpdateInput) (*ent.OAuthApp, error)
	Delete(ctx context.Context, id uuid.UUID) error
	WebhookURL(a *ent.OAuthApp) string
}

// Tenancy is what the resolvers need of internal/tenancy.
type Tenancy interface {
	CreateTenant(ctx context.Context, name string, metadata map[string]string) (*ent.Tenant, secret.Text, error)
	UpdateTenant(ctx context.Context, id uuid.UUID, name *string, metadata *map[string]string) (*ent.Tenant, error)
	DeleteTenant(ctx context.Context, id uuid.UUID, immediately bool) error
	RotateKey(ctx context.Context, id uuid.UUID) (*ent.Tenant, error)
	CreateKey(ctx context.Context, in tenancy.CreateKeyInput) (*ent.APIKey, secret.Text, error)
	RevokeKey(ctx context.Context, id uuid.UUID) (*ent.APIKey, error)
}

// Holds is what the resolvers need of internal/hold.
type Holds interface {
	List(ctx context.Context, standing bool) ([]hold.Seen, error)
	Confirm(ctx context.Context, id uuid.UUID) (hold.Seen, error)
	Dismiss(ctx context.Context, id uuid.UUID) (hold.Seen, error)
}

var (
	_ Holds       = (*hold.Service)(nil)
	_ Connections = (*connection.Service)(nil)
	_ Apps        = (*app.Service)(nil)
	_ Tenancy     = (*tenancy.Service)(nil)
)
