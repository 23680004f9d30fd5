package browser_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program finds an executable. A missing one fails the test: a page that no browser opened is not proven.
func program(t *testing.T, debianPackage string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is needed for the browser test; on Debian: apt-get install --no-install-recommends %s", names[0], debianPackage)
	return ""
}

// modules returns a cache folder with the Node modules of package-lock.json, installed on first use.
func modules(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	folder := filepath.Join(cache, "tokenkeep", "playground-browser-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		install(t, folder)
	}
	return folder
}

// install works in a folder of its own and renames it at the end: an interrupted install is never taken for a whole
// one, and of two tests that run at once the slower one's copy is dropped.
func install(t *testing.T, folder string) {
	t.Helper()
	npm := program(t, "npm", "npm")
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
	run(t, 5*time.Minute, nil, npm, "ci", "--prefix", work, "--ignore-scripts", "--no-audit", "--no-fund")
	if err := os.Rename(work, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

// run executes a program and returns its standard output; what it prints as an error is in the failure.
func run(t *testing.T, limit time.Duration, environment []string, path string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s %v: %v\n%s", filepath.Base(path), args, err, stderr.String())
	}
	return out
}

// drive runs a scenario of drive.mjs against address and decodes what it saw.
func drive(t *testing.T, scenario, address string) observed {
	t.Helper()
	out := run(t, 2*time.Minute, []string{
		"MODULES=" + modules(t),
		"CHROMIUM=" + program(t, "chromium", "chromium"),
		"KEY=" + key,
		"SHOTS=" + os.Getenv("TOKENKEEP_TEST_SCREENSHOTS"),
		"SCHEME=" + cmp.Or(os.Getenv("TOKENKEEP_TEST_SCHEME"), "light"),
	}, program(t, "nodejs", "node"), "drive.mjs", scenario, address)
	var seen observed
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("reading what the browser saw: %v\n%s", err, out)
	}
	return seen
}
