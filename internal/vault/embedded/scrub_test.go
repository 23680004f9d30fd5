package embedded_test

import (
	"bytes"
	"database/sql"
	"os"
	"testing"
)

// column reads one value from the file beneath the vault.
func (b *bench) column(t *testing.T, query string, args ...any) []byte {
	t.Helper()
	var value []byte
	b.beneath(t, func(db *sql.DB) {
		if err := db.QueryRow(query, args...).Scan(&value); err != nil {
			t.Fatal(err)
		}
	})
	return value
}

// holds reports whether the file or its log contains the bytes.
func (b *bench) holds(t *testing.T, piece []byte) bool {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(b.options.Path + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(data, piece) {
			return true
		}
	}
	return false
}

// TestDestroyedKeysAreGone looks for the bytes of keysets that were destroyed or lost a version, and of a record that
// was erased, in the file and its log.
func TestDestroyedKeysAreGone(t *testing.T) {
	b := newBench(t, t.TempDir())
	ref := newRef()
	put(t, b.vault, ref, 1, 0)
	const keyset = `SELECT substr(keyset, 40, 32) FROM keysets WHERE tenant = ?`
	first := b.column(t, keyset, ref.Tenant[:])
	if !b.holds(t, first) {
		t.Fatal("the keyset is not where this test looks for it")
	}
	if _, err := b.vault.RotateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	if err := b.vault.SetMinVersion(t.Context(), ref.Tenant, 2); err != nil {
		t.Fatal(err)
	}
	if b.holds(t, first) {
		t.Error("the keyset with the old version is still there")
	}
	second := b.column(t, keyset, ref.Tenant[:])
	if err := b.vault.DestroyKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	if b.holds(t, second) {
		t.Error("the destroyed keyset is still there")
	}

	record := b.column(t, `SELECT substr(record, 60, 32) FROM records WHERE connection = ?`, ref.Connection[:])
	if err := b.vault.EraseRecord(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	b.reopen(t)
	if b.holds(t, record) {
		t.Error("the erased record is still there")
	}
}
