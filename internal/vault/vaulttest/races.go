package vaulttest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

const writers = 50

// together runs fn in all writers at once and returns their errors.
func together(fn func(i int) error) []error {
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner fails unless one error is nil and all others are ErrMismatch; it returns the winner.
func wantOneWinner(t *testing.T, errs []error) int {
	t.Helper()
	winner, won := -1, 0
	for i, err := range errs {
		if err == nil {
			winner, won = i, won+1
		} else if !errors.Is(err, vault.ErrMismatch) {
			t.Errorf("writer %d: got %v, want ErrMismatch", i, err)
		}
	}
	if won != 1 {
		t.Fatalf("got %d winners, want 1", won)
	}
	return winner
}

// race lets all writers write the same generation over the same number and returns the new number.
func (in Instance) race(t *testing.T, ref vault.Ref, generation int64, cas vault.CAS) vault.CAS {
	t.Helper()
	records := make([]vault.Record, writers)
	numbers := make([]vault.CAS, writers)
	for i := range records {
		records[i] = in.seal(t, ref, generation)
	}
	winner := wantOneWinner(t, together(func(i int) (err error) {
		numbers[i], err = in.Vault().WriteRecord(t.Context(), ref, records[i], cas)
		return err
	}))
	got, number, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if got.Attempt != records[winner].Attempt || number != numbers[winner] {
		t.Fatalf("generation %d: the head is not the winner's", generation)
	}
	return number
}

func testRaceCreate(t *testing.T, in Instance) {
	for range 3 {
		in.race(t, in.ref(t), 1, 0)
	}
}

func testRaceRounds(t *testing.T, in Instance) {
	ref := in.ref(t)
	cas := in.write(t, ref, 1, 0)
	for generation := int64(2); generation < 10; generation++ {
		cas = in.race(t, ref, generation, cas)
	}
	in.Reopen(t)
	in.wantHead(t, ref, 9, cas)
}

// testNoLostUpdate lets each writer add one to a sealed number: all are counted.
func testNoLostUpdate(t *testing.T, in Instance) {
	ref := in.ref(t)
	first, err := sealGeneration(t.Context(), in.Vault(), ref, 1, secret.NewBytes([]byte("0")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Vault().WriteRecord(t.Context(), ref, first, 0); err != nil {
		t.Fatal(err)
	}
	for i, err := range together(func(int) error { return increment(t.Context(), in.Vault(), ref) }) {
		if err != nil {
			t.Fatalf("writer %d: %v", i, err)
		}
	}
	r, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.OpenRecord(t.Context(), in.Vault(), ref, r)
	if err != nil || string(got.Reveal()) != strconv.Itoa(writers) || r.Generation != writers+1 {
		t.Errorf("got %s in generation %d, %v, want %d", got.Reveal(), r.Generation, err, writers)
	}
}

// increment adds one to the number that a record holds, until nobody came between.
func increment(ctx context.Context, v vault.Vault, ref vault.Ref) error {
	for {
		r, cas, err := v.ReadRecord(ctx, ref)
		if err != nil {
			return err
		}
		text, err := vault.OpenRecord(ctx, v, ref, r)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(text.Reveal()))
		if err != nil {
			return err
		}
		next, err := sealGeneration(ctx, v, ref, r.Generation+1, secret.NewBytes([]byte(strconv.Itoa(n+1))))
		if err != nil {
			return err
		}
		if _, err = v.WriteRecord(ctx, ref, next, cas); !errors.Is(err, vault.ErrMismatch) {
			return err
		}
	}
}

// testRaceRewrap wraps a record's data key anew between a reader and its commit: the commit does not match, the head still
// has the generation that was read, and the commit is written again over the number it has now.
func testRaceRewrap(t *testing.T, in Instance) {
	ref := in.ref(t)
	cas := in.write(t, ref, 1, 0)
	reserved, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	next := in.seal(t, ref, 2)
	in.rotate(t, ref.Tenant, 2)
	rewrapped, err := in.Vault().RewrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{reserved.Key})
	if err != nil {
		t.Fatal(err)
	}
	moved := reserved
	moved.Key = rewrapped[0]
	if _, err := in.Vault().WriteRecord(t.Context(), ref, moved, cas); err != nil {
		t.Fatal(err)
	}
	_, err = in.Vault().WriteRecord(t.Context(), ref, next, cas)
	wantError(t, "the commit", err, vault.ErrMismatch)
	got, now, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil || got.Header != reserved.Header {
		t.Fatalf("got header %+v, %v, want the one that was read: %+v", got.Header, err, reserved.Header)
	}
	if cas, err = in.Vault().WriteRecord(t.Context(), ref, next, now); err != nil {
		t.Fatal(err)
	}
	in.wantHead(t, ref, 2, cas)
}

// testRaceErase erases while others write: afterwards it is erased, whoever came last.
func testRaceErase(t *testing.T, in Instance) {
	ref := in.ref(t)
	first, err := sealGeneration(t.Context(), in.Vault(), ref, 1, secret.NewBytes([]byte("0")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Vault().WriteRecord(t.Context(), ref, first, 0); err != nil {
		t.Fatal(err)
	}
	for i, err := range together(func(i int) error {
		if i == writers/2 {
			return in.Vault().EraseRecord(t.Context(), ref)
		}
		return increment(t.Context(), in.Vault(), ref)
	}) {
		if err != nil && !errors.Is(err, vault.ErrErased) {
			t.Errorf("writer %d: got %v, want ErrErased", i, err)
		}
	}
	_, _, err = in.Vault().ReadRecord(t.Context(), ref)
	wantError(t, "reading afterwards", err, vault.ErrErased)
}
