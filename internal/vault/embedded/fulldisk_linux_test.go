package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest"
)

// smallDisk names the folder on which the child process mounts a file system of its own.
const smallDisk = "EMBEDDED_TEST_SMALL_DISK"

// TestRealFullDisk runs the suite's part about a full disk on a small file system that really is full, in a child
// process with a mount namespace of its own. Where that is not allowed, the bound of Options.MaxBytes has to do.
func TestRealFullDisk(t *testing.T) {
	if folder := os.Getenv(smallDisk); folder != "" {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=768k"); err != nil {
			t.Skipf("cannot mount here: %v", err)
		}
		vaulttest.FullDisk(t, openOn(t, folder))
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRealFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case len(out) == 0:
		t.Skipf("cannot have a mount namespace here: %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	}
}

// openOn opens a vault in a folder whose file system a large file can fill.
func openOn(t *testing.T, folder string) vaulttest.Instance {
	b := newBench(t, folder)
	filler := filepath.Join(folder, "filler")
	return vaulttest.Instance{
		Vault:  func() vault.Vault { return b.vault },
		Reopen: b.reopen,
		Fill: func(t *testing.T) func() {
			if err := os.WriteFile(filler, make([]byte, 600<<10), 0o600); err != nil {
				t.Logf("filling: %v", err) // it is as full as can be
			}
			return func() {
				if err := os.Remove(filler); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}
