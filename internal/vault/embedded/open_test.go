package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// put writes a generation of ref, over the number given.
func put(t testing.TB, v vault.Vault, ref vault.Ref, generation int64, cas vault.CAS) vault.CAS {
	t.Helper()
	if err := v.CreateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	dk, err := v.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	h := vault.Header{Generation: generation, Attempt: uuid.New(), Origin: "refresh"}
	r, err := vault.SealRecord(dk, ref, h, secret.NewBytes(fmt.Appendf(nil, "generation %d", generation)))
	if err != nil {
		t.Fatal(err)
	}
	next, err := v.WriteRecord(t.Context(), ref, r, cas)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// generation opens the record and returns its generation.
func generation(t *testing.T, v vault.Vault, ref vault.Ref) int64 {
	t.Helper()
	r, _, err := v.ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.OpenRecord(t.Context(), v, ref, r)
	if err != nil || string(got.Reveal()) != fmt.Sprintf("generation %d", r.Generation) {
		t.Fatalf("got %v", err)
	}
	return r.Generation
}

func newRef() vault.Ref { return vault.Ref{Tenant: uuid.New(), Connection: uuid.New()} }

// wantOpen fails unless opening fails with the sentinel and says what to do.
func wantOpen(t *testing.T, o embedded.Options, want error, says string) {
	t.Helper()
	v, err := embedded.Open(t.Context(), o)
	if err == nil {
		v.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %v and %q", err, want, says)
	}
}

func TestOpenRefuses(t *testing.T) {
	b := newBench(t, t.TempDir())
	ref := newRef()
	put(t, b.vault, ref, 1, 0)
	other := b.options
	other.RootKey = secret.NewBytes([]byte("another root key of 32 bytes ..."))
	wantOpen(t, other, embedded.ErrRootKey, "the key file that was in use when the vault was made")
	other.Accept = true
	wantOpen(t, other, embedded.ErrRootKey, "the key file")
	other.RootKey = secret.NewBytes([]byte("short"))
	wantOpen(t, other, vault.ErrInvalid, "5 bytes")
	wantOpen(t, embedded.Options{RootKey: testRoot()}, vault.ErrInvalid, "no path")
	wantOpen(t, embedded.Options{RootKey: testRoot(), Path: t.TempDir()}, vault.ErrUnavailable, "opening the vault")
	wantOpen(t, embedded.Options{RootKey: testRoot(), Path: b.options.Path + "/x"}, vault.ErrUnavailable, "opening the vault")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is not a vault ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, embedded.Options{RootKey: testRoot(), Path: text}, embedded.ErrDamaged, "not a database")
	if got := generation(t, b.vault, ref); got != 1 {
		t.Errorf("got generation %d afterwards", got)
	}
}

func TestOpenTightensTheMode(t *testing.T) {
	b := newBench(t, t.TempDir())
	if err := os.Chmod(b.options.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	b.reopen(t)
	if info, err := os.Stat(b.options.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode().Perm(), err)
	}
}

// TestOlderCopy puts an older file back: refused, until an operator accepts it.
func TestOlderCopy(t *testing.T) {
	b := newBench(t, t.TempDir())
	ref := newRef()
	cas := put(t, b.vault, ref, 1, 0)
	shut := func() {
		t.Helper()
		if err := b.vault.Close(); err != nil {
			t.Fatal(err)
		}
	}
	shut()
	old, err := os.ReadFile(b.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	b.open(t)
	put(t, b.vault, ref, 2, cas)
	shut()

	if err := os.WriteFile(b.options.Path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, b.options, embedded.ErrRolledBack, "remove "+b.options.Path+"-mark")
	for _, lose := range []func(string) error{os.Remove, func(p string) error { return os.WriteFile(p, nil, 0o600) }} {
		if err := lose(b.options.Path); err != nil {
			t.Fatal(err)
		}
		wantOpen(t, b.options, embedded.ErrRolledBack, "put it back")
	}
	if err := os.WriteFile(b.options.Path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	accepting := b.options
	accepting.Accept = true
	v, err := embedded.Open(t.Context(), accepting)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if got := generation(t, b.vault, ref); got != 1 {
		t.Errorf("got generation %d, want the older copy's 1", got)
	}
	shut()
	if err := os.Remove(b.options.Path + "-mark"); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

// TestOneBadRecord alters one record beneath the vault: the others are served, also after opening it again.
// A row that is missing or put back is noticed when the vault is opened, and only accepted on purpose.
func TestOneBadRecord(t *testing.T) {
	b := newBench(t, t.TempDir())
	good, bad, gone := newRef(), newRef(), newRef()
	for _, ref := range []vault.Ref{good, bad, gone} {
		put(t, b.vault, ref, 1, 0)
	}
	b.exec(t, `UPDATE records SET record = x'00' WHERE connection = ?`, bad.Connection[:])
	for range 2 {
		if _, _, err := b.vault.ReadRecord(t.Context(), bad); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("got %v, want ErrCorrupt", err)
		}
		if got := generation(t, b.vault, good); got != 1 {
			t.Errorf("got generation %d", got)
		}
		b.reopen(t)
	}
	b.exec(t, `DELETE FROM records WHERE connection = ?`, gone.Connection[:])
	b.vault.Close()
	wantOpen(t, b.options, embedded.ErrDamaged, "do not add up")
	b.options.Accept = true
	b.open(t)
	b.options.Accept = false
	b.reopen(t)
	if got := generation(t, b.vault, good); got != 1 {
		t.Errorf("got generation %d", got)
	}
}

// TestAlteredKeyset alters and moves a tenant's keyset beneath the vault.
func TestAlteredKeyset(t *testing.T) {
	b := newBench(t, t.TempDir())
	mine, other := newRef(), newRef()
	put(t, b.vault, mine, 1, 0)
	put(t, b.vault, other, 1, 0)
	for _, c := range []struct {
		query string
		args  []any
	}{
		{`UPDATE keysets SET min = 2 WHERE tenant = ?`, []any{mine.Tenant[:]}},
		{`UPDATE keysets SET keyset = NULL WHERE tenant = ?`, []any{mine.Tenant[:]}},
		{`UPDATE keysets SET (mac, keyset) = (SELECT mac, keyset FROM keysets WHERE tenant = ?) WHERE tenant = ?`, []any{other.Tenant[:], mine.Tenant[:]}},
	} {
		b.exec(t, c.query, c.args...)
		if _, err := b.vault.NewDataKey(t.Context(), mine.Tenant); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", c.query, err)
		}
		if got := generation(t, b.vault, other); got != 1 {
			t.Errorf("got generation %d", got)
		}
	}
	if err := b.vault.DestroyKey(t.Context(), mine.Tenant); err != nil {
		t.Errorf("destroying an altered key: %v", err)
	}
	if _, err := b.vault.NewDataKey(t.Context(), mine.Tenant); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

// TestTwoVaultsOnOneFile opens the file twice, as a command beside the server does.
func TestTwoVaultsOnOneFile(t *testing.T) {
	b := newBench(t, t.TempDir())
	second, err := embedded.Open(t.Context(), b.options)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	ref := newRef()
	cas := put(t, b.vault, ref, 1, 0)
	if got := generation(t, second, ref); got != 1 {
		t.Errorf("got generation %d", got)
	}
	old, err := b.vault.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.RotateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	if dk, err := b.vault.NewDataKey(t.Context(), ref.Tenant); err != nil || dk.Wrapped.Version != 2 {
		t.Errorf("after the other rotated: got version %d, %v", dk.Wrapped.Version, err)
	}
	if err := second.SetMinVersion(t.Context(), ref.Tenant, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{old.Wrapped}); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("after the other raised the minimum: got %v", err)
	}
	cas = put(t, second, ref, 2, cas)
	put(t, b.vault, ref, 3, cas)
	if err := second.DestroyKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.NewDataKey(t.Context(), ref.Tenant); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("after the other destroyed it: got %v", err)
	}
}

// TestManyOpenAtOnce lets many make the same new vault and write to it: there is one vault, and no write is lost.
func TestManyOpenAtOnce(t *testing.T) {
	options := embedded.Options{Path: filepath.Join(t.TempDir(), "vault.db"), RootKey: testRoot()}
	refs := make([]vault.Ref, 8)
	vaults := make([]*embedded.Vault, len(refs))
	var wg sync.WaitGroup
	for i := range refs {
		refs[i] = newRef()
		wg.Go(func() {
			v, err := embedded.Open(t.Context(), options)
			if err != nil {
				t.Error(err)
				return
			}
			vaults[i] = v
			if err := v.CreateKey(t.Context(), refs[i].Tenant); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, v := range vaults {
		put(t, v, refs[i], 1, 0)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	v, err := embedded.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, ref := range refs {
		if got := generation(t, v, ref); got != 1 {
			t.Errorf("got generation %d", got)
		}
	}
}

// TestClosed uses a vault that was closed.
func TestClosed(t *testing.T) {
	b := newBench(t, t.TempDir())
	ref := newRef()
	put(t, b.vault, ref, 1, 0)
	for range 2 {
		if err := b.vault.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.vault.ReadRecord(t.Context(), ref); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("reading: got %v", err)
	}
	if err := b.vault.EraseRecord(t.Context(), ref); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("erasing: got %v", err)
	}
	if err := b.vault.Health(t.Context()); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("health: got %v", err)
	}
}
