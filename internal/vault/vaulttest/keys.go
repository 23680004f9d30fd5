package vaulttest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func (in Instance) dataKey(t *testing.T, tenant uuid.UUID) vault.DataKey {
	t.Helper()
	dk, err := in.Vault().NewDataKey(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return dk
}

// wantUnwraps fails unless the wrapped keys unwrap to the plain ones, in their order.
func (in Instance) wantUnwraps(t *testing.T, tenant uuid.UUID, keys ...vault.DataKey) {
	t.Helper()
	wrapped := make([]vault.WrappedKey, len(keys))
	for i, k := range keys {
		wrapped[i] = k.Wrapped
	}
	got, err := in.Vault().UnwrapDataKeys(t.Context(), tenant, wrapped)
	if err != nil || len(got) != len(keys) {
		t.Fatalf("got %d keys, %v, want %d", len(got), err, len(keys))
	}
	for i := range keys {
		if !got[i].Equal(keys[i].Plain) {
			t.Errorf("key %d is another one", i)
		}
	}
}

// wantRefused fails unless every use of the wrapped key fails with want.
func (in Instance) wantRefused(t *testing.T, tenant uuid.UUID, w vault.WrappedKey, want error) {
	t.Helper()
	_, err := in.Vault().UnwrapDataKeys(t.Context(), tenant, []vault.WrappedKey{w})
	wantError(t, "unwrapping", err, want)
	_, err = in.Vault().RewrapDataKeys(t.Context(), tenant, []vault.WrappedKey{w})
	wantError(t, "re-wrapping", err, want)
}

func testKeys(t *testing.T, in Instance) {
	tenant := in.tenant(t)
	a, b := in.dataKey(t, tenant), in.dataKey(t, tenant)
	if a.Plain.Len() != 32 || a.Plain.Equal(b.Plain) || a.Wrapped.Version != 1 || bytes.Contains(a.Wrapped.Bytes, a.Plain.Reveal()) {
		t.Errorf("a data key of %d bytes, version %d", a.Plain.Len(), a.Wrapped.Version)
	}
	if err := in.Vault().CreateKey(t.Context(), tenant); err != nil {
		t.Errorf("creating it again: %v", err)
	}
	in.wantUnwraps(t, tenant, b, a, b)
	in.wantUnwraps(t, tenant)
	in.Reopen(t)
	in.wantUnwraps(t, tenant, a, b)
	if got, err := in.Vault().KeyInfo(t.Context(), tenant); err != nil || got != (vault.KeyInfo{Latest: 1, Min: 1}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, i := range []int{0, 1, len(a.Wrapped.Bytes) / 2, len(a.Wrapped.Bytes) - 6} {
		altered := vault.WrappedKey{Version: 1, Bytes: bytes.Clone(a.Wrapped.Bytes)}
		altered.Bytes[i] ^= 0x02
		in.wantRefused(t, tenant, altered, vault.ErrCorrupt)
	}
	for _, version := range []int{-1, 0, 2, 1 << 30} {
		in.wantRefused(t, tenant, vault.WrappedKey{Version: version, Bytes: a.Wrapped.Bytes}, vault.ErrCorrupt)
	}
	_, err := in.Vault().UnwrapDataKeys(t.Context(), tenant, []vault.WrappedKey{a.Wrapped, {Version: 1, Bytes: []byte("no")}})
	wantError(t, "a batch with one that is bad", err, vault.ErrCorrupt)
}

// testKeysNeverCreated sees that nothing but CreateKey makes a key.
func testKeysNeverCreated(t *testing.T, in Instance) {
	nobody := uuid.New()
	wrapped := in.dataKey(t, in.tenant(t)).Wrapped
	_, err := in.Vault().NewDataKey(t.Context(), nobody)
	wantError(t, "a data key", err, vault.ErrNoKey)
	in.wantRefused(t, nobody, wrapped, vault.ErrNoKey)
	_, err = in.Vault().RotateKey(t.Context(), nobody)
	wantError(t, "rotating", err, in.rotationWithoutKey())
	wantError(t, "raising the minimum", in.Vault().SetMinVersion(t.Context(), nobody, 1), in.rotationWithoutKey())
	_, err = in.Vault().KeyInfo(t.Context(), nobody)
	wantError(t, "its versions after all that", err, vault.ErrNoKey)
	if err := in.Vault().DestroyKey(t.Context(), nobody); err != nil {
		t.Errorf("destroying what is not there: %v", err)
	}
	_, err = in.Vault().NewDataKey(t.Context(), nobody)
	wantError(t, "a data key after all that", err, vault.ErrNoKey)
}

func testKeysWrongTenant(t *testing.T, in Instance) {
	mine, other := in.tenant(t), in.tenant(t)
	in.wantRefused(t, other, in.dataKey(t, mine).Wrapped, vault.ErrCorrupt)
}

func testKeysRotate(t *testing.T, in Instance) {
	ref := in.ref(t)
	tenant := ref.Tenant
	cas := in.write(t, ref, 1, 0)
	old := in.dataKey(t, tenant)
	if !in.rotate(t, tenant, 2) {
		in.wantUnrotated(t, ref, cas, old)
		return
	}
	young := in.dataKey(t, tenant)
	if young.Wrapped.Version != 2 {
		t.Errorf("got version %d, want 2", young.Wrapped.Version)
	}
	in.wantUnwraps(t, tenant, old, young, old)
	in.wantRefused(t, tenant, vault.WrappedKey{Version: 2, Bytes: old.Wrapped.Bytes}, vault.ErrCorrupt)

	// Re-wrapping leaves data key, generation and ciphertext alone.
	record, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	rewrapped, err := in.Vault().RewrapDataKeys(t.Context(), tenant, []vault.WrappedKey{record.Key, old.Wrapped})
	if err != nil || rewrapped[0].Version != 2 || rewrapped[1].Version != 2 {
		t.Fatalf("got %+v, %v", rewrapped, err)
	}
	stale := vault.DataKey{Plain: old.Plain, Wrapped: old.Wrapped}
	old.Wrapped, record.Key = rewrapped[1], rewrapped[0]
	if cas, err = in.Vault().WriteRecord(t.Context(), ref, record, cas); err != nil {
		t.Fatal(err)
	}
	in.wantHead(t, ref, 1, cas)

	if err := in.Vault().SetMinVersion(t.Context(), tenant, 3); err == nil {
		t.Error("the minimum was raised above the latest version")
	}
	if err := in.Vault().SetMinVersion(t.Context(), tenant, 2); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		in.wantRefused(t, tenant, stale.Wrapped, vault.ErrCorrupt)
		in.wantUnwraps(t, tenant, old, young)
		in.wantHead(t, ref, 1, cas)
		if got, err := in.Vault().KeyInfo(t.Context(), tenant); err != nil || got != (vault.KeyInfo{Latest: 2, Min: 2}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := in.Vault().SetMinVersion(t.Context(), tenant, 1); err != nil {
			t.Errorf("lowering the minimum does nothing: got %v", err)
		}
		in.Reopen(t)
	}
}

// rotationWithoutKey is the error of rotating a key that is not there: the refusal, where there is one, comes first.
func (in Instance) rotationWithoutKey() error {
	if in.NoRotation != nil {
		return in.NoRotation
	}
	return vault.ErrNoKey
}

// wantUnrotated sees that a refused rotation changed nothing, and that data keys are wrapped anew all the same.
func (in Instance) wantUnrotated(t *testing.T, ref vault.Ref, cas vault.CAS, key vault.DataKey) {
	t.Helper()
	if got, err := in.Vault().KeyInfo(t.Context(), ref.Tenant); err != nil || got != (vault.KeyInfo{Latest: 1, Min: 1}) {
		t.Errorf("got %+v, %v", got, err)
	}
	rewrapped, err := in.Vault().RewrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{key.Wrapped})
	if err != nil || len(rewrapped) != 1 {
		t.Fatalf("got %d keys, %v", len(rewrapped), err)
	}
	in.wantUnwraps(t, ref.Tenant, key, vault.DataKey{Plain: key.Plain, Wrapped: rewrapped[0]})
	in.wantHead(t, ref, 1, cas)
}

func testKeysDestroy(t *testing.T, in Instance) {
	ref, neighbour := in.ref(t), in.ref(t)
	in.write(t, ref, 1, 0)
	kept := in.write(t, neighbour, 1, 0)
	record, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	in.wantUnwraps(t, ref.Tenant, in.dataKey(t, ref.Tenant))
	for range 2 {
		if err := in.Vault().DestroyKey(t.Context(), ref.Tenant); err != nil {
			t.Fatal(err)
		}
		_, err := in.Vault().NewDataKey(t.Context(), ref.Tenant)
		wantError(t, "a data key", err, vault.ErrNoKey)
		in.wantRefused(t, ref.Tenant, record.Key, vault.ErrNoKey)
		_, err = vault.OpenRecord(t.Context(), in.Vault(), ref, record)
		wantError(t, "opening", err, vault.ErrNoKey)
		_, err = in.Vault().RotateKey(t.Context(), ref.Tenant)
		wantError(t, "rotating", err, in.rotationWithoutKey())
		_, err = in.Vault().KeyInfo(t.Context(), ref.Tenant)
		wantError(t, "its versions", err, vault.ErrNoKey)
		wantError(t, "creating it again", in.Vault().CreateKey(t.Context(), ref.Tenant), vault.ErrNoKey)
		in.Reopen(t)
	}
	in.wantHead(t, neighbour, 1, kept)
}

// testKeysRace creates one key many times at once, rotates and destroys it beside those who use it.
func testKeysRace(t *testing.T, in Instance) {
	tenant := uuid.New()
	keys := make([]vault.DataKey, writers)
	for i, err := range together(func(i int) error {
		if err := in.Vault().CreateKey(t.Context(), tenant); err != nil {
			return err
		}
		var err error
		keys[i], err = in.Vault().NewDataKey(t.Context(), tenant)
		return err
	}) {
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	in.wantUnwraps(t, tenant, keys...)

	var users sync.WaitGroup
	ready := make(chan struct{}, 4)
	for range 4 {
		users.Go(func() { useUntilDestroyed(t, in.Vault(), tenant, ready) })
	}
	for range 4 {
		<-ready
	}
	for want := 2; want < 5; want++ {
		in.rotate(t, tenant, want)
	}
	in.wantUnwraps(t, tenant, keys...)
	if err := in.Vault().DestroyKey(t.Context(), tenant); err != nil {
		t.Error(err)
	}
	_, err := in.Vault().NewDataKey(t.Context(), tenant)
	wantError(t, "a data key at once after the key was destroyed", err, vault.ErrNoKey)
	users.Wait()
}

// useUntilDestroyed makes and unwraps data keys until there is no key; any other error fails the test.
func useUntilDestroyed(t *testing.T, v vault.Vault, tenant uuid.UUID, ready chan<- struct{}) {
	use := func(ctx context.Context) error {
		dk, err := v.NewDataKey(ctx, tenant)
		if err != nil {
			return err
		}
		got, err := v.UnwrapDataKeys(ctx, tenant, []vault.WrappedKey{dk.Wrapped})
		if err == nil && !got[0].Equal(dk.Plain) {
			t.Error("a data key unwraps to another one")
		}
		return err
	}
	err := use(t.Context())
	ready <- struct{}{}
	for err == nil {
		err = use(t.Context())
	}
	if !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}
