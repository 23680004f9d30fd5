package moving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// ReadRecord implements vault.Records.
func (v *Vault) ReadRecord(ctx context.Context, ref vault.Ref) (vault.Record, vault.CAS, error) {
	h, err := v.head(ctx, ref)
	if err == nil {
		err = h.err
	}
	if err != nil {
		return vault.Record{}, h.cas(), fmt.Errorf("reading a record: %w", err)
	}
	return h.slot.Record, h.cas(), nil
}

// PrepareWrite implements vault.Records: what is at home in the source is marked, so that only one write is left to do.
func (v *Vault) PrepareWrite(ctx context.Context, ref vault.Ref) error {
	h, err := v.head(ctx, ref)
	if err == nil && h.side == source {
		_, err = v.mark(ctx, ref, h)
	}
	if errors.Is(err, vault.ErrMismatch) || errors.Is(err, vault.ErrErased) {
		return nil // somebody was faster; whoever reads now sees what came of it
	}
	if err != nil {
		return fmt.Errorf("preparing a write: %w", err)
	}
	return nil
}

// WriteRecord implements vault.Records: whatever the number says, the record is written to the target. One that is not
// there yet is kept from the source first.
func (v *Vault) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	if _, err := r.MarshalBinary(); err != nil {
		return 0, fmt.Errorf("writing a record: %w", err)
	}
	next, err := v.write(ctx, ref, vault.Slot{Record: r}, cas)
	if err != nil {
		return 0, fmt.Errorf("writing a record: %w", err)
	}
	return next, nil
}

func (v *Vault) write(ctx context.Context, ref vault.Ref, s vault.Slot, cas vault.CAS) (vault.CAS, error) {
	where, n := decode(cas)
	if cas < 0 || n == 0 && where != none {
		return 0, v.mismatch(ctx, ref)
	}
	switch where {
	case target:
		next, err := v.to.WriteRecord(ctx, ref, s.Record, n)
		return encode(target, next), err
	case none:
		if err := v.reserve(ctx, ref); err != nil {
			return 0, err
		}
	case source:
		h, err := v.head(ctx, ref)
		if err != nil {
			return 0, err
		}
		if h.side != source || h.number != n {
			return 0, v.mismatchOf(h)
		}
		if _, err := v.mark(ctx, ref, h); err != nil {
			return 0, err
		}
	}
	return v.bring(ctx, ref, s)
}

// reserve notes in the source that a record which is about to be made is in the target: whoever knows the source alone must
// not make it there.
func (v *Vault) reserve(ctx context.Context, ref vault.Ref) error {
	_, err := v.from.WriteSlot(ctx, ref, vault.Slot{Note: vault.NoteMoved}, 0)
	if !errors.Is(err, vault.ErrMismatch) && !errors.Is(err, vault.ErrErased) {
		return err
	}
	s, n, readErr := v.from.ReadSlot(ctx, ref)
	if !answered(readErr) {
		return readErr
	}
	if h := inSource(s, n, readErr); h.side != none {
		return v.mismatchOf(h)
	}
	return nil
}

// mark freezes what is at home in the source, and returns its new number there. What is spoilt beyond reading is given up:
// nothing of it could be moved. Errors: vault.ErrMismatch, vault.ErrErased.
func (v *Vault) mark(ctx context.Context, ref vault.Ref, h head) (vault.CAS, error) {
	s := vault.Slot{Note: vault.NoteMoving, Record: h.slot.Record, Erased: errors.Is(h.err, vault.ErrErased)}
	if errors.Is(h.err, vault.ErrCorrupt) {
		s = vault.Slot{Note: vault.NoteMoved}
	}
	return v.from.WriteSlot(ctx, ref, s, h.number)
}

// bring writes into the target what it does not have. Errors: vault.ErrMismatch and vault.ErrErased where it has it.
func (v *Vault) bring(ctx context.Context, ref vault.Ref, s vault.Slot) (vault.CAS, error) {
	next, err := v.to.WriteSlot(ctx, ref, s, 0)
	if !errors.Is(err, vault.ErrMismatch) {
		return encode(target, next), err
	}
	h, err := v.head(ctx, ref)
	if err != nil {
		return 0, err
	}
	if h.side == target || h.vacancy == 0 {
		return 0, v.mismatchOf(h)
	}
	next, err = v.to.WriteSlot(ctx, ref, s, h.vacancy)
	return encode(target, next), err
}

// mismatch tells an erased record from one that moved on.
func (v *Vault) mismatch(ctx context.Context, ref vault.Ref) error {
	h, err := v.head(ctx, ref)
	if err != nil {
		return err
	}
	return v.mismatchOf(h)
}

func (v *Vault) mismatchOf(h head) error {
	if errors.Is(h.err, vault.ErrErased) {
		return vault.ErrErased
	}
	return fmt.Errorf("%w: it is %d", vault.ErrMismatch, h.cas())
}

// EraseRecord implements vault.Records: first in the target, over which nothing can be brought from then on, then in the
// source, which keeps a note.
func (v *Vault) EraseRecord(ctx context.Context, ref vault.Ref) error {
	err := v.to.EraseRecord(ctx, ref)
	if errors.Is(err, vault.ErrUnavailable) {
		// A note of an earlier move in the other direction is in the way, or the vault really is not there.
		if replaced := replace(ctx, v.to, ref, vault.Slot{Erased: true}, func(s vault.Slot) bool { return s.Note == vault.NoNote }); replaced == nil {
			err = v.to.EraseRecord(ctx, ref)
		}
	}
	if err == nil {
		err = v.empty(ctx, ref)
	}
	if err != nil {
		return fmt.Errorf("erasing a record in both vaults: %w", err)
	}
	return nil
}

// empty leaves a note in the source in place of whatever is there.
func (v *Vault) empty(ctx context.Context, ref vault.Ref) error {
	return replace(ctx, v.from, ref, vault.Slot{Note: vault.NoteMoved}, func(s vault.Slot) bool { return s.Note == vault.NoteMoved })
}

// replace writes a slot over whatever is there, until it is done.
func replace(ctx context.Context, in vault.Movable, ref vault.Ref, want vault.Slot, done func(vault.Slot) bool) error {
	for {
		s, n, err := in.ReadSlot(ctx, ref)
		if !answered(err) {
			return err
		}
		if err == nil && done(s) {
			return nil
		}
		_, err = in.WriteSlot(ctx, ref, want, n)
		if err == nil || ctx.Err() != nil || !errors.Is(err, vault.ErrMismatch) && !errors.Is(err, vault.ErrErased) {
			return err
		}
	}
}

// ListRecords implements vault.Records: those of both. Among them are such that have moved and were erased since.
func (v *Vault) ListRecords(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	there, err := v.to.ListRecords(ctx, tenant, after, limit)
	if err != nil {
		return nil, err
	}
	here, err := v.from.ListRecords(ctx, tenant, after, limit)
	if err != nil {
		return nil, err
	}
	ids := slices.Concat(there, here)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	return ids[:min(len(ids), max(limit, 0))], nil
}
