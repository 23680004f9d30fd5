package servicetest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// VaultFile is an embedded vault whose file can be put back to what it was, as a restore from a backup does.
type VaultFile struct {
	path  string
	users []*Service
	open  *embedded.Vault
}

// FileVault gives the service a vault of its own, empty, in place of the one it had.
func (s *Service) FileVault(t testing.TB) *VaultFile {
	t.Helper()
	f := &VaultFile{path: filepath.Join(t.TempDir(), "vault"), users: []*Service{s}}
	f.reopen(t, false)
	t.Cleanup(func() { _ = f.open.Close() })
	return f
}

// Share gives another process of the same world the vault.
func (f *VaultFile) Share(s *Service) {
	f.users = append(f.users, s)
	s.Vault.Vault = f.open
}

// reopen opens the file and gives it to all who use it.
func (f *VaultFile) reopen(t testing.TB, accept bool) {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{Path: f.path, RootKey: secret.NewBytes(bytes.Repeat([]byte{9}, 32)), Accept: accept})
	if err != nil {
		t.Fatal(err)
	}
	f.open = v
	for _, s := range f.users {
		s.Vault.Vault = v
	}
}

// BackUp copies the file and returns what puts the copy back, as an operator does on purpose. Nobody may use the vault
// meanwhile.
func (f *VaultFile) BackUp(t testing.TB) (restore func()) {
	t.Helper()
	f.close(t)
	copied, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.reopen(t, false)
	return func() {
		t.Helper()
		f.close(t)
		if err := os.WriteFile(f.path, copied, 0o600); err != nil {
			t.Fatal(err)
		}
		f.reopen(t, true)
	}
}

func (f *VaultFile) close(t testing.TB) {
	t.Helper()
	if err := f.open.Close(); err != nil {
		t.Fatal(err)
	}
}
