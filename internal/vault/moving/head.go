package moving

import (
	"context"
	"errors"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// side says where a record is at home.
type side int

// The sides. Their numbers are part of every CAS that this package gives out: four times the number that the vault in question
// gave, plus the side. None is 0, which must not exist.
const (
	none side = iota
	// target: in the target, for good.
	target
	// source: in the source, and known to whoever knows that alone.
	source
	// marked: in the source, frozen.
	marked
)

// encode makes one number of a side and its number.
func encode(s side, n vault.CAS) vault.CAS { return 4*n + vault.CAS(s) }

// decode undoes encode.
func decode(cas vault.CAS) (side, vault.CAS) { return side(cas % 4), cas / 4 }

// head is what there is of a record in both vaults.
type head struct {
	side   side
	number vault.CAS
	slot   vault.Slot
	// err is vault.ErrNotFound, vault.ErrErased, vault.ErrCorrupt or nil.
	err error
	// vacancy is the number over which the target takes the record, where it is not at home there: 0, or that of a note that
	// an earlier move in the other direction left.
	vacancy vault.CAS
}

// cas is the number that callers get.
func (h head) cas() vault.CAS { return encode(h.side, h.number) }

// head looks for a record: in the target, then in the source, and where that says that it is in the target by now, there
// once more.
func (v *Vault) head(ctx context.Context, ref vault.Ref) (head, error) {
	for again := false; ; again = true {
		t, tn, err := v.to.ReadSlot(ctx, ref)
		if !answered(err) {
			return head{}, err
		}
		if h, home := inTarget(t, tn, err); home {
			return h, nil
		}
		s, sn, err := v.from.ReadSlot(ctx, ref)
		if !answered(err) {
			return head{}, err
		}
		h := inSource(s, sn, err)
		if h.side == none && t.Note == vault.NoteMoving {
			return head{side: target, number: tn, slot: t, err: erased(t)}, nil
		}
		h.vacancy = tn
		if h.side == none && s.Note == vault.NoteMoved && !again {
			continue
		}
		return h, nil
	}
}

// inTarget says what the target's slot means; home is false where the record is in the source, if it is anywhere.
func inTarget(t vault.Slot, n vault.CAS, err error) (h head, home bool) {
	if errors.Is(err, vault.ErrNotFound) || t.Note != vault.NoNote {
		return head{}, false
	}
	return head{side: target, number: n, slot: t, err: err}, true
}

// inSource says what the source's slot means, where the target has none.
func inSource(s vault.Slot, n vault.CAS, err error) head {
	switch {
	case errors.Is(err, vault.ErrNotFound), s.Note == vault.NoteMoved, s.Note == vault.NoteArriving:
		return head{err: vault.ErrNotFound}
	case s.Note == vault.NoteMoving:
		return head{side: marked, number: n, slot: s, err: erased(s)}
	default:
		return head{side: source, number: n, slot: s, err: err}
	}
}

// answered reports whether a vault said what it has, be it nothing or something spoilt.
func answered(err error) bool {
	return err == nil || vault.NoRecord(err) || errors.Is(err, vault.ErrCorrupt)
}

// erased is vault.ErrErased for slots that are.
func erased(s vault.Slot) error {
	if s.Erased {
		return vault.ErrErased
	}
	return nil
}
