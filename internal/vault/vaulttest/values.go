package vaulttest

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func testValues(t *testing.T, in Instance) {
	tenant, other := in.tenant(t), in.tenant(t)
	value := secret.NewBytes([]byte("a client secret"))
	place := vault.Place{Tenant: tenant, Purpose: vault.PurposeClientSecret, Object: uuid.New()}
	sealed, err := vault.Seal(t.Context(), in.Vault(), place, value)
	if err != nil || sealed.KeyVersion != 1 {
		t.Fatalf("got version %d, %v", sealed.KeyVersion, err)
	}
	with, err := vault.SealWith(in.dataKey(t, tenant), place, value)
	if err != nil || bytes.Equal(with.Bytes, sealed.Bytes) {
		t.Fatalf("sealing with a data key: %v", err)
	}
	in.rotate(t, tenant, 2)
	in.Reopen(t)
	for _, s := range []vault.Sealed{sealed, with} {
		if got, err := vault.Unseal(t.Context(), in.Vault(), place, s.Bytes); err != nil || !got.Equal(value) {
			t.Errorf("unsealing: %v", err)
		}
	}
	record, err := in.seal(t, vault.Ref{Tenant: tenant, Connection: place.Object}, 1).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		place vault.Place
		bytes []byte
		want  error
	}{
		{"other tenant", vault.Place{Tenant: other, Purpose: place.Purpose, Object: place.Object}, sealed.Bytes, vault.ErrCorrupt},
		{"tenant without a key", vault.Place{Tenant: uuid.New(), Purpose: place.Purpose, Object: place.Object}, sealed.Bytes, vault.ErrNoKey},
		{"no tenant", vault.Place{Purpose: place.Purpose, Object: place.Object}, sealed.Bytes, vault.ErrInvalid},
		{"other purpose", vault.Place{Tenant: tenant, Purpose: vault.PurposeWebhookSecret, Object: place.Object}, sealed.Bytes, vault.ErrCorrupt},
		{"purpose of records", vault.Place{Tenant: tenant, Purpose: vault.PurposeTokenSet, Object: place.Object}, sealed.Bytes, vault.ErrInvalid},
		{"other object", vault.Place{Tenant: tenant, Purpose: place.Purpose, Object: uuid.New()}, sealed.Bytes, vault.ErrCorrupt},
		{"cut", place, sealed.Bytes[:len(sealed.Bytes)-1], vault.ErrCorrupt},
		{"extended", place, append(bytes.Clone(sealed.Bytes), 0), vault.ErrCorrupt},
		{"empty", place, nil, vault.ErrCorrupt},
		{"a record", place, record, vault.ErrCorrupt},
	} {
		got, err := vault.Unseal(t.Context(), in.Vault(), c.place, c.bytes)
		wantError(t, c.name, err, c.want)
		if got.Len() != 0 {
			t.Errorf("%s: got a plaintext", c.name)
		}
	}
	_, err = vault.Seal(t.Context(), in.Vault(), vault.Place{Tenant: uuid.New(), Purpose: place.Purpose, Object: place.Object}, value)
	wantError(t, "sealing for a tenant without a key", err, vault.ErrNoKey)
}

func testMAC(t *testing.T, in Instance) {
	mac := func(data string) []byte {
		t.Helper()
		m, err := in.Vault().MAC(t.Context(), []byte(data))
		if err != nil || len(m) != 32 {
			t.Fatalf("got %d bytes, %v", len(m), err)
		}
		return m
	}
	first := mac("a key")
	if !bytes.Equal(first, mac("a key")) || bytes.Equal(first, mac("another key")) || bytes.Equal(first, mac("")) {
		t.Error("a MAC that does not tell data apart, or tells the same apart")
	}
	in.Reopen(t)
	if !bytes.Equal(first, mac("a key")) {
		t.Error("the pepper changed")
	}
}
