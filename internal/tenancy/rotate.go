package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// RotateKey gives a tenant's key a new version, under which everything is sealed from now on, and orders that what is
// sealed already be re-wrapped in the background (internal/rewrap). Operator only.
// Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, CONFLICT (it is being deleted, or everything is being
// moved to another vault), VAULT_UNAVAILABLE.
func (s *Service) RotateKey(ctx context.Context, u uuid.UUID) (*ent.Tenant, error) {
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.TenantRotateKey, id.Tenant.Format(u)); err != nil {
		return nil, err
	}
	if _, err := s.db.Ent.Tenant.Get(ctx, u); err != nil {
		return nil, absent(err, "tenant")
	}
	if err := s.rotate(ctx, u); err != nil {
		return nil, err
	}
	row, err := s.db.Ent.Tenant.Query().Where(enttenant.ID(u)).Only(ctx)
	return row, absent(err, "tenant")
}

// RotateOperatorKey is RotateKey for the key under which the secrets of shared apps are sealed.
// Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND (there is no such key before the first shared app), VAULT_UNAVAILABLE.
func (s *Service) RotateOperatorKey(ctx context.Context) error {
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.TenantRotateKey, id.Tenant.Format(tenant.Operator)); err != nil {
		return err
	}
	return s.rotate(ctx, tenant.Operator)
}

// rotate orders the re-wrap before the vault has the new version, so that no crash leaves one without the other, and
// again after it: a pass that began in between had the older version for its goal.
func (s *Service) rotate(ctx context.Context, u uuid.UUID) error {
	// A minimum of 1 changes nothing: it asks whether the vault lets keys be changed now, before anything is ordered.
	err := s.vault.SetMinVersion(ctx, u, 1)
	if errors.Is(err, vault.ErrMoving) {
		return errs.New(errs.Conflict, "everything is being moved to another vault, under new keys; rotate keys when that is finished").WithCause(err)
	}
	if errors.Is(err, vault.ErrNoKey) {
		return s.noKey(u)
	}
	if err != nil {
		return fromVault("rotating a tenant's key", err)
	}
	if err := rewrap.Request(ctx, s.db.Ent, u, s.now()); err != nil {
		return err
	}
	version, err := s.vault.RotateKey(ctx, u)
	if errors.Is(err, vault.ErrNoKey) {
		return s.noKey(u)
	}
	if err != nil {
		return fromVault("rotating a tenant's key", err)
	}
	ctx = context.WithoutCancel(ctx)
	return s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if err := rewrap.NoteVersion(ctx, tx.Client(), u, version); err != nil {
			return err
		}
		if err := rewrap.Request(ctx, tx.Client(), u, s.now()); err != nil {
			return err
		}
		return audit.Record(ctx, tx.Client(), audit.Entry{
			Action: audit.TenantRotateKey, Object: id.Tenant.Format(u), Allowed: true, Detail: fmt.Sprintf("version %d", version),
		})
	})
}

func (*Service) noKey(u uuid.UUID) error {
	if u == tenant.Operator {
		return errs.New(errs.NotFound, "the operator has no key yet: the first shared app brings it")
	}
	return errs.New(errs.Conflict, "the tenant's key was destroyed: the tenant is being deleted").WithField("id")
}
