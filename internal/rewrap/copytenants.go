package rewrap

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// tenants are those that the source has a key of, the operator among them.
func (c *Copy) tenants(ctx context.Context) ([]uuid.UUID, error) {
	all, err := c.inDatabase(ctx, `SELECT id FROM tenants ORDER BY id`)
	if err != nil {
		return nil, err
	}
	living, _, err := byKey(ctx, c.Vault.From(), append([]uuid.UUID{tenant.Operator}, all...))
	return living, err
}

// belongs fails where the source has the key of no active tenant: then it is another service's vault, out of which nothing of
// ours would be moved, and whose pepper would lock everybody out. Errors: vault.ErrNoKey.
func (c *Copy) belongs(ctx context.Context) error {
	active, err := c.active(ctx)
	if err != nil || len(active) == 0 {
		return err
	}
	living, _, err := byKey(ctx, c.Vault.From(), active)
	if err == nil && len(living) == 0 {
		err = fmt.Errorf("%w: of %d tenants in the database the vault that is to be left has no key: TOKENKEEP_VAULT_FROM, and the settings of that vault, must name the one that the service has used", vault.ErrNoKey, len(active))
	}
	return err
}

// keyless are the active tenants of which neither vault has a key.
func (c *Copy) keyless(ctx context.Context) ([]uuid.UUID, error) {
	active, err := c.active(ctx)
	if err != nil {
		return nil, err
	}
	_, left, err := byKey(ctx, c.Vault.From(), active)
	if err != nil {
		return nil, err
	}
	_, left, err = byKey(ctx, c.Vault.To(), left)
	return left, err
}

func (c *Copy) active(ctx context.Context) ([]uuid.UUID, error) {
	return c.inDatabase(ctx, `SELECT id FROM tenants WHERE state = 'ACTIVE' ORDER BY id`)
}

// inDatabase reads ids of tenants.
func (c *Copy) inDatabase(ctx context.Context, query string) ([]uuid.UUID, error) {
	rows, err := c.DB.Ent.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("listing tenants: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []uuid.UUID
	for rows.Next() {
		var u uuid.UUID
		if err := rows.Scan(&u); err != nil {
			return nil, fmt.Errorf("listing tenants: %w", err)
		}
		all = append(all, u)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing tenants: %w", err)
	}
	return all, nil
}

// byKey parts tenants into those of which a vault has a key, and the others.
func byKey(ctx context.Context, v vault.Movable, all []uuid.UUID) (with, without []uuid.UUID, err error) {
	for _, u := range all {
		_, err := v.KeyInfo(ctx, u)
		switch {
		case err == nil:
			with = append(with, u)
		case errors.Is(err, vault.ErrNoKey):
			without = append(without, u)
		default:
			return nil, nil, err
		}
	}
	return with, without, nil
}
