package tenancy

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/deletion"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// DeleteTenant suspends a tenant, so that its keys stop at once, and orders the rest, which runs in the background
// (internal/deletion): its grants are revoked at the providers for a bounded time, or not at all with immediately; then its
// key is destroyed and its rows go. A second call gets the same answer, also when nothing is left any more, and may turn
// the deletion into an immediate one. Operator only. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND.
func (s *Service) DeleteTenant(ctx context.Context, u uuid.UUID, immediately bool) error {
	object := id.Tenant.Format(u)
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.TenantDelete, object); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		n, err := tx.Tenant.Update().Where(enttenant.ID(u)).SetState(enttenant.StateSUSPENDED).SetUpdatedAt(s.now()).Save(ctx)
		if err != nil {
			return err
		}
		ordered, already, err := deletion.Ordered(ctx, tx.Client(), u)
		switch {
		case err != nil:
			return err
		case n == 0 && !ordered:
			return errs.New(errs.NotFound, "there is no such tenant").WithField("id")
		case ordered && (already || !immediately):
			return nil
		}
		if err := deletion.Request(ctx, tx.Client(), u, s.now(), immediately); err != nil {
			return err
		}
		return audit.Record(ctx, tx.Client(), audit.Entry{Action: audit.TenantDelete, Object: object, Allowed: true, Detail: how(immediately)})
	})
	if err != nil {
		return fmt.Errorf("deleting a tenant: %w", err)
	}
	return nil
}

// how is what the audit entry says.
func how(immediately bool) string {
	if immediately {
		return "immediately: its grants are not revoked at the providers"
	}
	return "its grants are revoked at the providers before its key is destroyed"
}
