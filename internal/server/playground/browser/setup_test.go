package browser_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// node finds the program that runs the scripts.
func node(t *testing.T) string { return servicetest.Program(t, "nodejs", "node") }

// modules returns a folder with what the scripts import.
func modules(t *testing.T) string { return servicetest.NodeModules(t, "playground-browser") }

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
		"CHROMIUM=" + servicetest.Program(t, "chromium", "chromium"),
		"KEY=" + key,
		"SHOTS=" + os.Getenv("TOKENKEEP_TEST_SCREENSHOTS"),
		"SCHEME=" + cmp.Or(os.Getenv("TOKENKEEP_TEST_SCHEME"), "light"),
	}, node(t), "drive.mjs", scenario, address)
	var seen observed
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("reading what the browser saw: %v\n%s", err, out)
	}
	return seen
}
