package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// What "tokenkeep verify" mends of what only this package may touch. Each of these may be repeated: a crash in the
// middle leaves what the next run finds and finishes.

// Land writes what waits in escrow for a connection into the vault, or drops it where it is no newer or does not open.
// Call it inside Hold. Errors: ErrGone (what was written is erased again), VAULT_UNAVAILABLE.
func (k *Keeper) Land(ctx context.Context, connectionID uuid.UUID) error {
	ref, err := refOf(ctx, connectionID)
	if err != nil {
		return err
	}
	if err := k.land(ctx, ref); err != nil {
		return goneOrUnavailable(err)
	}
	return nil
}

// Disown ends a set that was stored for a connection after that was deleted: a job revokes it, and the record is
// destroyed. Without the app's credentials there is nothing to revoke with; the record is destroyed all the same.
// Errors: VAULT_UNAVAILABLE.
func (k *Keeper) Disown(ctx context.Context, i Inspection) error {
	job, err := k.revocationOf(ctx, i)
	if err != nil {
		return err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if err := k.Enqueue(ctx, tx, job); err != nil {
			return err
		}
		return tx.Tombstone.UpdateOneID(i.Connection).ClearErasedAt().AddOrders(1).Exec(ctx)
	})
	if err != nil {
		return unavailable(err)
	}
	k.Wake()
	return k.destroy(ctx, i.Connection)
}

// revocationOf prepares the revocation of a set that has no row; nil where it cannot be revoked.
func (k *Keeper) revocationOf(ctx context.Context, i Inspection) (*Revocation, error) {
	o := i.Newest.Set.Owner
	app, err := k.domain.App(ctx, o.App)
	if ent.IsNotFound(err) || errs.Is(err, errs.AppMisconfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, callersOr(err)
	}
	ghost := &ent.Connection{ID: i.Connection, Provider: o.Provider, ClientID: o.ClientID, GrantKey: string(o.Key(i.Connection)), ConsentedAt: o.ConsentedAt}
	return k.prepare(ctx, ghost, app, i.Newest.Set)
}

// OpensAnswer reports whether the parked answer of an attempt opens. Errors: those of the vault.
func (k *Keeper) OpensAnswer(ctx context.Context, attempt *ent.GrantAttempt) (bool, error) {
	return k.opens(ctx, vault.PurposeAnswer, attempt.ID, attempt.Answer)
}

// OpensRevocation reports whether the sealed copy of a revocation job opens. Errors: those of the vault.
func (k *Keeper) OpensRevocation(ctx context.Context, job *ent.RevocationJob) (bool, error) {
	return k.opens(ctx, vault.PurposeRevocation, job.ID, job.Sealed)
}

func (k *Keeper) opens(ctx context.Context, purpose vault.Purpose, object uuid.UUID, sealed []byte) (bool, error) {
	owner, err := callerTenant(ctx)
	if err != nil {
		return false, err
	}
	_, err = vault.Unseal(ctx, k.vault, vault.Place{Tenant: owner, Purpose: purpose, Object: object}, sealed)
	if errors.Is(err, vault.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// GiveUpAttempt ends an attempt whose parked answer does not open: the caller who repeats the code is told that it is
// lost. Errors: ErrBusy where somebody is at it.
func (k *Keeper) GiveUpAttempt(ctx context.Context, attempt *ent.GrantAttempt) error {
	return k.Hold(ctx, keyOfAttempt(attempt.ID), attempt.ConnectionID, func(ctx context.Context) error {
		now, err := k.db.Ent.GrantAttempt.Get(ctx, attempt.ID)
		if ent.IsNotFound(err) || err == nil && now.State != grantattempt.StatePARKED {
			return nil
		}
		if err != nil {
			return unavailable(err)
		}
		if opens, err := k.OpensAnswer(ctx, now); err != nil || opens {
			return err
		}
		n, err := k.db.Ent.GrantAttempt.Update().Where(grantattempt.ID(now.ID), unfinished()).SetState(grantattempt.StateLOST).ClearAnswer().
			SetUpdatedAt(k.now()).SetErrorKind(string(errCodeLost.Kind)).SetErrorMessage(errCodeLost.Message).SetErrorField(errCodeLost.Field).Save(ctx)
		if err != nil || n == 0 {
			return unavailable(errors.Join(err, errors.New("ending an attempt")))
		}
		return nil
	})
}

// GiveUpRevocation ends a job whose sealed copy does not open. It does nothing where the job is over.
func (k *Keeper) GiveUpRevocation(ctx context.Context, job *ent.RevocationJob) error {
	return k.Hold(ctx, Key(job.GrantKey), job.ConnectionID, func(ctx context.Context) error {
		now, err := k.db.Ent.RevocationJob.Get(ctx, job.ID)
		if err != nil {
			return unavailable(fmt.Errorf("reading a revocation job: %w", err))
		}
		if now.State != revocationjob.StatePENDING {
			return nil
		}
		if opens, err := k.OpensRevocation(ctx, now); err != nil || opens {
			return err
		}
		return k.finishRevocation(ctx, now, revocationjob.StateEXPIRED, "sealed copy does not open")
	})
}
