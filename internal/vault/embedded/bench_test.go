package embedded_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func BenchmarkWriteRecord(b *testing.B) {
	v, ref := openBench(b)
	r, cas, err := v.ReadRecord(b.Context(), ref)
	for b.Loop() {
		if err == nil {
			cas, err = v.WriteRecord(b.Context(), ref, r, cas)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReadAndOpen(b *testing.B) {
	v, ref := openBench(b)
	for b.Loop() {
		r, _, err := v.ReadRecord(b.Context(), ref)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := vault.OpenRecord(b.Context(), v, ref, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewDataKey(b *testing.B) {
	v, ref := openBench(b)
	for b.Loop() {
		if _, err := v.NewDataKey(b.Context(), ref.Tenant); err != nil {
			b.Fatal(err)
		}
	}
}

// openBench opens a vault with one record in it.
func openBench(b *testing.B) (vault.Vault, vault.Ref) {
	v := newBench(b, b.TempDir()).vault
	ref := newRef()
	put(b, v, ref, 1, 0)
	return v, ref
}
