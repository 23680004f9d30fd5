package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// someRecord is a record that is well formed.
func someRecord(t *testing.T) vault.Record {
	t.Helper()
	dk := vault.DataKey{Plain: secret.NewBytes(make([]byte, 32)), Wrapped: vault.WrappedKey{Version: 1, Bytes: []byte("wrapped")}}
	r, err := vault.SealRecord(dk, vault.Ref{Tenant: uuid.New(), Connection: uuid.New()},
		vault.Header{Generation: 3, Attempt: uuid.New(), Origin: "refresh"}, secret.NewBytes([]byte("tokens")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSlotEncoding encodes each kind of slot and decodes it again; what is cut, extended or not a slot is refused, and a note is
// never taken for a record.
func TestSlotEncoding(t *testing.T) {
	record := someRecord(t)
	for name, s := range map[string]vault.Slot{
		"record": {Record: record}, "moving": {Note: vault.NoteMoving, Record: record}, "moving erased": {Note: vault.NoteMoving, Erased: true},
		"moved": {Note: vault.NoteMoved}, "arriving": {Note: vault.NoteArriving},
	} {
		encoded, err := s.MarshalBinary()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if vault.Noted(encoded) != (s.Note != vault.NoNote) {
			t.Errorf("%s: Noted says %v", name, vault.Noted(encoded))
		}
		var got vault.Slot
		if err := got.UnmarshalBinary(encoded); err != nil || got.Note != s.Note || got.Erased != s.Erased || got.Record.Header != s.Record.Header {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		again, err := got.MarshalBinary()
		if err != nil || !bytes.Equal(again, encoded) {
			t.Errorf("%s: it encodes to something else, %v", name, err)
		}
		var r vault.Record
		if err := r.UnmarshalBinary(encoded); (err == nil) != (s.Note == vault.NoNote) {
			t.Errorf("%s: as a record: %v", name, err)
		}
		for _, bad := range [][]byte{encoded[:len(encoded)-1], append(bytes.Clone(encoded), 0)} {
			if err := new(vault.Slot).UnmarshalBinary(bad); !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("%s altered: got %v", name, err)
			}
		}
	}
	for name, s := range map[string]vault.Slot{"bare erasure": {Erased: true}, "unknown note": {Note: 'q'}, "nothing": {}} {
		if _, err := s.MarshalBinary(); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("M"), {'M', 1, 0, 0}, {'M', 1, 'q', 0}, {'M', 2, 'x', 0}, {'M', 1, 'x', 1}, {'M', 1, 'm', 0}, {'M', 1, 'm', 9}} {
		if err := new(vault.Slot).UnmarshalBinary(bad); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

// TestSlotHead is what a process may see that knows one vault alone.
func TestSlotHead(t *testing.T) {
	record := someRecord(t)
	for _, c := range []struct {
		slot vault.Slot
		want error
	}{
		{vault.Slot{Record: record}, nil},
		{vault.Slot{Erased: true}, vault.ErrErased},
		{vault.Slot{Note: vault.NoteMoving, Record: record}, vault.ErrUnavailable},
		{vault.Slot{Note: vault.NoteMoving, Erased: true}, vault.ErrUnavailable},
		{vault.Slot{Note: vault.NoteMoved}, vault.ErrUnavailable},
	} {
		r, err := c.slot.Head()
		if !errors.Is(err, c.want) || c.want == nil && r.Generation != 3 || c.want != nil && r.Generation != 0 {
			t.Errorf("%+v: got %+v, %v", c.slot, r.Header, err)
		}
	}
}
