package vault

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// Movable is what a vault offers beside the seam so that it can be left for another one, or moved into. Only the package
// moving and the command that copies call it.
type Movable interface {
	Vault
	// ReadSlot is ReadRecord that returns notes instead of refusing them. Errors: as ReadRecord; ErrErased only where
	// no note says so.
	ReadSlot(ctx context.Context, ref Ref) (Slot, CAS, error)
	// WriteSlot is WriteRecord for notes and for erasures that must not hit what somebody wrote meanwhile. Where what it
	// writes holds no record, older versions are destroyed. Errors: as WriteRecord.
	WriteSlot(ctx context.Context, ref Ref, s Slot, cas CAS) (CAS, error)
	// ListSlots is ListRecords with everything that was ever written, erased records and notes among them.
	ListSlots(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// Wraps reports whether the wrapped key is of the form that this kind of vault gives its own. No key has the form of
	// two kinds.
	Wraps(w WrappedKey) bool
	// WrapDataKeys wraps data keys that another vault made under the latest version of the tenant's key. It never creates
	// a tenant key. Errors: ErrNoKey, ErrInvalid.
	WrapDataKeys(ctx context.Context, tenant uuid.UUID, plain []secret.Bytes) ([]WrappedKey, error)
	// ExportPepper returns the key of MAC. Errors: ErrDenied.
	ExportPepper(ctx context.Context) (secret.Bytes, error)
	// ImportPepper makes another vault's pepper the key of MAC. It does nothing where it is that already.
	// Errors: ErrPepper, ErrDenied, ErrInvalid.
	ImportPepper(ctx context.Context, pepper secret.Bytes) error
}

// Note says, in the place of a record, that the record is on its way to another vault.
type Note byte

// The notes. Their values are part of the format.
const (
	// NoNote is an ordinary record.
	NoNote Note = 0
	// NoteMoving keeps the record (or its erasure) and freezes it: whoever knows this vault alone may no longer read it,
	// because a newer one may be in the other vault.
	NoteMoving Note = 'm'
	// NoteMoved says that the record, if there is one, is in the other vault. Under MoveRef: that everything is.
	NoteMoved Note = 'x'
	// NoteArriving, under MoveRef, says that records are being moved into this vault and that it does not have all yet.
	NoteArriving Note = 'a'
)

// MoveRef is where a vault says of itself that it is being moved into (NoteArriving) or was left (NoteMoved). No tenant has
// this id.
var MoveRef = Ref{
	Tenant:     uuid.MustParse("ffffffff-ffff-ffff-ffff-fffffffffffe"),
	Connection: uuid.MustParse("ffffffff-ffff-ffff-ffff-fffffffffffe"),
}

// Slot is what rests under a reference: a record, an erasure or a note. The zero value is not writable.
type Slot struct {
	Note Note
	// Erased says that the record was destroyed on purpose; Record is then empty.
	Erased bool
	Record Record
}

// magicNote is the first byte of a note's encoding.
const magicNote = 'M'

// noteHeader is the length of a note's encoding ahead of the record, in bytes: magic, format, note, content.
const noteHeader = 4

// Content of a note.
const (
	contentNone   = 0
	contentErased = 1
	contentRecord = 2
)

// Bare reports whether the slot is an erasure and nothing else, for which stores have forms of their own.
func (s Slot) Bare() bool { return s.Note == NoNote && s.Erased }

// Empty reports whether the slot holds no record.
func (s Slot) Empty() bool { return s.Erased || s.Note == NoteMoved || s.Note == NoteArriving }

// Head is what a process that knows this vault alone may see of the slot. Errors: ErrErased; ErrUnavailable where there is a
// note, because what it stands for is elsewhere, or may be.
func (s Slot) Head() (Record, error) {
	switch {
	case s.Note != NoNote:
		return Record{}, fmt.Errorf("%w: the record is on its way to another vault: set TOKENKEEP_VAULT to that one and TOKENKEEP_VAULT_FROM to this one", ErrUnavailable)
	case s.Erased:
		return Record{}, ErrErased
	default:
		return s.Record, nil
	}
}

// MarshalBinary encodes the slot: a record as itself, a note as 'M', format, note, content and the record's encoding, if it
// has one. Errors: ErrInvalid (no slot that MarshalBinary could have been given; a bare erasure).
func (s Slot) MarshalBinary() ([]byte, error) {
	switch {
	case s.Note == NoNote && !s.Erased:
		return s.Record.MarshalBinary()
	case s.Note == NoteMoved, s.Note == NoteArriving:
		return []byte{magicNote, formatV1, byte(s.Note), contentNone}, nil
	case s.Note == NoteMoving && s.Erased:
		return []byte{magicNote, formatV1, byte(s.Note), contentErased}, nil
	case s.Note == NoteMoving:
		encoded, err := s.Record.MarshalBinary()
		return append([]byte{magicNote, formatV1, byte(s.Note), contentRecord}, encoded...), err
	default:
		return nil, fmt.Errorf("encoding a slot: %w: note %d", ErrInvalid, s.Note)
	}
}

// UnmarshalBinary decodes what MarshalBinary wrote and nothing else. Errors: ErrCorrupt.
func (s *Slot) UnmarshalBinary(data []byte) error {
	if len(data) == 0 || data[0] != magicNote {
		var r Record
		if err := r.UnmarshalBinary(data); err != nil {
			return err
		}
		*s = Slot{Record: r}
		return nil
	}
	got, err := parseNote(data)
	if err != nil {
		return fmt.Errorf("decoding a note: %w", err)
	}
	*s = got
	return nil
}

// parseNote decodes a note. One note has one encoding: what does not encode to the same is refused.
func parseNote(data []byte) (Slot, error) {
	if len(data) < noteHeader {
		return Slot{}, ErrCorrupt
	}
	s := Slot{Note: Note(data[2]), Erased: data[3] == contentErased}
	if data[3] == contentRecord {
		if err := s.Record.UnmarshalBinary(data[noteHeader:]); err != nil {
			return Slot{}, err
		}
	}
	if s.Note == NoNote {
		return Slot{}, ErrCorrupt
	}
	again, err := s.MarshalBinary()
	if err != nil || !bytes.Equal(again, data) {
		return Slot{}, ErrCorrupt
	}
	return s, nil
}

// Noted reports whether an encoding is a note's.
func Noted(encoded []byte) bool { return len(encoded) > 0 && encoded[0] == magicNote }

// ErrForeign says that a data key was wrapped by a vault of another kind. It is no fault of what is sealed: whoever knows that
// vault opens it, so it must never be taken for spoilt.
var ErrForeign = fmt.Errorf("%w: it is sealed under a key of another vault: set TOKENKEEP_VAULT_FROM to that one, and finish the move with tokenkeep vault copy", ErrUnavailable)

// CheckAlone refuses a vault that must not be used without another one: records are still on their way into it, or all were
// moved out of it. Errors: ErrMoving, and those of reading.
func CheckAlone(ctx context.Context, v Movable) error {
	switch state, err := MoveState(ctx, v); {
	case err != nil:
		return err
	case state == NoteArriving:
		return fmt.Errorf("%w: records are being moved into this vault and it does not have all of them: set TOKENKEEP_VAULT_FROM to the vault they come from, and finish with tokenkeep vault copy", ErrMoving)
	case state == NoteMoved:
		return fmt.Errorf("%w: everything was moved out of this vault: set TOKENKEEP_VAULT to the one it was moved into", ErrMoving)
	default:
		return nil
	}
}

// NeverWritten is the error for a record that v does not have. A vault says "never written" only where it may be used alone:
// where records are on their way into it, or were moved out of it, what it does not have is elsewhere. It is asked each time,
// for a process may outlive a move that nobody told it of; what has no record is about to get its first one, which is rare.
// Errors: ErrNotFound; ErrUnavailable where v must not be used alone.
func NeverWritten(ctx context.Context, v Movable) error {
	if err := CheckAlone(ctx, v); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ErrNotFound
}

// MoveState is what a vault says of itself under MoveRef: NoNote, NoteArriving or NoteMoved.
func MoveState(ctx context.Context, v Movable) (Note, error) {
	note, _, err := moveState(ctx, v)
	return note, err
}

// SetMoveState makes a vault say so; NoNote takes back what it said.
func SetMoveState(ctx context.Context, v Movable, note Note) error {
	is, cas, err := moveState(ctx, v)
	if err != nil || is == note {
		return err
	}
	if _, err := v.WriteSlot(ctx, MoveRef, Slot{Note: note, Erased: note == NoNote}, cas); err != nil {
		return fmt.Errorf("noting how far a move is: %w", err)
	}
	return nil
}

func moveState(ctx context.Context, v Movable) (Note, CAS, error) {
	s, cas, err := v.ReadSlot(ctx, MoveRef)
	if NoRecord(err) {
		return NoNote, cas, nil
	}
	if err != nil {
		return NoNote, cas, fmt.Errorf("reading how far a move is: %w", err)
	}
	return s.Note, cas, nil
}
