package deletion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// awaitPause is the rest between two looks at revocations that are under way.
const awaitPause = time.Second

// bury deletes connections as their owner would. One that cannot be deleted now does not hold up the others, and the time
// for all of it is bounded.
func (s *Service) bury(ctx context.Context, o *order, did *Done) error {
	if o.immediately || o.late {
		o.phase = destroy
		return nil
	}
	inside := tenant.System(ctx, o.tenant)
	ids, err := s.DB.Ent.Connection.Query().Where(connection.TenantID(o.tenant), connection.IDGT(o.position)).
		Order(connection.ByID()).Limit(s.Batch).IDs(inside)
	if err != nil {
		return fmt.Errorf("listing connections: %w", err)
	}
	var failed error
	for _, one := range ids {
		if err := s.Connections.Delete(inside, one); err != nil && !errs.Is(err, errs.NotFound) {
			failed = errors.Join(failed, err)
			continue
		}
		did.Connections++
	}
	if len(ids) > 0 {
		o.position = ids[len(ids)-1]
		if failed != nil {
			s.Logger.WarnContext(ctx, "connections of a tenant that is being deleted are tried again", "tenant", o.tenant, "error", failed)
		}
		return nil
	}
	o.position = uuid.Nil
	left, err := s.DB.Ent.Connection.Query().Where(connection.TenantID(o.tenant)).Exist(inside)
	if err != nil {
		return fmt.Errorf("counting connections: %w", err)
	}
	if left {
		o.wait = retryAfter
		return nil
	}
	o.phase = revoke
	return nil
}

// await sees whether all revocations are through. An authorization that was under way may still bring a connection.
func (s *Service) await(ctx context.Context, o *order) error {
	if o.immediately || o.late {
		o.phase = destroy
		return nil
	}
	exchanging, err := s.count(ctx, `SELECT count(*) FROM grant_attempts WHERE tenant_id = $1 AND state IN ('SENT', 'PARKED')`, o.tenant)
	if err != nil {
		return err
	}
	connections, err := s.count(ctx, `SELECT count(*) FROM connections WHERE tenant_id = $1`, o.tenant)
	if err != nil {
		return err
	}
	jobs, err := s.count(ctx, `SELECT count(*) FROM revocation_jobs WHERE tenant_id = $1 AND state = 'PENDING'`, o.tenant)
	switch {
	case err != nil:
		return err
	case connections > 0:
		o.phase = bury
	case exchanging+jobs > 0:
		o.wait = awaitPause
	default:
		o.phase = destroy
	}
	return nil
}

// destroy ends the tenant's key; from then on nothing of it opens, wherever a copy is. How many grants live on is counted
// before, since afterwards nobody can revoke them, and said in the operator's trail.
func (s *Service) destroy(ctx context.Context, o *order) error {
	left, err := s.unrevoked(ctx, o)
	if err != nil {
		return err
	}
	if err := s.Vault.DestroyKey(ctx, o.tenant); err != nil {
		return fmt.Errorf("destroying the key: %w", err)
	}
	if s.Forget != nil {
		s.Forget(o.tenant)
	}
	o.unrevoked, o.phase = left, records
	return s.DB.Tx(tenant.System(ctx, uuid.Nil), func(ctx context.Context, tx *ent.Tx) error {
		// The owner is given up with this, so that the entry is written once: a process that lost its lease changes nothing.
		if held, err := s.held(ctx, tx, o); err != nil || !held {
			return err
		}
		if err := s.saveOn(ctx, tx.Client(), o); err != nil {
			return err
		}
		return audit.Record(ctx, tx.Client(), audit.Entry{
			Action: audit.TenantErase, Object: id.Tenant.Format(o.tenant), Allowed: true, Tenant: tenant.Operator, Detail: detail(o),
		})
	})
}

func (s *Service) held(ctx context.Context, tx *ent.Tx, o *order) (bool, error) {
	res, err := tx.Client().ExecContext(ctx, `UPDATE tenant_deletions SET unrevoked = $1 WHERE id = $2 AND owner = $3`, o.unrevoked, o.tenant, o.owner)
	if err != nil {
		return false, fmt.Errorf("counting what was left unrevoked: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// detail is what the audit entry says.
func detail(o *order) string {
	how := "the key was destroyed after the revocations"
	switch {
	case o.immediately:
		how = "the key was destroyed at once, as ordered"
	case o.late:
		how = "the key was destroyed when the time for revocations was over"
	}
	return fmt.Sprintf("%s; grants left unrevoked: %d", how, o.unrevoked)
}

// unrevoked counts the grants of the tenant that nobody will revoke: those that stand, and those whose revocation was
// ordered by the deletion, or before it, and is not through.
func (s *Service) unrevoked(ctx context.Context, o *order) (int64, error) {
	standing, err := s.count(ctx, `SELECT count(*) FROM connections WHERE tenant_id = $1 AND state = 'CONNECTED' AND grant_type <> 'API_KEY'`, o.tenant)
	if err != nil {
		return 0, err
	}
	ordered, err := s.count(ctx, `SELECT count(*) FROM revocation_jobs WHERE tenant_id = $1 AND (state = 'PENDING' OR state = 'EXPIRED' AND created_at >= $2)`,
		o.tenant, o.requestedAt)
	return standing + ordered, err
}

// erase destroys the records that the vault still holds: unreadable, and of no use to anybody.
func (s *Service) erase(ctx context.Context, o *order, did *Done) error {
	ids, err := s.Vault.ListRecords(ctx, o.tenant, o.position, s.Batch)
	if err != nil {
		return fmt.Errorf("listing records: %w", err)
	}
	if len(ids) == 0 {
		o.phase, o.position = rows, uuid.Nil
		return s.forgetLocks(ctx, o.tenant)
	}
	for _, one := range ids {
		if err := s.Vault.EraseRecord(ctx, vault.Ref{Tenant: o.tenant, Connection: one}); err != nil {
			return fmt.Errorf("erasing a record: %w", err)
		}
		did.Records++
	}
	o.position = ids[len(ids)-1]
	return nil
}
