package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// childVariable makes the test binary start a server and wait to be killed.
const childVariable = "TOKENKEEP_TEST_VAULT_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		runChild()
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestBuild builds the server where this machine has not yet: "make test" runs it ahead of the suite, so that the build
// does not take the time of others.
func TestBuild(t *testing.T) {
	binary, err := server.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(binary)
}

func status(t *testing.T, s *server.Server) *api.HealthResponse {
	t.Helper()
	got, err := s.Client().Sys().HealthWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func read(t *testing.T, s *server.Server) *api.Secret {
	t.Helper()
	got, err := s.Client().Logical().ReadWithContext(t.Context(), "secret/data/x")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestServer(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	s.Write(t, "secret/data/x", map[string]any{"data": map[string]any{"a": "b"}})
	address := s.Address()
	t.Logf("Vault %s", status(t, s).Version)

	s.Seal(t)
	if !status(t, s).Sealed {
		t.Error("it is not sealed")
	}
	s.Unseal(t)
	s.Restart(t)
	if read(t, s) == nil || s.Address() != address {
		t.Error("a restart with a folder lost its data or its address")
	}
	s.Kill()
	s.Boot(t)
	s.Unseal(t)
	if read(t, s) == nil {
		t.Error("a kill lost what was acknowledged")
	}

	s.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Client().Logical().ReadWithContext(ctx, "secret/data/x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("frozen: got %v", err)
	}
	s.Thaw(t)
	if read(t, s) == nil {
		t.Error("thawed, it does not answer")
	}
}

func TestServerMounts(t *testing.T) {
	s := server.Start(t, server.Options{TransitMount: "deep/transit", KVMount: "deep/kv"})
	s.Write(t, "deep/kv/data/x", map[string]any{"data": map[string]any{"a": "b"}})
	s.Write(t, "deep/transit/keys/k", nil)
}

// TestServerDiesWithItsProcess kills a process that runs a frozen server: the server goes too.
func TestServerDiesWithItsProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "%d\n", &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the server does not run: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the server outlived the process that started it")
		}
	}
}

// runChild starts a server, freezes it, prints its process id and waits.
func runChild() {
	s, err := server.New(context.Background(), server.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pid := s.PID()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	_, _ = fmt.Fprintln(os.Stdout, pid)
	select {}
}
