package servicetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// installTimeout bounds the installation of Node modules.
const installTimeout = 5 * time.Minute

// Program finds an executable by one of its names. A missing one fails the test: what nobody ran is not proven.
func Program(t testing.TB, debianPackage string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("this test runs %s, which is not on this machine; on Debian: apt-get install --no-install-recommends %s", names[0], debianPackage)
	return ""
}

// Watch has "go test" run the tests again, rather than answer from its cache, once a file below one of the paths has
// changed: the cache knows what a test itself reads, not what the programs read that it starts.
func Watch(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		// Reading a folder is enough: the sizes and times of its files then count.
		if err := filepath.WalkDir(path, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
}

// NodeModules returns a folder with the Node modules of the package-lock.json in the test's own folder, installed on first
// use and kept in the user's cache as name and the lock file's hash. It watches that folder, for the scripts lie there.
func NodeModules(t testing.TB, name string) string {
	t.Helper()
	Watch(t, ".")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	folder := filepath.Join(cache, "tokenkeep", name+"-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		installModules(t, folder)
	}
	return folder
}

// installModules works in a folder of its own and renames it at the end: an interrupted install is never taken for a
// whole one, and of two tests that run at once the slower one's copy is dropped.
func installModules(t testing.TB, folder string) {
	t.Helper()
	npm := Program(t, "npm", "npm")
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(work, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--prefix", work, "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("installing Node modules: %v\n%s", err, out)
	}
	if err := os.Rename(work, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}
