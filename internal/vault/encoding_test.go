package vault_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// sample is a record of fixed bytes.
func sample() vault.Record {
	return vault.Record{
		Header: vault.Header{
			Generation: 42, Attempt: uuid.MustParse("01890000-0000-7000-8000-000000000001"), Origin: "exchange",
		},
		Key:        vault.WrappedKey{Version: 3, Bytes: []byte("wrapped")},
		Ciphertext: append([]byte{1}, bytes.Repeat([]byte{0xab}, 40)...),
	}
}

func TestRecordEncoding(t *testing.T) {
	want := sample()
	encoded, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var got vault.Record
	if err := got.UnmarshalBinary(encoded); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	for i := range encoded {
		if err := got.UnmarshalBinary(encoded[:i]); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("cut at %d: got %v, want ErrCorrupt", i, err)
		}
	}
	if err := got.UnmarshalBinary(append(bytes.Clone(encoded), 0)); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("one byte more: got %v, want ErrCorrupt", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("a failed decoding changed the record")
	}
	encoded[len(encoded)-1]++
	if !reflect.DeepEqual(got, want) {
		t.Error("the record shares memory with its encoding")
	}
}

func TestRecordEncodingRefusesNonsense(t *testing.T) {
	for name, change := range map[string]func(*vault.Record){
		"generation 0":   func(r *vault.Record) { r.Generation = 0 },
		"no attempt":     func(r *vault.Record) { r.Attempt = uuid.Nil },
		"long origin":    func(r *vault.Record) { r.Origin = string(make([]byte, 300)) },
		"no key":         func(r *vault.Record) { r.Key = vault.WrappedKey{} },
		"huge version":   func(r *vault.Record) { r.Key.Version = math.MaxInt32 + 1 },
		"long key":       func(r *vault.Record) { r.Key.Bytes = make([]byte, 1<<16) },
		"no ciphertext":  func(r *vault.Record) { r.Ciphertext = nil },
		"big ciphertext": func(r *vault.Record) { r.Ciphertext = make([]byte, 2<<20) },
	} {
		r := sample()
		change(&r)
		if _, err := r.MarshalBinary(); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// FuzzRecordEncoding finds no bytes that decode to a record with another encoding, and none that panic.
func FuzzRecordEncoding(f *testing.F) {
	encoded, err := sample().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add(encoded[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r vault.Record
		if err := r.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, vault.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := r.MarshalBinary()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("decoded and encoded again: got %x, %v, want %x", again, err, data)
		}
	})
}

// FuzzUnseal finds no bytes that open, and none that panic.
func FuzzUnseal(f *testing.F) {
	k := newMemoryKeys()
	place := vault.Place{Tenant: uuid.New(), Purpose: vault.PurposeAnswer, Object: uuid.New()}
	good, err := vault.Seal(f.Context(), k, place, tokens)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes)
	f.Add(good.Bytes[:30])
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := vault.Unseal(t.Context(), k, place, data)
		if err == nil && !got.Equal(tokens) {
			t.Fatal("foreign bytes opened")
		}
		if err != nil && !errors.Is(err, vault.ErrCorrupt) {
			t.Fatalf("got %v, want ErrCorrupt", err)
		}
	})
}
