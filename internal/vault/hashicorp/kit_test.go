package hashicorp_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// newRef makes a reference to a record of a new tenant that has a key.
func newRef(t testing.TB, v vault.Vault) vault.Ref {
	t.Helper()
	ref := vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}
	if err := v.CreateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	return ref
}

// tokens is what records hold here.
var tokens = secret.NewBytes([]byte("a refresh token in the clear"))

// seal seals the tokens as a generation.
func seal(t testing.TB, v vault.Vault, ref vault.Ref, generation int64) vault.Record {
	t.Helper()
	dk, err := v.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	r, err := vault.SealRecord(dk, ref, vault.Header{Generation: generation, Attempt: uuid.New(), Origin: "refresh"}, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write seals and writes a generation and returns the new number.
func write(t testing.TB, v vault.Vault, ref vault.Ref, generation int64, cas vault.CAS) vault.CAS {
	t.Helper()
	next, err := v.WriteRecord(t.Context(), ref, seal(t, v, ref, generation), cas)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// head reads the head.
func head(t testing.TB, v vault.Vault, ref vault.Ref) (vault.Record, vault.CAS) {
	t.Helper()
	r, cas, err := v.ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return r, cas
}

// wantOpens fails unless the head is the generation and opens.
func wantOpens(t testing.TB, v vault.Vault, ref vault.Ref, generation int64) {
	t.Helper()
	r, _ := head(t, v, ref)
	opened, err := vault.OpenRecord(t.Context(), v, ref, r)
	if err != nil || !opened.Equal(tokens) || r.Generation != generation {
		t.Errorf("got generation %d, %v, want %d", r.Generation, err, generation)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func decodeBase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitPresent waits until a probe has found Vault back.
func awaitPresent(t testing.TB, v vault.Vault) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); vault.Absent(v) != nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the vault is not found back: %v", vault.Absent(v))
		}
	}
}
