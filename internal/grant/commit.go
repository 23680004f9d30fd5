package grant

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// commitment is how a commit ended.
type commitment struct {
	step DoubtStep
	// parked is true where the vault stayed away and the record must go into escrow with the settlement.
	parked bool
}

// seal seals a set under the reserved data key, locally.
func (r reservation) seal(attempt uuid.UUID, origin string, generation int64, set TokenSet) (vault.Record, error) {
	plain, err := set.encode()
	if err != nil {
		return vault.Record{}, err
	}
	return vault.SealRecord(r.key, r.ref, vault.Header{Generation: generation, Attempt: attempt, Origin: origin}, plain)
}

// commit writes the record by check-and-set and, on any doubt, reads the head and does what AfterDoubt says, until the
// commit budget is used up. It never gives up a record: one that could not be written is to be parked. The vault is tried
// for real even while it is known to be away: the record exists nowhere else.
func (k *Keeper) commit(ctx context.Context, r reservation, record vault.Record, role Role) commitment {
	ctx = vault.Insist(ctx)
	until := time.Now().Add(k.budgets.Commit)
	cas := r.head.cas
	for attempt := 0; ; attempt++ {
		err := k.writeWithin(ctx, r.ref, record, cas)
		if err == nil {
			return commitment{step: DoubtDone}
		}
		k.log.WarnContext(ctx, "a commit is in doubt", "connection", r.ref.Connection, "generation", record.Generation, "error", err)
		if !errors.Is(err, vault.ErrMismatch) && !time.Now().Before(until) {
			return commitment{step: DoubtDone, parked: true} // should it have landed, the escrow finds it there
		}
		step, next, known := k.resolveDoubt(ctx, r, record, role)
		if known && step != DoubtRewrite {
			return commitment{step: step}
		}
		if known {
			cas = next
		}
		if !time.Now().Before(until) || errors.Is(err, vault.ErrNoKey) {
			return commitment{step: DoubtDone, parked: true}
		}
		if attempt > 2 || !errors.Is(err, vault.ErrMismatch) {
			pause(ctx, min(50*time.Millisecond<<min(attempt, 5), time.Until(until)))
		}
	}
}

// writeWithin writes under the cap of a write.
func (k *Keeper) writeWithin(ctx context.Context, ref vault.Ref, record vault.Record, cas vault.CAS) error {
	ctx, cancel := context.WithTimeout(ctx, k.budgets.Write)
	defer cancel()
	_, err := k.vault.WriteRecord(ctx, ref, record, cas)
	return err
}

// resolveDoubt reads head and row and asks AfterDoubt; known is false where the vault does not answer.
func (k *Keeper) resolveDoubt(ctx context.Context, r reservation, record vault.Record, role Role) (step DoubtStep, cas vault.CAS, known bool) {
	short, cancel := context.WithTimeout(ctx, k.budgets.Write)
	defer cancel()
	now, err := k.peek(short, r.ref)
	if err != nil {
		return "", 0, false
	}
	row := RowView{Exists: true}
	if err := k.within(ctx, func(ctx context.Context) (err error) {
		row, err = k.rowView(ctx, r.ref.Connection)
		return err
	}); err != nil {
		row = RowView{Exists: true} // in doubt the record is kept; the settlement finds the tombstone
	}
	return AfterDoubt(r.head.HeadView, record.Attempt, role, row, now.HeadView), now.cas, true
}

// within runs one store call under its own cap.
func (k *Keeper) within(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, k.budgets.Store)
	defer cancel()
	return f(ctx)
}

// forever is the patience of a settlement that holds the only copy of a grant: it ends with the process.
const forever = time.Duration(math.MaxInt64)

// patience is how long a settlement is tried: what rests in the vault can be picked up from there by anybody.
func (k *Keeper) patience(escrowed bool) time.Duration {
	if escrowed {
		return forever
	}
	return k.budgets.Lock
}

// persist runs a settlement until it succeeds, fails for a reason that trying again does not change, or the patience is
// used up.
func (k *Keeper) persist(ctx context.Context, patience time.Duration, what string, f func(ctx context.Context) error) error {
	began := time.Now()
	for attempt := 0; ; attempt++ {
		err := k.within(ctx, f)
		if err == nil || final(err) || ctx.Err() != nil || time.Since(began) >= patience {
			return err
		}
		k.log.ErrorContext(ctx, "storing failed and is tried again", "what", what, "attempt", attempt, "error", err)
		pause(ctx, min(50*time.Millisecond<<min(attempt, 6), 3*time.Second))
	}
}

// final reports whether a settlement failed for a reason that trying again does not change.
func final(err error) bool {
	for _, reason := range []error{ErrFenced, ErrGone, vault.ErrNoKey, vault.ErrInvalid} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return ent.IsNotFound(err) || ent.IsConstraintError(err) || ent.IsValidationError(err)
}

// pause waits; a context that ends cuts it short.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// escrowIn puts a sealed record into the escrow table, unless a newer one is there.
func escrowIn(ctx context.Context, tx *ent.Tx, ref vault.Ref, record vault.Record) error {
	encoded, err := record.MarshalBinary()
	if err != nil {
		return fmt.Errorf("encoding a record for escrow: %w", err)
	}
	old, err := tx.Escrow.Get(ctx, ref.Connection)
	switch {
	case err == nil && !Displaces(record.Generation, old.Generation):
		return nil
	case err == nil:
		return old.Update().SetGeneration(record.Generation).SetAttemptID(record.Attempt).SetRecord(encoded).SetKeyVersion(record.Key.Version).Exec(ctx)
	case !ent.IsNotFound(err):
		return fmt.Errorf("reading the escrow: %w", err)
	}
	return tx.Escrow.Create().SetID(ref.Connection).SetGeneration(record.Generation).SetAttemptID(record.Attempt).
		SetRecord(encoded).SetKeyVersion(record.Key.Version).Exec(ctx)
}
