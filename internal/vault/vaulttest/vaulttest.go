// Package vaulttest is the conformance suite of vault.Vault: what it asks holds for every implementation.
//
// Mechanism: Run takes a function that opens a fresh vault together with ways to reach under it: to reopen it on the
// same storage, to alter what is stored, to fill the disk, to tear the files, to run it in a child process. Each part of
// the suite gets an instance of its own.
//
// Reason: grant's protocol leans on every word of the seam; two vaults that differ in one of them lose tokens.
//
// What is random is drawn from a seed that the test logs; VAULTTEST_SEED in the environment repeats a run.
//
// Limit: a fault that an implementation says it cannot inject (a nil function) is skipped, visibly.
package vaulttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Instance is a vault under test and the ways to reach under it.
type Instance struct {
	// Vault returns the vault that is open now; it changes with Reopen and Fill.
	Vault func() vault.Vault
	// Reopen closes the vault and opens it again on the same storage.
	Reopen func(t *testing.T)

	// Tamper replaces what is stored under ref, beneath the vault.
	Tamper func(t *testing.T, ref vault.Ref, change func(vault.Record) vault.Record)
	// Copy puts what is stored under from, as it is, in the place of to, beneath the vault. Nothing is stored there.
	Copy func(t *testing.T, from, to vault.Ref)
	// Save remembers what is stored under ref; the function it returns puts that back, as it was, beneath the vault.
	Save func(t *testing.T, ref vault.Ref) (restore func())

	// NoRotation is the error with which the vault refuses RotateKey and SetMinVersion, where its state does not allow them;
	// nil where it does. The suite then asks for the refusal, and for everything else as ever.
	NoRotation error

	// Fill makes the storage full but for at most 64 KiB; free makes room again. Nil where that cannot be done.
	Fill func(t *testing.T) (free func())
	// Snapshot returns the storage's files as a kill would leave them; OpenFiles opens a vault on such files, which is
	// closed when the test ends. Nil where there are no files to tear.
	Snapshot  func(t *testing.T) map[string][]byte
	OpenFiles func(t *testing.T, files map[string][]byte) (vault.Vault, error)
	// Child returns a command that runs WriteLoop on the same storage in a process of its own. Nil where it cannot.
	Child func(t *testing.T, tenant uuid.UUID) *exec.Cmd
}

// Run runs the whole suite; open gives a fresh instance each time.
func Run(t *testing.T, open func(t *testing.T) Instance) {
	for _, part := range []struct {
		name string
		test func(*testing.T, Instance)
	}{
		{"Records", testRecords},
		{"RecordsList", testList},
		{"RecordsErased", testErased},
		{"RecordsErasedAnew", testErasedAnew},
		{"RecordsSpoiltAnew", testSpoiltAnew},
		{"RecordsInvalid", testInvalid},
		{"RecordsCancelled", testCancelled},
		{"RaceCreate", testRaceCreate},
		{"RaceRounds", testRaceRounds},
		{"RaceNoLostUpdate", testNoLostUpdate},
		{"RaceRewrap", testRaceRewrap},
		{"RaceErase", testRaceErase},
		{"TamperHeader", testTamperHeader},
		{"TamperBytes", testTamperBytes},
		{"TamperMoved", testTamperMoved},
		{"TamperOldGeneration", testOldGeneration},
		{"Keys", testKeys},
		{"KeysNeverCreated", testKeysNeverCreated},
		{"KeysWrongTenant", testKeysWrongTenant},
		{"KeysRotate", testKeysRotate},
		{"KeysDestroy", testKeysDestroy},
		{"KeysRace", testKeysRace},
		{"Values", testValues},
		{"MAC", testMAC},
		{"FullDisk", FullDisk},
		{"TornFile", testTornFile},
		{"Kill", testKill},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// rotate rotates a tenant's key, which must get the version; false where the vault has to refuse that, and does.
func (in Instance) rotate(t *testing.T, tenant uuid.UUID, want int) bool {
	t.Helper()
	got, err := in.Vault().RotateKey(t.Context(), tenant)
	if in.NoRotation != nil {
		wantError(t, "rotating", err, in.NoRotation)
		wantError(t, "raising the minimum", in.Vault().SetMinVersion(t.Context(), tenant, 1), in.NoRotation)
		return false
	}
	if err != nil || got != want {
		t.Fatalf("got version %d, %v, want %d", got, err, want)
	}
	return true
}

// tenant makes a tenant that has a key.
func (in Instance) tenant(t *testing.T) uuid.UUID {
	t.Helper()
	tenant := uuid.New()
	if err := in.Vault().CreateKey(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	return tenant
}

// ref makes a reference to a record of a new tenant that has a key.
func (in Instance) ref(t *testing.T) vault.Ref {
	t.Helper()
	return vault.Ref{Tenant: in.tenant(t), Connection: uuid.New()}
}

// plaintext is what the record of a connection holds in a generation: any other is wrong.
func plaintext(connection uuid.UUID, generation int64) secret.Bytes {
	line := fmt.Sprintf("tokens of %s in generation %d; ", connection, generation)
	return secret.NewBytes([]byte(strings.Repeat(line, 20)))
}

// seal seals the plaintext of a generation under a new data key.
func (in Instance) seal(t *testing.T, ref vault.Ref, generation int64) vault.Record {
	t.Helper()
	r, err := sealGeneration(t.Context(), in.Vault(), ref, generation, plaintext(ref.Connection, generation))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write writes a generation and returns the new number.
func (in Instance) write(t *testing.T, ref vault.Ref, generation int64, cas vault.CAS) vault.CAS {
	t.Helper()
	next, err := in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, generation), cas)
	if err != nil {
		t.Fatalf("writing generation %d over %d: %v", generation, cas, err)
	}
	return next
}

// wantHead fails unless the head is the generation, with the number and the plaintext that belong to it.
func (in Instance) wantHead(t *testing.T, ref vault.Ref, generation int64, cas vault.CAS) {
	t.Helper()
	r, got, err := in.Vault().ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	if r.Generation != generation || got != cas {
		t.Errorf("got generation %d under %d, want %d under %d", r.Generation, got, generation, cas)
	}
	opened, err := vault.OpenRecord(t.Context(), in.Vault(), ref, r)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	if !opened.Equal(plaintext(ref.Connection, generation)) {
		t.Errorf("generation %d opens to a wrong plaintext", generation)
	}
}

// wantClosed fails unless the record is refused as corrupt, by the store or by its seal.
func (in Instance) wantClosed(t *testing.T, ref vault.Ref) {
	t.Helper()
	r, _, err := in.Vault().ReadRecord(t.Context(), ref)
	if err == nil {
		_, err = vault.OpenRecord(t.Context(), in.Vault(), ref, r)
	}
	wantError(t, "reading and opening", err, vault.ErrCorrupt)
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// random returns a source whose seed is logged; VAULTTEST_SEED repeats a run.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("VAULTTEST_SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("VAULTTEST_SEED: %v", err)
		}
		seed = parsed
	}
	t.Logf("repeat with VAULTTEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}
