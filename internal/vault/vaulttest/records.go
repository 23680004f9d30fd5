package vaulttest

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// sealGeneration seals text as a generation of ref under a new data key.
func sealGeneration(ctx context.Context, v vault.Vault, ref vault.Ref, generation int64, text secret.Bytes) (vault.Record, error) {
	dk, err := v.NewDataKey(ctx, ref.Tenant)
	if err != nil {
		return vault.Record{}, err
	}
	h := vault.Header{Generation: generation, Attempt: uuid.New(), Origin: "refresh"}
	return vault.SealRecord(dk, ref, h, text)
}

func testRecords(t *testing.T, in Instance) {
	ref := in.ref(t)
	_, _, err := in.Vault().ReadRecord(t.Context(), ref)
	wantError(t, "reading what never was", err, vault.ErrNotFound)
	_, err = in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, 1), 3)
	wantError(t, "writing over what is not there", err, vault.ErrMismatch)

	first := in.seal(t, ref, 1)
	one, err := in.Vault().WriteRecord(t.Context(), ref, first, 0)
	if err != nil {
		t.Fatal(err)
	}
	in.wantHead(t, ref, 1, one)
	got, _, _ := in.Vault().ReadRecord(t.Context(), ref)
	if got.Header != first.Header || got.Key.Version != first.Key.Version {
		t.Errorf("got header %+v, want %+v", got.Header, first.Header)
	}
	_, err = in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, 2), 0)
	wantError(t, "creating it twice", err, vault.ErrMismatch)
	_, err = in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, 2), one+1)
	wantError(t, "writing over a later number", err, vault.ErrMismatch)

	two := in.write(t, ref, 2, one)
	if two == one {
		t.Error("the number did not change")
	}
	in.wantHead(t, ref, 2, two)
	in.Reopen(t)
	in.wantHead(t, ref, 2, two)
	if err := in.Vault().Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
}

func testList(t *testing.T, in Instance) {
	tenant, other := in.tenant(t), in.tenant(t)
	var want []uuid.UUID
	for range 7 {
		id := uuid.New()
		in.write(t, vault.Ref{Tenant: tenant, Connection: id}, 1, 0)
		in.write(t, vault.Ref{Tenant: other, Connection: uuid.New()}, 1, 0)
		want = append(want, id)
	}
	slices.SortFunc(want, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var got []uuid.UUID
	after := uuid.Nil
	for {
		page, err := in.Vault().ListRecords(t.Context(), tenant, after, 3)
		if err != nil || len(page) > 3 {
			t.Fatalf("got %d ids, error %v", len(page), err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if none, err := in.Vault().ListRecords(t.Context(), uuid.New(), uuid.Nil, 3); err != nil || len(none) != 0 {
		t.Errorf("of an unknown tenant: got %v, %v", none, err)
	}
}

func testErased(t *testing.T, in Instance) {
	written := in.ref(t)
	cas := in.write(t, written, 1, 0)
	never := vault.Ref{Tenant: written.Tenant, Connection: uuid.New()}
	for _, ref := range []vault.Ref{written, never, written} {
		if err := in.Vault().EraseRecord(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for _, ref := range []vault.Ref{written, never} {
			_, erased, err := in.Vault().ReadRecord(t.Context(), ref)
			wantError(t, "reading", err, vault.ErrErased)
			for number := range erased + 2 {
				if number == erased {
					continue
				}
				_, err = in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, 2), number)
				wantError(t, "writing", err, vault.ErrErased)
			}
		}
		in.Reopen(t)
	}
	if _, err := in.Vault().WriteRecord(t.Context(), written, in.seal(t, written, 2), cas); !errors.Is(err, vault.ErrErased) {
		t.Errorf("writing over the number from before: got %v, want ErrErased", err)
	}
}

// testErasedAnew writes over what was erased, as a new consent does: only who has seen the erasure can.
func testErasedAnew(t *testing.T, in Instance) {
	written := in.ref(t)
	in.write(t, written, 1, 0)
	never := vault.Ref{Tenant: written.Tenant, Connection: uuid.New()}
	for _, ref := range []vault.Ref{written, never} {
		var numbers []vault.CAS
		for generation := int64(2); generation < 5; generation++ {
			if err := in.Vault().EraseRecord(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			_, erased, err := in.Vault().ReadRecord(t.Context(), ref)
			wantError(t, "reading", err, vault.ErrErased)
			for _, number := range numbers {
				_, err = in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, generation), number)
				wantError(t, "writing over an earlier number", err, vault.ErrErased)
			}
			cas := in.write(t, ref, generation, erased)
			in.Reopen(t)
			in.wantHead(t, ref, generation, cas)
			numbers = append(numbers, erased, cas)
		}
	}
}

// testSpoiltAnew writes over a record that does not open any more.
func testSpoiltAnew(t *testing.T, in Instance) {
	ref := in.ref(t)
	in.write(t, ref, 1, 0)
	in.Tamper(t, ref, func(r vault.Record) vault.Record { r.Key.Bytes = r.Key.Bytes[:1]; return r })
	in.wantClosed(t, ref)
	_, cas, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil && !errors.Is(err, vault.ErrCorrupt) {
		t.Fatal(err)
	}
	in.wantHead(t, ref, 2, in.write(t, ref, 2, cas))
}

func testInvalid(t *testing.T, in Instance) {
	ref := in.ref(t)
	good := in.seal(t, ref, 1)
	for name, r := range map[string]vault.Ref{
		"no tenant": {Connection: ref.Connection}, "no connection": {Tenant: ref.Tenant},
	} {
		_, err := in.Vault().WriteRecord(t.Context(), r, good, 0)
		wantError(t, "writing with "+name, err, vault.ErrInvalid)
		wantError(t, "erasing with "+name, in.Vault().EraseRecord(t.Context(), r), vault.ErrInvalid)
	}
	wantError(t, "a key for nobody", in.Vault().CreateKey(t.Context(), uuid.Nil), vault.ErrInvalid)
	for name, change := range map[string]func(*vault.Record){
		"generation 0":  func(r *vault.Record) { r.Generation = 0 },
		"no attempt":    func(r *vault.Record) { r.Attempt = uuid.Nil },
		"no key":        func(r *vault.Record) { r.Key = vault.WrappedKey{} },
		"no ciphertext": func(r *vault.Record) { r.Ciphertext = nil },
		"huge version":  func(r *vault.Record) { r.Key.Version = math.MaxInt32 + 1 },
	} {
		r := good
		change(&r)
		_, err := in.Vault().WriteRecord(t.Context(), ref, r, 0)
		wantError(t, "writing with "+name, err, vault.ErrInvalid)
	}
	_, _, err := in.Vault().ReadRecord(t.Context(), ref)
	wantError(t, "reading afterwards", err, vault.ErrNotFound)
}

// testCancelled ends contexts around writes: whatever the answer, the head tells the truth and is whole.
func testCancelled(t *testing.T, in Instance) {
	ref := in.ref(t)
	cas := in.write(t, ref, 1, 0)
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := in.Vault().WriteRecord(ended, ref, in.seal(t, ref, 2), cas); err == nil {
		t.Error("a context that had ended before did not matter")
	}
	for generation := int64(2); generation < 30; generation++ {
		record := in.seal(t, ref, generation)
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := in.Vault().WriteRecord(ctx, ref, record, cas)
		got, number, readErr := in.Vault().ReadRecord(t.Context(), ref)
		if readErr != nil {
			t.Fatal(readErr)
		}
		mine := got.Attempt == record.Attempt
		if err == nil && !mine {
			t.Fatalf("generation %d was acknowledged and is not there", generation)
		}
		if errors.Is(err, vault.ErrMismatch) {
			t.Fatalf("nobody else writes: %v", err)
		}
		cas = number
		if !mine {
			cas = in.write(t, ref, generation, cas)
		}
	}
}
