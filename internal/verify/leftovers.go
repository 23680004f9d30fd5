package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/escrow"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// each walks a table in the order of ids, a batch at a time: page reads what comes after an id, do handles one row and
// returns its id.
func each[T any](ctx context.Context, page func(after uuid.UUID) ([]T, error), do func(T) (uuid.UUID, error)) error {
	for after := uuid.Nil; ; {
		rows, err := page(after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if after, err = do(row); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
	}
}

// tombstones looks for records whose destruction was ordered and not done. The sweeper does it within seconds.
func (v *Verifier) tombstones(ctx context.Context) error {
	due := []predicate.Tombstone{tombstone.ErasedAtIsNil(), tombstone.DeletedAtLT(v.Now().Add(-passing))}
	return each(ctx, func(after uuid.UUID) ([]uuid.UUID, error) {
		return v.DB.Ent.Tombstone.Query().Where(append(due, tombstone.IDGT(after))...).Order(tombstone.ByID()).Limit(batch).IDs(ctx)
	}, func(u uuid.UUID) (uuid.UUID, error) {
		return u, v.found(ctx, Finding{Kind: ErasurePending, Object: id.Connection.Format(u)}, func(ctx context.Context) error {
			return v.keeper.Erase(ctx, u)
		})
	})
}

// attempts looks for parked answers that do not open.
func (v *Verifier) attempts(ctx context.Context) error {
	return each(ctx, func(after uuid.UUID) ([]uuid.UUID, error) {
		return v.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateEQ(grantattempt.StatePARKED), grantattempt.IDGT(after)).
			Order(grantattempt.ByID()).Limit(batch).IDs(ctx)
	}, func(u uuid.UUID) (uuid.UUID, error) { return u, v.attempt(ctx, u) })
}

func (v *Verifier) attempt(ctx context.Context, u uuid.UUID) error {
	a, err := v.DB.Ent.GrantAttempt.Get(ctx, u)
	if err != nil {
		return fmt.Errorf("reading an attempt: %w", err)
	}
	if a.State != grantattempt.StatePARKED {
		return nil // finished meanwhile
	}
	if opens, err := v.keeper.OpensAnswer(ctx, a); err != nil || opens {
		return err
	}
	return v.found(ctx, Finding{Kind: AttemptUnreadable, Object: u.String()}, func(ctx context.Context) error {
		return v.keeper.GiveUpAttempt(ctx, a)
	})
}

// revocations looks for jobs whose sealed copy does not open.
func (v *Verifier) revocations(ctx context.Context) error {
	return each(ctx, func(after uuid.UUID) ([]uuid.UUID, error) {
		return v.DB.Ent.RevocationJob.Query().Where(revocationjob.StateEQ(revocationjob.StatePENDING), revocationjob.IDGT(after)).
			Order(revocationjob.ByID()).Limit(batch).IDs(ctx)
	}, func(u uuid.UUID) (uuid.UUID, error) { return u, v.revocation(ctx, u) })
}

func (v *Verifier) revocation(ctx context.Context, u uuid.UUID) error {
	job, err := v.DB.Ent.RevocationJob.Get(ctx, u)
	if err != nil {
		return fmt.Errorf("reading a revocation job: %w", err)
	}
	if job.State != revocationjob.StatePENDING {
		return nil // carried out meanwhile
	}
	if opens, err := v.keeper.OpensRevocation(ctx, job); err != nil || opens {
		return err
	}
	return v.found(ctx, Finding{Kind: RevocationUnreadable, Object: u.String()}, func(ctx context.Context) error {
		return v.keeper.GiveUpRevocation(ctx, job)
	})
}

// escrows looks for token sets that wait for the vault. The service lands them within seconds of its return.
func (v *Verifier) escrows(ctx context.Context) error {
	return each(ctx, func(after uuid.UUID) ([]uuid.UUID, error) {
		return v.DB.Ent.Escrow.Query().Where(escrow.IDGT(after)).Order(escrow.ByID()).Limit(batch).IDs(ctx)
	}, func(u uuid.UUID) (uuid.UUID, error) { return u, v.escrow(ctx, u) })
}

func (v *Verifier) escrow(ctx context.Context, u uuid.UUID) error {
	key, err := v.lockOf(ctx, u)
	if err != nil {
		return err
	}
	f := Finding{Object: id.Connection.Format(u)}
	err = v.keeper.Hold(ctx, key, u, func(ctx context.Context) error {
		i, err := v.keeper.Inspect(ctx, u)
		if err != nil {
			return err
		}
		f.Kind, f.Stored = diagnoseEscrow(i), i.Newest.Generation
		if i.Row != nil {
			f.Row = i.Row.Generation
		}
		if f.Kind == healthy || !v.Repair {
			return nil
		}
		if err := v.keeper.Land(ctx, u); err != nil && !errors.Is(err, grant.ErrGone) {
			return err
		}
		f.Repaired = true
		return nil
	})
	return v.looked(ctx, u, f, err)
}

// lockOf names the grant's lock of a connection, by its row or by what is stored for it.
func (v *Verifier) lockOf(ctx context.Context, u uuid.UUID) (grant.Key, error) {
	rows, err := v.DB.Ent.Connection.Query().Where(entconnection.ID(u)).All(ctx)
	if err != nil {
		return "", fmt.Errorf("reading a connection: %w", err)
	}
	if len(rows) == 1 {
		return grant.Key(rows[0].GrantKey), nil
	}
	i, err := v.keeper.Inspect(ctx, u)
	if err != nil {
		return "", err
	}
	return i.Newest.Set.Owner.Key(u), nil
}
