package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// buildTimeout bounds a build with cold caches; two slow cores take about six minutes.
const buildTimeout = 18 * time.Minute

// module is the server's module, below the root of ours.
const module = "internal/vault/vaultserver"

var built struct {
	sync.Mutex
	binary string
}

// Build returns the path of the server's program, which it builds where this machine has not done so before. Of several
// processes one builds and the others wait.
func Build(ctx context.Context) (string, error) {
	built.Lock()
	defer built.Unlock()
	if built.binary != "" {
		return built.binary, nil
	}
	binary, err := build(ctx)
	if err != nil {
		return "", fmt.Errorf("building the Vault server of the tests (%s): %w", module, err)
	}
	built.binary = binary
	return binary, nil
}

func build(ctx context.Context) (string, error) {
	source, err := findSource()
	if err != nil {
		return "", err
	}
	binary, err := cachePath(source)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(binary + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fmt.Fprintln(os.Stderr, "building a Vault server for the tests; this happens once per machine and takes some six minutes on two cores")
	return binary, compile(ctx, source, binary)
}

// compile builds beside the place and moves the result there, so that an interrupted build is never taken for a whole one.
func compile(ctx context.Context, source, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	temporary := fmt.Sprintf("%s.%d", binary, os.Getpid())
	defer func() { _ = os.Remove(temporary) }()
	args := []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", temporary, "."}
	if _, err := exec.LookPath("nice"); err == nil {
		args = append([]string{"nice"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = source
	// The module stands for itself, whatever the flags of the tests say.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(temporary, binary)
}

// lock waits for the file's lock and returns what gives it back.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// findSource looks for the module upwards of where the test runs.
func findSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source := filepath.Join(dir, module)
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("it is not above the test's folder")
		}
		dir = parent
	}
}

var versionLine = regexp.MustCompile(`github\.com/hashicorp/vault v(\S+)`)

// cachePath is where the program is kept, by Vault's version and by everything it is built from.
func cachePath(source string) (string, error) {
	names, err := filepath.Glob(filepath.Join(source, "*"))
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	list := fmt.Appendln(nil, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	version := "unknown"
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if found := versionLine.FindSubmatch(content); found != nil && strings.HasSuffix(name, "go.mod") {
			version = string(found[1])
		}
		list = fmt.Appendf(list, "%s %x\n", filepath.Base(name), sha256.Sum256(content))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(list)
	return filepath.Join(cache, "tokenkeep", "vault-"+version+"-"+hex.EncodeToString(sum[:8])), nil
}
