package deletion

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// tables hold the tenants' rows, those that others refer to behind those that refer to them.
var tables = []string{
	"connection_metadata", "connections", "oauth_apps", "api_keys", "escrows", "grant_attempts", "revocation_jobs",
	"tombstones", "events", "audit_entries",
}

// Tables names the tables whose rows go with their tenant.
func Tables() []string { return slices.Clone(tables) }

// clear deletes a batch of rows. These statements pass the rules by, which would let nobody delete an audit entry; each
// names the tenant. When nothing is left it is all done once more, a lock's life later.
func (s *Service) clear(ctx context.Context, o *order, did *Done) error {
	for _, table := range tables {
		n, err := s.clearSome(ctx, table, o.tenant)
		if err != nil {
			return err
		}
		if did.Rows += n; n == s.rowBatch() {
			return nil // there may be more
		}
	}
	for _, table := range []string{"key_rotations", "tenants"} {
		if _, err := s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE id = $1`, table), o.tenant); err != nil {
			return fmt.Errorf("deleting from %s: %w", table, err)
		}
	}
	o.passes++
	if o.passes > 1 {
		o.phase = over
		did.Finished = 1
		return nil
	}
	o.phase, o.wait = records, s.Lock
	return nil
}

// rowBatch is how many rows one statement deletes.
func (s *Service) rowBatch() int { return 10 * s.Batch }

func (s *Service) clearSome(ctx context.Context, table string, tenant uuid.UUID) (int, error) {
	res, err := s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE tenant_id = $1 LIMIT %d)`,
		table, table, s.rowBatch()), tenant)
	if err != nil {
		return 0, fmt.Errorf("deleting from %s: %w", table, err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// forgetLocks deletes what free locks remember of the tenant's grants, unless another tenant holds the same grant.
func (s *Service) forgetLocks(ctx context.Context, tenant uuid.UUID) error {
	_, err := s.DB.Ent.ExecContext(ctx, `DELETE FROM grant_locks WHERE owner IS NULL
  AND EXISTS (SELECT 1 FROM connections WHERE grant_key = grant_locks.grant_key AND tenant_id = $1)
  AND NOT EXISTS (SELECT 1 FROM connections WHERE grant_key = grant_locks.grant_key AND tenant_id <> $2)`, tenant, tenant)
	if err != nil {
		return fmt.Errorf("deleting from grant_locks: %w", err)
	}
	return nil
}
