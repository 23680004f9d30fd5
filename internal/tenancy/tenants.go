package tenancy

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// firstKeyName is what the key is called that comes with a tenant.
const firstKeyName = "first key"

// CreateTenant makes a tenant and its first key, which holds TENANT_ADMIN and is shown nowhere else. Operator only.
// The vault key comes first: a crash in between leaves a vault key that nobody uses, never a tenant that cannot seal.
// Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT, VAULT_UNAVAILABLE.
func (s *Service) CreateTenant(ctx context.Context, name string, meta map[string]string) (*ent.Tenant, secret.Text, error) {
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.TenantCreate, ""); err != nil {
		return nil, secret.Text{}, err
	}
	if err := firstError(checkName("name", name), metadata.Validate("metadata", meta)); err != nil {
		return nil, secret.Text{}, err
	}
	u := id.New()
	if err := s.vault.CreateKey(ctx, u); err != nil {
		return nil, secret.Text{}, fromVault("creating a tenant's key", err)
	}
	key, err := s.mint(ctx, u, CreateKeyInput{Scopes: []tenant.Scope{tenant.TenantAdmin}})
	if err != nil {
		return nil, secret.Text{}, err
	}
	var made *ent.Tenant
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		made, err = s.insertTenant(ctx, tx.Client(), u, name, meta, key)
		return err
	})
	if err != nil {
		return nil, secret.Text{}, fmt.Errorf("creating a tenant: %w", err)
	}
	return made, key.text, nil
}

// insertTenant writes the tenant and, as an operator inside of it, its first key. Each has its entry: the tenant in the
// operator's trail, the key in the tenant's.
func (s *Service) insertTenant(
	ctx context.Context, c *ent.Client, u uuid.UUID, name string, meta map[string]string, key minted,
) (*ent.Tenant, error) {
	now := s.now()
	create := c.Tenant.Create().SetID(u).SetName(name).SetCreatedAt(now).SetUpdatedAt(now)
	if len(meta) > 0 {
		create.SetMetadata(meta)
	}
	made, err := create.Save(ctx)
	if err != nil {
		return nil, err
	}
	if err := record(ctx, c, audit.TenantCreate, id.Tenant.Format(u)); err != nil {
		return nil, err
	}
	inside := tenant.NewContext(ctx, &tenant.Viewer{Tenant: u, IsOperator: true})
	_, err = s.insertKey(inside, c, firstKeyName, key)
	return made, err
}

// UpdateTenant changes what is not nil; metadata is replaced as a whole. Operator only.
// Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT, NOT_FOUND.
func (s *Service) UpdateTenant(ctx context.Context, u uuid.UUID, name *string, meta *map[string]string) (*ent.Tenant, error) {
	object := id.Tenant.Format(u)
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.TenantUpdate, object); err != nil {
		return nil, err
	}
	if name != nil {
		if err := checkName("name", *name); err != nil {
			return nil, err
		}
	}
	if meta != nil {
		if err := metadata.Validate("metadata", *meta); err != nil {
			return nil, err
		}
	}
	var made *ent.Tenant
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		update := tx.Tenant.UpdateOneID(u).SetNillableName(name).SetUpdatedAt(s.now())
		if meta != nil && len(*meta) > 0 {
			update.SetMetadata(*meta)
		} else if meta != nil {
			update.ClearMetadata()
		}
		if made, err = update.Save(ctx); err != nil {
			return absent(err, "tenant")
		}
		return record(ctx, tx.Client(), audit.TenantUpdate, object)
	})
	if err != nil {
		return nil, fmt.Errorf("updating a tenant: %w", err)
	}
	return made, nil
}

// record writes that something was done.
func record(ctx context.Context, c *ent.Client, action, object string) error {
	return audit.Record(ctx, c, audit.Entry{Action: action, Object: object, Allowed: true})
}
