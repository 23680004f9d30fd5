package embedded_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// otherRoot is the root key that vaults are moved to.
func otherRoot() secret.Bytes { return secret.NewBytes(append(bytes.Repeat([]byte{9}, 31), 1)) }

// furnished makes a vault with keys and sealed values, and closes it. It returns the values and a MAC under the pepper.
func furnished(t *testing.T, path string) (values map[vault.Place][]byte, mac []byte) {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{Path: path, RootKey: testRoot()})
	if err != nil {
		t.Fatal(err)
	}
	values = map[vault.Place][]byte{}
	for range 20 {
		p := vault.Place{Tenant: uuid.New(), Purpose: vault.PurposeAnswer, Object: uuid.New()}
		if err := v.CreateKey(t.Context(), p.Tenant); err != nil {
			t.Fatal(err)
		}
		sealed, err := vault.Seal(t.Context(), v, p, secret.NewBytes([]byte("value")))
		if err != nil {
			t.Fatal(err)
		}
		values[p] = sealed.Bytes
	}
	gone := uuid.New()
	if err := errors.Join(v.CreateKey(t.Context(), gone), v.DestroyKey(t.Context(), gone)); err != nil {
		t.Fatal(err)
	}
	if mac, err = v.MAC(t.Context(), []byte("key")); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return values, mac
}

// whole fails unless the vault opens with the key and has everything.
func whole(t *testing.T, path string, key secret.Bytes, values map[vault.Place][]byte, mac []byte) {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{Path: path, RootKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for p, sealed := range values {
		if got, err := vault.Unseal(t.Context(), v, p, sealed); err != nil || string(got.Reveal()) != "value" {
			t.Fatalf("a value does not open: %v", err)
		}
	}
	if got, err := v.MAC(t.Context(), []byte("key")); err != nil || !bytes.Equal(got, mac) {
		t.Errorf("the pepper is another: %v", err)
	}
}

func TestRekey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	values, mac := furnished(t, path)
	if changed, err := embedded.Rekey(t.Context(), path, testRoot(), otherRoot()); err != nil || !changed {
		t.Fatalf("got %t, %v", changed, err)
	}
	whole(t, path, otherRoot(), values, mac)
	if _, err := embedded.Open(t.Context(), embedded.Options{Path: path, RootKey: testRoot()}); !errors.Is(err, embedded.ErrRootKey) {
		t.Errorf("with the old key: got %v, want ErrRootKey", err)
	}
	if changed, err := embedded.Rekey(t.Context(), path, testRoot(), otherRoot()); err != nil || changed {
		t.Errorf("once more: got %t, %v, want nothing to do", changed, err)
	}
	third := secret.NewBytes(append(bytes.Repeat([]byte{3}, 31), 1))
	if _, err := embedded.Rekey(t.Context(), path, testRoot(), third); !errors.Is(err, embedded.ErrRootKey) {
		t.Errorf("with two foreign keys: got %v, want ErrRootKey", err)
	}
}

func TestRekeyRefuses(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "vault.db")
	values, mac := furnished(t, path)
	v, err := embedded.Open(t.Context(), embedded.Options{Path: path, RootKey: testRoot()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Rekey(t.Context(), path, testRoot(), otherRoot()); !errors.Is(err, embedded.ErrInUse) {
		t.Errorf("beside an open vault: got %v, want ErrInUse", err)
	}
	if err := errors.Join(v.CreateKey(t.Context(), uuid.New()), v.Close()); err != nil {
		t.Error(err)
	}
	if _, err := embedded.Rekey(t.Context(), path, testRoot(), testRoot()); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("the same key: got %v, want ErrInvalid", err)
	}
	absent := filepath.Join(folder, "absent.db")
	if _, err := embedded.Rekey(t.Context(), absent, testRoot(), otherRoot()); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("no vault: got %v, want ErrInvalid", err)
	}
	if _, err := os.Stat(absent); !os.IsNotExist(err) {
		t.Error("a vault was made")
	}
	whole(t, path, testRoot(), values, mac)
}

// rekeyPath tells the child process which vault to move to and fro.
const rekeyPath = "EMBEDDED_TEST_REKEY_PATH"

// TestRekeyKilled kills a process that changes the root key to and fro, at any point: one of the two keys opens the vault,
// and everything is there.
func TestRekeyKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	values, mac := furnished(t, path)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		killRekeying(t, path, 1+random.IntN(6), random.IntN(20_000))
		key := otherRoot()
		changed, err := embedded.Rekey(t.Context(), path, testRoot(), key)
		if err != nil {
			t.Fatalf("neither key opens the vault: %v", err)
		}
		t.Logf("killed under the old key: %t", changed)
		whole(t, path, key, values, mac)
	}
}

// killRekeying kills the child after it has begun n changes, and some turns of the scheduler later.
func killRekeying(t *testing.T, path string, n, spin int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRekeyChild$")
	cmd.Env = append(os.Environ(), rekeyPath+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if scanner.Text() != "begin" {
			continue
		}
		if begun++; begun == n {
			for i := range spin {
				_ = fmt.Sprint(i) // the change goes on meanwhile, for a time that chance gives
			}
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if begun < n {
		t.Fatalf("the child ended by itself after %d changes", begun)
	}
}

// TestRekeyChild is not a test of its own: it is what a child process runs until it is killed.
func TestRekeyChild(t *testing.T) {
	path := os.Getenv(rekeyPath)
	if path == "" {
		t.Skip("runs in a child process only")
	}
	from, to := testRoot(), otherRoot()
	for {
		if _, err := fmt.Fprintln(os.Stdout, "begin"); err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Rekey(t.Context(), path, from, to); err != nil {
			t.Fatal(err)
		}
		from, to = to, from
	}
}
