package vaulttest

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// headerChanges alter what a record says in the clear.
func headerChanges() map[string]func(*vault.Record) {
	return map[string]func(*vault.Record){
		"generation raised":  func(r *vault.Record) { r.Generation++ },
		"generation lowered": func(r *vault.Record) { r.Generation-- },
		"other attempt":      func(r *vault.Record) { r.Attempt = uuid.New() },
		"other origin":       func(r *vault.Record) { r.Origin = "import" },
	}
}

func testTamperHeader(t *testing.T, in Instance) {
	for name, change := range headerChanges() {
		t.Run(name, func(t *testing.T) {
			ref := in.ref(t)
			cas := in.write(t, ref, 5, 0)
			in.Tamper(t, ref, func(r vault.Record) vault.Record { change(&r); return r })
			in.wantClosed(t, ref)

			// The same by way of the vault, which does not look into records.
			altered := in.seal(t, vault.Ref{Tenant: ref.Tenant, Connection: ref.Connection}, 6)
			change(&altered)
			if _, err := in.Vault().WriteRecord(t.Context(), ref, altered, cas); err != nil {
				t.Fatal(err)
			}
			in.wantClosed(t, ref)
		})
	}
}

func testTamperBytes(t *testing.T, in Instance) {
	rng := random(t)
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1 << rng.IntN(8)
		return b
	}
	changes := map[string]func(*vault.Record){
		"format":          func(r *vault.Record) { r.Ciphertext = flip(r.Ciphertext, 0) },
		"nonce":           func(r *vault.Record) { r.Ciphertext = flip(r.Ciphertext, 1+rng.IntN(12)) },
		"ciphertext":      func(r *vault.Record) { r.Ciphertext = flip(r.Ciphertext, 13+rng.IntN(len(r.Ciphertext)-29)) },
		"tag":             func(r *vault.Record) { r.Ciphertext = flip(r.Ciphertext, len(r.Ciphertext)-1-rng.IntN(16)) },
		"cut":             func(r *vault.Record) { r.Ciphertext = r.Ciphertext[:30+rng.IntN(len(r.Ciphertext)-30)] },
		"extended":        func(r *vault.Record) { r.Ciphertext = append(bytes.Clone(r.Ciphertext), 0) },
		"wrapped key":     func(r *vault.Record) { r.Key.Bytes = flip(r.Key.Bytes, rng.IntN(len(r.Key.Bytes)-4)) },
		"wrapped key cut": func(r *vault.Record) { r.Key.Bytes = r.Key.Bytes[:len(r.Key.Bytes)/2] },
		"unknown version": func(r *vault.Record) { r.Key.Version += 7 },
		"another data key": func(r *vault.Record) {
			r.Key = in.seal(t, vault.Ref{Tenant: in.tenant(t), Connection: uuid.New()}, 1).Key
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			ref := in.ref(t)
			cas := in.write(t, ref, 5, 0)
			in.Tamper(t, ref, func(r vault.Record) vault.Record { change(&r); return r })
			in.wantClosed(t, ref)
			altered := in.seal(t, ref, 6)
			change(&altered)
			if _, err := in.Vault().WriteRecord(t.Context(), ref, altered, cas); err != nil {
				t.Fatal(err)
			}
			in.wantClosed(t, ref)
		})
	}
}

func testTamperMoved(t *testing.T, in Instance) {
	from := in.ref(t)
	in.write(t, from, 3, 0)
	for name, to := range map[string]vault.Ref{
		"other connection":               {Tenant: from.Tenant, Connection: uuid.New()},
		"other tenant":                   {Tenant: in.tenant(t), Connection: uuid.New()},
		"other tenant, same connection":  {Tenant: in.tenant(t), Connection: from.Connection},
		"a tenant that swaps both names": {Tenant: from.Connection, Connection: from.Tenant},
	} {
		t.Run(name, func(t *testing.T) {
			if err := in.Vault().CreateKey(t.Context(), to.Tenant); err != nil {
				t.Fatal(err)
			}
			in.Copy(t, from, to)
			in.wantClosed(t, to)

			// The same by way of the vault.
			record, _, err := in.Vault().ReadRecord(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			again := vault.Ref{Tenant: to.Tenant, Connection: uuid.New()}
			if _, err := in.Vault().WriteRecord(t.Context(), again, record, 0); err != nil {
				t.Fatal(err)
			}
			in.wantClosed(t, again)
			_, err = vault.OpenRecord(t.Context(), in.Vault(), to, record)
			wantError(t, "opening it as another's", err, vault.ErrCorrupt)
		})
	}
}

// testOldGeneration puts an old generation over a newer one in every way there is.
func testOldGeneration(t *testing.T, in Instance) {
	ref := in.ref(t)
	one := in.write(t, ref, 1, 0)
	old, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	restore := in.Save(t, ref)
	two := in.write(t, ref, 2, one)

	_, err = in.Vault().WriteRecord(t.Context(), ref, old, one)
	wantError(t, "writing it with the number it once had", err, vault.ErrMismatch)
	_, err = in.Vault().WriteRecord(t.Context(), ref, old, 0)
	wantError(t, "writing it as new", err, vault.ErrMismatch)
	in.wantHead(t, ref, 2, two)

	raised := old
	raised.Generation = 3
	if _, err := in.Vault().WriteRecord(t.Context(), ref, raised, two); err != nil {
		t.Fatal(err)
	}
	in.wantClosed(t, ref)

	// Put back underneath, it opens, and says that it is generation 1: whoever knows of 2 sees that.
	restore()
	r, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil || r.Generation != 1 {
		t.Fatalf("restored: got generation %d, %v, want 1", r.Generation, err)
	}
	if got, err := vault.OpenRecord(t.Context(), in.Vault(), ref, r); err != nil || !got.Equal(plaintext(ref.Connection, 1)) {
		t.Errorf("restored: got %v", err)
	}
}
