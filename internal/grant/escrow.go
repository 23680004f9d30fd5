package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/escrow"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// openEscrow opens what waits in escrow for a connection; found is false where nothing does.
func (k *Keeper) openEscrow(ctx context.Context, ref vault.Ref) (o Opened, found bool, err error) {
	row, err := k.db.Ent.Escrow.Get(ctx, ref.Connection)
	if ent.IsNotFound(err) {
		return Opened{}, false, nil
	}
	if err != nil {
		return Opened{}, false, fmt.Errorf("reading the escrow: %w", err)
	}
	var record vault.Record
	if err := record.UnmarshalBinary(row.Record); err != nil {
		return Opened{}, true, fmt.Errorf("%w: escrow: %w", ErrUnreadable, err)
	}
	set, err := k.openRecord(ctx, ref, record)
	if errors.Is(err, ErrUnreadable) {
		return Opened{}, true, err
	}
	if err != nil {
		return Opened{}, true, unavailable(err)
	}
	return Opened{Set: set, Generation: record.Generation}, true, nil
}

// land writes what waits in escrow for a connection into the vault, before anything else is spent. It does nothing where
// nothing waits. The higher generation wins: a head that is as new or newer stays.
func (k *Keeper) land(ctx context.Context, ref vault.Ref) error {
	row, err := k.db.Ent.Escrow.Get(ctx, ref.Connection)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the escrow: %w", err)
	}
	if err := k.landRow(ctx, ref, row); err != nil {
		return err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		n, err := tx.Escrow.Delete().Where(escrow.ID(ref.Connection), escrow.Generation(row.Generation), escrow.AttemptID(row.AttemptID)).Exec(ctx)
		if err != nil || n == 0 {
			return err
		}
		return k.domain.Unescrowed(ctx, tx, ref.Connection)
	})
	if err != nil {
		return err
	}
	return k.eraseIfGone(ctx, ref)
}

// eraseIfGone destroys what was just written where the connection was deleted in the meantime.
func (k *Keeper) eraseIfGone(ctx context.Context, ref vault.Ref) error {
	row, err := k.rowView(ctx, ref.Connection)
	if err != nil || row.Exists {
		return err
	}
	if err := k.vault.EraseRecord(ctx, ref); err != nil {
		return fmt.Errorf("erasing a deleted connection's record: %w", err)
	}
	return ErrGone
}

// landRow writes the record of an escrow, if it opens: written over a head that opens, one that does not would end a
// connection that still lives. It is dropped then.
func (k *Keeper) landRow(ctx context.Context, ref vault.Ref, row *ent.Escrow) error {
	var record vault.Record
	err := record.UnmarshalBinary(row.Record)
	if err == nil {
		_, err = k.openRecord(ctx, ref, record)
	}
	switch {
	case err == nil:
		return k.landRecord(ctx, ref, record)
	case errors.Is(err, vault.ErrCorrupt), errors.Is(err, ErrUnreadable):
		k.log.ErrorContext(ctx, "an escrow does not open and is dropped", "connection", ref.Connection, "generation", row.Generation, "error", err)
		return nil
	default:
		return fmt.Errorf("opening an escrow: %w", err)
	}
}

// landRecord writes one record unless the head is as new.
func (k *Keeper) landRecord(ctx context.Context, ref vault.Ref, record vault.Record) error {
	for {
		h, err := k.peek(ctx, ref)
		if err != nil {
			return err
		}
		if !Lands(record.Generation, h.HeadView) {
			return nil
		}
		if h.State != HeadPresent {
			// A head that the connection's deletion erased stays so: written over it, and died, nobody would erase it again.
			if row, err := k.rowView(ctx, ref.Connection); err != nil || !row.Exists {
				return err
			}
		}
		_, err = k.vault.WriteRecord(ctx, ref, record, h.cas)
		if err == nil {
			return nil
		}
		if !errors.Is(err, vault.ErrMismatch) {
			return fmt.Errorf("landing an escrow: %w", err)
		}
	}
}

// landOne lands one escrow under the grant's lock.
func (k *Keeper) landOne(ctx context.Context, connectionID uuid.UUID) error {
	ref, err := refOf(ctx, connectionID)
	if err != nil {
		return err
	}
	row, err := k.row(ctx, connectionID)
	if errors.Is(err, ErrGone) {
		_, err := k.db.Ent.Escrow.Delete().Where(escrow.ID(connectionID)).Exec(ctx)
		return err
	}
	if err != nil {
		return err
	}
	held, err := k.locks.claim(ctx, Key(row.GrantKey), id.New())
	if err != nil {
		return err
	}
	defer held.close(ctx)
	return k.land(ctx, ref)
}
