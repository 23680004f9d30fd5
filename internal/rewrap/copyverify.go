package rewrap

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// CopyFinding is something that is not as it has to be before the source is left.
type CopyFinding struct {
	Tenant string `json:"tenant"`
	// Object is the connection, or what else is sealed, by its table and id.
	Object string `json:"object"`
	Says   string `json:"says"`
}

// CopyVerified is what a verification looked at.
type CopyVerified struct {
	Tenants     int `json:"tenants"`
	Connections int `json:"connections"`
	Slots       int `json:"slots"`
	Values      int `json:"values"`
	// Dead are records in the source that do not open and that no living connection needs: they stay.
	Dead     int `json:"dead"`
	Findings int `json:"findings"`
}

// connected is what a verification wants to know of a connection's row.
type connected struct {
	id         uuid.UUID
	generation int64
	// living is true where something is to be spent: neither pending nor disconnected.
	living bool
}

// Verify compares source, target and database, both ways: the target opens the record of each living connection in the row's
// generation at least, the source is left with notes, and nothing in the database or the target is under a key of the source.
// It changes nothing and may run beside a service and beside a copy. What looks wrong is looked at twice.
func (c *Copy) Verify(ctx context.Context, report func(CopyFinding) error) (CopyVerified, error) {
	v := &copyVerifier{Copy: c, report: report}
	tenants, err := c.tenants(ctx)
	if err != nil {
		return v.CopyVerified, err
	}
	same, err := c.Vault.SamePepper(ctx)
	if err != nil {
		return v.CopyVerified, err
	}
	if !same {
		if err := v.found("", "pepper", "the two vaults hash API keys differently: run vault copy --prepare"); err != nil {
			return v.CopyVerified, err
		}
	}
	if err := v.keys(ctx); err != nil {
		return v.CopyVerified, err
	}
	for _, u := range tenants {
		if err := v.tenant(ctx, u); err != nil {
			return v.CopyVerified, fmt.Errorf("verifying what is %s's: %w", id.Tenant.Format(u), err)
		}
		v.Tenants++
	}
	return v.CopyVerified, nil
}

// copyVerifier is one verification.
type copyVerifier struct {
	*Copy
	CopyVerified
	report func(CopyFinding) error
}

func (v *copyVerifier) found(tenant, object, says string) error {
	v.Findings++
	return v.report(CopyFinding{Tenant: tenant, Object: object, Says: says})
}

// keys sees that each tenant's key is somewhere: what is of a tenant without one is moved out of no vault.
func (v *copyVerifier) keys(ctx context.Context) error {
	keyless, err := v.keyless(ctx)
	if err != nil {
		return err
	}
	for _, u := range keyless {
		err := v.found(id.Tenant.Format(u), "key",
			"neither vault has the tenant's key: is TOKENKEEP_VAULT_FROM the vault that the service has used? If it is, the key was destroyed, and tokenkeep tenant delete ends the tenant")
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *copyVerifier) tenant(ctx context.Context, u uuid.UUID) error {
	for after := uuid.Nil; ; {
		rows, err := v.connections(ctx, u, fmt.Sprintf("id > $2 ORDER BY id LIMIT %d", v.Batch), after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := v.row(ctx, u, row); err != nil {
				return err
			}
			v.Connections++
			after = row.id
		}
		if len(rows) < v.Batch {
			break
		}
	}
	if err := v.slots(ctx, u); err != nil {
		return err
	}
	for _, from := range v.values.sources() {
		if _, ok := from.(records); ok {
			continue // seen row by row
		}
		if err := v.source(ctx, from, u); err != nil {
			return err
		}
	}
	return nil
}

// connections reads the rows of a tenant that meet a condition on $2, which is SQL.
func (c *Copy) connections(ctx context.Context, u uuid.UUID, condition string, arg uuid.UUID) ([]connected, error) {
	rows, err := c.DB.Ent.QueryContext(ctx, `SELECT id, generation, state NOT IN ('PENDING', 'DISCONNECTED') FROM connections
WHERE tenant_id = $1 AND `+condition, u, arg)
	if err != nil {
		return nil, fmt.Errorf("reading connections: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []connected
	for rows.Next() {
		var row connected
		if err := rows.Scan(&row.id, &row.generation, &row.living); err != nil {
			return nil, fmt.Errorf("reading connections: %w", err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// connection reads one row; one that is gone is not living.
func (c *Copy) connection(ctx context.Context, u, connection uuid.UUID) (connected, error) {
	rows, err := c.connections(ctx, u, "id = $2", connection)
	if err != nil || len(rows) == 0 {
		return connected{id: connection}, err
	}
	return rows[0], nil
}

// row sees that the target opens what a living connection needs.
func (v *copyVerifier) row(ctx context.Context, u uuid.UUID, row connected) error {
	says, err := v.judge(ctx, u, row)
	if err != nil || says == "" {
		return err
	}
	again, err := v.connection(ctx, u, row.id)
	if err != nil {
		return err
	}
	if says, err = v.judge(ctx, u, again); err != nil || says == "" {
		return err
	}
	return v.found(id.Tenant.Format(u), id.Connection.Format(row.id), says)
}

// judge says what is wrong with a connection's record in the target; nothing is wrong with what waits in escrow.
func (v *copyVerifier) judge(ctx context.Context, u uuid.UUID, row connected) (string, error) {
	if !row.living {
		return "", nil
	}
	waits, err := v.values.exists(ctx, `SELECT 1 FROM escrows WHERE id = $1 AND generation >= $2`, row.id, row.generation)
	if err != nil || waits {
		return "", err
	}
	ref := vault.Ref{Tenant: u, Connection: row.id}
	slot, _, err := v.Vault.To().ReadSlot(ctx, ref)
	r := slot.Record
	switch {
	case vault.NoRecord(err), err == nil && slot.Note != vault.NoNote:
		return "the target has no record", nil
	case errors.Is(err, vault.ErrCorrupt):
		return "the target's record cannot be read", nil
	case err != nil:
		return "", err
	case r.Generation < row.generation:
		return fmt.Sprintf("the target has generation %d, the row says %d", r.Generation, row.generation), nil
	case v.Vault.From().Wraps(r.Key):
		return "the target's record is under a key of the source", nil
	}
	_, err = vault.OpenRecord(ctx, v.Vault.To(), ref, r)
	if errors.Is(err, vault.ErrCorrupt) {
		return "the target's record does not open: verify --repair says so to whoever has to connect again", nil
	}
	return "", err
}

// slots sees that the source is left with notes.
func (v *copyVerifier) slots(ctx context.Context, u uuid.UUID) error {
	for after := uuid.Nil; ; {
		ids, err := v.Vault.From().ListSlots(ctx, u, after, v.Batch)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, connection := range ids {
			if err := v.slot(ctx, vault.Ref{Tenant: u, Connection: connection}); err != nil {
				return err
			}
			v.Slots++
		}
		after = ids[len(ids)-1]
	}
}

func (v *copyVerifier) slot(ctx context.Context, ref vault.Ref) error {
	s, _, err := v.Vault.From().ReadSlot(ctx, ref)
	switch {
	case errors.Is(err, vault.ErrNotFound), err == nil && s.Note == vault.NoteMoved:
		return nil
	case err == nil, errors.Is(err, vault.ErrErased):
		if err == nil && !s.Erased && v.spoilt(ctx, ref, s.Record) {
			break
		}
		return v.found(id.Tenant.Format(ref.Tenant), id.Connection.Format(ref.Connection), "it is still in the source")
	case !errors.Is(err, vault.ErrCorrupt):
		return err
	}
	row, err := v.connection(ctx, ref.Tenant, ref.Connection)
	if err != nil {
		return err
	}
	if row.living {
		return v.found(id.Tenant.Format(ref.Tenant), id.Connection.Format(ref.Connection),
			"the source's record does not open and cannot be moved: run tokenkeep verify --repair")
	}
	v.Dead++
	return nil
}

// spoilt reports whether the source itself cannot unwrap a record's data key.
func (v *copyVerifier) spoilt(ctx context.Context, ref vault.Ref, r vault.Record) bool {
	_, err := v.Vault.From().UnwrapDataKeys(ctx, ref.Tenant, []vault.WrappedKey{r.Key})
	return errors.Is(err, vault.ErrCorrupt)
}

// source sees that nothing of one kind is under a key of the source.
func (v *copyVerifier) source(ctx context.Context, from source, u uuid.UUID) error {
	for after := uuid.Nil; ; {
		p, err := from.page(ctx, u, after, v.Batch)
		if err != nil {
			return err
		}
		for _, one := range p.items {
			v.Values++
			if !v.Vault.From().Wraps(one.key) {
				continue
			}
			if err := v.left(ctx, u, one); err != nil {
				return err
			}
		}
		if !p.more {
			return nil
		}
		after = p.last
	}
}

// left reports what is under a key of the source, unless it is gone or moved by now, or does not open anyway.
func (v *copyVerifier) left(ctx context.Context, u uuid.UUID, one item) error {
	_, err := v.Vault.From().UnwrapDataKeys(ctx, u, []vault.WrappedKey{one.key})
	if errors.Is(err, vault.ErrCorrupt) {
		v.Dead++
		return nil
	}
	if err != nil {
		return err
	}
	again, there, err := one.again(ctx)
	if err != nil || !there || !v.Vault.From().Wraps(again.key) {
		return err
	}
	return v.found(id.Tenant.Format(u), one.id.String(), "it is still sealed under a key of the source")
}
