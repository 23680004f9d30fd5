package moving

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Relocated says what became of a page of records.
type Relocated struct {
	// Last is the last reference of the page, More is false where it was the last page.
	Last uuid.UUID
	More bool
	// Seen are all, Moved are those that this call brought to the target.
	Seen, Moved int
	// Unreadable do not open in the source and stay there.
	Unreadable []uuid.UUID
}

// resident is what is still at home in the source.
type resident struct {
	ref    vault.Ref
	number vault.CAS
	slot   vault.Slot
	// key is the record's data key as the target wraps it.
	key vault.WrappedKey
}

// Relocate moves a page of what the source has of a tenant, behind an id: records with their data keys wrapped by the target,
// erasures as what they are. What others move at the same time is left to them. It may be interrupted anywhere and repeated.
// Errors: those of the vaults; what was moved by then is moved.
func (v *Vault) Relocate(ctx context.Context, tenant, after uuid.UUID, limit int) (Relocated, error) {
	ids, err := v.from.ListSlots(ctx, tenant, after, limit)
	if err != nil || len(ids) == 0 {
		return Relocated{}, err
	}
	did := Relocated{Last: ids[len(ids)-1], More: true, Seen: len(ids)}
	var found []resident
	for _, id := range ids {
		r := resident{ref: vault.Ref{Tenant: tenant, Connection: id}}
		r.slot, r.number, err = v.from.ReadSlot(ctx, r.ref)
		switch {
		case errors.Is(err, vault.ErrErased):
			r.slot.Erased = true
		case errors.Is(err, vault.ErrNotFound):
			continue
		case errors.Is(err, vault.ErrCorrupt):
			did.Unreadable = append(did.Unreadable, id)
			continue
		case err != nil:
			return did, fmt.Errorf("reading what is to be moved: %w", err)
		}
		if r.slot.Note != vault.NoteMoved {
			found = append(found, r)
		}
	}
	return did, v.relocateAll(ctx, tenant, found, &did)
}

// relocateAll asks the vaults once for the data keys of all, and where one of them spoils that, for each.
func (v *Vault) relocateAll(ctx context.Context, tenant uuid.UUID, found []resident, did *Relocated) error {
	keys := make([]vault.WrappedKey, 0, len(found))
	for _, r := range found {
		if !r.slot.Erased {
			keys = append(keys, r.slot.Record.Key)
		}
	}
	fresh, err := v.RewrapDataKeys(ctx, tenant, keys)
	together := err == nil
	if err != nil && !errors.Is(err, vault.ErrCorrupt) {
		return fmt.Errorf("wrapping data keys for the target: %w", err)
	}
	for _, r := range found {
		if !r.slot.Erased {
			if !together {
				fresh, err = v.RewrapDataKeys(ctx, tenant, []vault.WrappedKey{r.slot.Record.Key})
			}
			if errors.Is(err, vault.ErrCorrupt) {
				did.Unreadable = append(did.Unreadable, r.ref.Connection)
				continue
			}
			if err != nil {
				return fmt.Errorf("wrapping a data key for the target: %w", err)
			}
			r.key, fresh = fresh[0], fresh[1:]
		}
		moved, err := v.relocate(ctx, r)
		if err != nil {
			return fmt.Errorf("moving the record of %s: %w", r.ref.Connection, err)
		}
		if moved {
			did.Moved++
		}
	}
	return nil
}

// relocate takes the steps that are left for one record; true where it was this call that brought it to the target.
func (v *Vault) relocate(ctx context.Context, r resident) (bool, error) {
	frozen := r.number
	if r.slot.Note != vault.NoteMoving {
		var err error
		if frozen, err = v.mark(ctx, r.ref, head{number: r.number, slot: r.slot, err: erased(r.slot)}); err != nil {
			return false, passed(err)
		}
	}
	content := vault.Slot{Record: r.slot.Record, Erased: r.slot.Erased}
	content.Record.Key = r.key
	_, err := v.bring(ctx, r.ref, content)
	if passed(err) != nil {
		return false, err
	}
	if err != nil { // the target has it, unless it moved on in yet another way: then it is looked at again
		if h, err := v.head(ctx, r.ref); err != nil || h.side != target {
			return false, err
		}
	}
	_, noted := v.from.WriteSlot(ctx, r.ref, vault.Slot{Note: vault.NoteMoved}, frozen)
	return err == nil, passed(noted)
}

// passed is nil where somebody else was faster: the record is moved by them, or changed, and looked at again by the next pass.
func passed(err error) error {
	if errors.Is(err, vault.ErrMismatch) || errors.Is(err, vault.ErrErased) {
		return nil
	}
	return err
}
