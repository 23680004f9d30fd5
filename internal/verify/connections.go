package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// rows holds each row against its record and its index.
func (v *Verifier) rows(ctx context.Context) error {
	for after := uuid.Nil; ; {
		rows, err := v.DB.Ent.Connection.Query().Where(entconnection.IDGT(after)).Order(entconnection.ByID()).Limit(batch).All(ctx)
		if err != nil {
			return fmt.Errorf("listing connections: %w", err)
		}
		if err := errors.Join(ctx.Err(), v.rowsOf(ctx, rows)); err != nil {
			return err
		}
		v.summary.Connections += len(rows)
		if len(rows) < batch {
			return nil
		}
		after = rows[len(rows)-1].ID
	}
}

func (v *Verifier) rowsOf(ctx context.Context, rows []*ent.Connection) error {
	if len(rows) == 0 {
		return nil
	}
	inspected, err := v.keeper.InspectRows(ctx, rows)
	if err != nil {
		return err
	}
	for _, i := range inspected {
		if diagnose(i) != healthy {
			if err := v.suspect(ctx, grant.Key(i.Row.GrantKey), i.Connection); err != nil {
				return err
			}
		}
	}
	return v.indexOf(ctx, rows)
}

// records looks for records that no row stands for.
func (v *Verifier) records(ctx context.Context) error {
	for after := uuid.Nil; ; {
		listed, err := v.Vault.ListRecords(ctx, tenant.FromContext(ctx).Tenant, after, batch)
		if err != nil {
			return fmt.Errorf("listing records: %w", err)
		}
		if len(listed) == 0 {
			return nil
		}
		if err := errors.Join(ctx.Err(), v.recordsOf(ctx, listed)); err != nil {
			return err
		}
		v.summary.Records += len(listed)
		after = listed[len(listed)-1]
	}
}

func (v *Verifier) recordsOf(ctx context.Context, listed []uuid.UUID) error {
	known, err := v.DB.Ent.Connection.Query().Where(entconnection.IDIn(listed...)).IDs(ctx)
	if err != nil {
		return fmt.Errorf("looking for the rows of records: %w", err)
	}
	rows := make(map[uuid.UUID]bool, len(known))
	for _, u := range known {
		rows[u] = true
	}
	for _, u := range listed {
		if rows[u] {
			continue
		}
		i, err := v.keeper.Inspect(ctx, u)
		if err != nil {
			return err
		}
		if diagnose(i) == healthy {
			continue
		}
		if err := v.suspect(ctx, i.Newest.Set.Owner.Key(u), u); err != nil {
			return err
		}
	}
	return nil
}

// suspect looks at a connection again, under its grant's lock, and mends there what is still wrong.
func (v *Verifier) suspect(ctx context.Context, key grant.Key, connectionID uuid.UUID) error {
	var f Finding
	err := v.keeper.Hold(ctx, key, connectionID, func(ctx context.Context) error {
		i, err := v.keeper.Inspect(ctx, connectionID)
		if err != nil {
			return err
		}
		f = Finding{Kind: diagnose(i), Object: id.Connection.Format(connectionID), Stored: i.Newest.Generation}
		if i.Row != nil {
			f.Row = i.Row.Generation
		}
		if f.Kind == healthy || !v.Repair {
			return nil
		}
		return v.mendInto(ctx, &f, i)
	})
	return v.looked(ctx, connectionID, f, err)
}

// looked reports what was found under a grant's lock, or that the lock was not to be had.
func (v *Verifier) looked(ctx context.Context, connectionID uuid.UUID, f Finding, err error) error {
	switch {
	case errors.Is(err, grant.ErrBusy):
		return v.report(ctx, Finding{Kind: InUse, Object: id.Connection.Format(connectionID)})
	case err != nil:
		return fmt.Errorf("looking at %s: %w", id.Connection.Format(connectionID), err)
	case f.Kind == healthy:
		return nil
	default:
		return v.report(ctx, f)
	}
}

// mendInto mends and notes in the finding what became of it.
func (v *Verifier) mendInto(ctx context.Context, f *Finding, i grant.Inspection) (err error) {
	if step, lost := losses[f.Kind]; lost {
		f.Held, err = v.Connections.Lost(ctx, i.Connection, i.Row.Generation, step)
		if errors.Is(err, grant.ErrGone) {
			f.Kind = healthy // deleted meanwhile
			return nil
		}
		f.Repaired = err == nil && !f.Held
		return err
	}
	f.Kind, f.Repaired, err = v.mend(ctx, f.Kind, i)
	return err
}

// losses are the kinds that end a connection, which a hold may keep from it.
var losses = map[Kind]grant.SpendStep{RecordMissing: grant.StepMissing, RecordUnreadable: grant.StepUnreadable}

// mend does what the kind asks for; the kind that it returns is the one to be reported.
func (v *Verifier) mend(ctx context.Context, kind Kind, i grant.Inspection) (Kind, bool, error) {
	landed := grant.Landed{Set: i.Newest.Set, Generation: i.Newest.Generation, Escrowed: i.NewestEscrowed}
	var err error
	switch kind {
	case RowBehind:
		err = v.Connections.Reconcile(ctx, i.Connection, landed)
	case RecordDeleted:
		err = v.keeper.Erase(ctx, i.Connection)
	case RecordDeletedLater:
		err = v.keeper.Disown(ctx, i)
	case RowMissing:
		return v.rebuild(ctx, i, landed)
	default:
		return kind, false, nil
	}
	if errors.Is(err, grant.ErrGone) {
		return healthy, false, nil // deleted meanwhile
	}
	return kind, err == nil, err
}

// rebuild makes the row, unless something stands in the way.
func (v *Verifier) rebuild(ctx context.Context, i grant.Inspection, landed grant.Landed) (Kind, bool, error) {
	err := v.Connections.Rebuild(ctx, i.Connection, landed)
	switch {
	case errors.Is(err, grant.ErrGone):
		return healthy, false, nil
	case errors.Is(err, connection.ErrNoApp):
		return AppMissing, false, nil
	case errors.Is(err, connection.ErrTaken):
		return UserTaken, false, nil
	default:
		return RowMissing, err == nil, err
	}
}

// indexOf compares the index of the metadata with the rows.
func (v *Verifier) indexOf(ctx context.Context, rows []*ent.Connection) error {
	wrong, err := v.Connections.Misindexed(ctx, rows)
	if err != nil {
		return err
	}
	for _, row := range wrong {
		again, err := v.DB.Ent.Connection.Query().Where(entconnection.ID(row.ID)).All(ctx)
		if err != nil {
			return fmt.Errorf("reading a connection: %w", err)
		}
		if again, err = v.Connections.Misindexed(ctx, again); err != nil {
			return err
		}
		if len(again) == 0 {
			continue // the row was changed, or deleted, between the two reads
		}
		err = v.found(ctx, Finding{Kind: MetadataIndex, Object: id.Connection.Format(row.ID), Row: row.Generation}, func(ctx context.Context) error {
			err := v.Connections.Reindex(ctx, row.ID)
			if errors.Is(err, grant.ErrGone) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
