package embedded_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// TestImportPepper replaces the pepper of a new vault, durably, and of no other.
func TestImportPepper(t *testing.T) {
	b := newBench(t, t.TempDir())
	other := newBench(t, t.TempDir())
	pepper, err := other.vault.ExportPepper(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(v vault.Vault) []byte {
		t.Helper()
		m, err := v.MAC(t.Context(), []byte("a key"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if bytes.Equal(mac(b.vault), mac(other.vault)) {
		t.Fatal("two vaults have one pepper")
	}
	if err := b.vault.ImportPepper(t.Context(), secret.NewBytes([]byte("short"))); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("a short one: got %v", err)
	}
	for range 2 {
		if err := b.vault.ImportPepper(t.Context(), pepper); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mac(b.vault), mac(other.vault)) {
			t.Error("it hashes differently")
		}
		b.reopen(t)
	}
	ref := vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}
	if err := b.vault.CreateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	if err := b.vault.ImportPepper(t.Context(), pepper); err != nil {
		t.Errorf("the same again, with a tenant: %v", err)
	}
	if err := b.vault.ImportPepper(t.Context(), secret.NewBytes(bytes.Repeat([]byte{1}, 32))); !errors.Is(err, vault.ErrPepper) {
		t.Errorf("another, with a tenant: got %v", err)
	}
	if b.reopen(t); !bytes.Equal(mac(b.vault), mac(other.vault)) {
		t.Error("the refused pepper took the place of the old one")
	}

	// The pepper outlives the change of the root key.
	if err := b.vault.Close(); err != nil {
		t.Fatal(err)
	}
	newer := secret.NewBytes(bytes.Repeat([]byte{3}, 32))
	if _, err := embedded.Rekey(t.Context(), b.options.Path, testRoot(), newer); err != nil {
		t.Fatal(err)
	}
	b.options.RootKey = newer
	if b.open(t); !bytes.Equal(mac(b.vault), mac(other.vault)) {
		t.Error("the pepper is lost with the old root key")
	}
}

// TestForeignKeys sees that what transit wrapped is not taken for spoilt, and that forms are told apart.
func TestForeignKeys(t *testing.T) {
	b := newBench(t, t.TempDir())
	tenant := uuid.New()
	if err := b.vault.CreateKey(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	dk, err := b.vault.NewDataKey(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	foreign := vault.WrappedKey{Version: 1, Bytes: []byte("vault:v1:AAAA")}
	if !b.vault.Wraps(dk.Wrapped) || b.vault.Wraps(foreign) || b.vault.Wraps(vault.WrappedKey{Version: 2, Bytes: dk.Wrapped.Bytes}) {
		t.Error("the forms are not told apart")
	}
	if _, err := b.vault.UnwrapDataKeys(t.Context(), tenant, []vault.WrappedKey{dk.Wrapped, foreign}); !errors.Is(err, vault.ErrForeign) {
		t.Errorf("unwrapping: got %v", err)
	}
	wrapped, err := b.vault.WrapDataKeys(t.Context(), tenant, []secret.Bytes{dk.Plain})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.vault.UnwrapDataKeys(t.Context(), tenant, wrapped); err != nil || !got[0].Equal(dk.Plain) {
		t.Errorf("what it wrapped for another: %v", err)
	}
	if _, err := b.vault.WrapDataKeys(t.Context(), uuid.New(), []secret.Bytes{dk.Plain}); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("for a tenant without a key: got %v", err)
	}
}

// TestNotAlone sees that a vault which is being filled, or was left, never says of a record that it was never written.
func TestNotAlone(t *testing.T) {
	for _, note := range []vault.Note{vault.NoteArriving, vault.NoteMoved} {
		options := embedded.Options{Path: filepath.Join(t.TempDir(), "vault.db"), RootKey: testRoot()}
		v, err := embedded.Open(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.Close() })
		ref := vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}
		if _, _, err := v.ReadRecord(t.Context(), ref); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("before: got %v", err)
		}
		if err := vault.SetMoveState(t.Context(), v, note); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.ReadRecord(t.Context(), ref); !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("note %q: got %v", note, err)
		}
		if err := vault.CheckAlone(t.Context(), v); !errors.Is(err, vault.ErrMoving) {
			t.Errorf("note %q: got %v", note, err)
		}
		if err := vault.SetMoveState(t.Context(), v, vault.NoNote); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.ReadRecord(t.Context(), ref); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("note %q taken back: got %v", note, err)
		}
	}
}
