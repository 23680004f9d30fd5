package servicetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp/setup"
	vaultserver "github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// VaultServer is a real HashiCorp Vault that worlds rest in: engines, policies and logins of their own on a server that may
// be shared. The service logs in with an AppRole for each of the two roles of docs/vault.md and may do what is written
// there. What is done to the server (seal, stop, freeze) all feel who are on it.
type VaultServer struct {
	*vaultserver.Server
	// address is where worlds reach it.
	address string
	// transit, kv and approle are mounts of its own; logins is the folder with the secret ids.
	transit, kv, approle, logins string
}

// sharedVault is the server of this process that nobody seals.
var sharedVault = sync.OnceValues(func() (*vaultserver.Server, error) {
	sharedVaultStarted = true
	return vaultserver.New(context.Background(), vaultserver.Options{})
})

// sharedVaultStarted is read when all tests are over.
var sharedVaultStarted bool

// closeSharedVault ends the shared server, if there is one.
func closeSharedVault() {
	if !sharedVaultStarted {
		return
	}
	if s, err := sharedVault(); err == nil {
		s.Close()
	}
}

// SharedVault is the one server of this test binary, in memory. Nobody seals, stops or freezes it.
func SharedVault(t testing.TB) *VaultServer {
	t.Helper()
	s, err := sharedVault()
	if err != nil {
		t.Fatalf("starting Vault: %v", err)
	}
	return newVaultServer(t, s)
}

// OwnVault is a server of the test's own, which keeps its data in files and so survives being stopped.
func OwnVault(t testing.TB) *VaultServer {
	t.Helper()
	return newVaultServer(t, vaultserver.Start(t, vaultserver.Options{Dir: t.TempDir()}))
}

func newVaultServer(t testing.TB, s *vaultserver.Server) *VaultServer {
	t.Helper()
	own := uuid.NewString()
	v := &VaultServer{Server: s, address: s.Address(), transit: "transit-" + own, kv: "kv-" + own, approle: "approle-" + own, logins: t.TempDir()}
	s.Mount(t, v.transit, v.kv)
	for role, rules := range setup.Policies(v.transit, v.kv) {
		s.Policy(t, v.roleName(role), rules)
	}
	s.EnableAuth(t, v.approle, "approle")
	v.TokenLife(t, time.Hour, 24*time.Hour)
	v.LetIn(t)
	return v
}

// Mounts are where the engines of these worlds are.
func (v *VaultServer) Mounts() (transit, kv string) { return v.transit, v.kv }

// roleName is the name of a role's policy, and its role id.
func (v *VaultServer) roleName(role string) string { return v.approle + "-" + role }

// roles are the AppRoles and the files of their secret ids.
func (v *VaultServer) roles() map[string]string {
	return map[string]string{
		setup.ServiceRole: filepath.Join(v.logins, setup.ServiceSecretID), setup.KeysRole: filepath.Join(v.logins, setup.KeysSecretID),
	}
}

// TokenLife says how long the tokens live that logins give from now on, and how long they can be renewed for at most.
func (v *VaultServer) TokenLife(t testing.TB, life, atMost time.Duration) {
	t.Helper()
	for role := range v.roles() {
		v.AppRole(t, v.approle, role, map[string]any{"token_policies": v.roleName(role), "token_ttl": life.String(), "token_max_ttl": atMost.String()})
		v.Write(t, "auth/"+v.approle+"/role/"+role+"/role-id", map[string]any{"role_id": v.roleName(role)})
	}
}

// RevokeTokens ends all tokens that logins of this world's roles gave: the service has to log in anew.
func (v *VaultServer) RevokeTokens(t testing.TB) {
	t.Helper()
	v.Write(t, "sys/leases/revoke-prefix/auth/"+v.approle+"/login", nil)
}

// LockOut ends all tokens and takes the roles away: Vault works, and refuses the service.
func (v *VaultServer) LockOut(t testing.TB) {
	t.Helper()
	for role := range v.roles() {
		if _, err := v.Client().Logical().DeleteWithContext(t.Context(), "auth/"+v.approle+"/role/"+role); err != nil {
			t.Fatal(err)
		}
	}
	v.RevokeTokens(t)
}

// LetIn makes a secret id for each role, where the service finds it.
func (v *VaultServer) LetIn(t testing.TB) {
	t.Helper()
	for role, file := range v.roles() {
		if err := os.WriteFile(file, []byte(v.SecretID(t, v.approle, role)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Rest returns options of worlds that rest in the server.
func (v *VaultServer) Rest() Options { return Options{OpenVault: v.Open} }

// patience bounds one request of the service to a test's Vault.
const patience = 2 * time.Second

// Open opens a vault on the server, as one process of the service does; it is closed when the test ends.
func (v *VaultServer) Open(t testing.TB) vault.Vault {
	t.Helper()
	opened, err := hashicorp.Open(t.Context(), v.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func (v *VaultServer) options() hashicorp.Options {
	transit, kv := v.Mounts()
	login := func(role string) hashicorp.Login {
		return hashicorp.Login{AppRole: &hashicorp.AppRole{RoleID: v.roleName(role), SecretIDFile: v.roles()[role], Mount: v.approle}}
	}
	return hashicorp.Options{
		Address: v.address, TransitMount: transit, KVMount: kv, Timeout: patience, Retries: 2,
		Login: login(setup.ServiceRole), KeyLogin: login(setup.KeysRole), Logger: slog.New(slog.DiscardHandler), StartAway: true,
	}
}

// Watched is the same server behind something that counts what passes. A server that is stopped is answered for with 502
// there, where by itself it would not answer at all.
func (v *VaultServer) Watched(t testing.TB) (*VaultServer, *vaultserver.Counter) {
	t.Helper()
	counter, err := vaultserver.Count(v.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = counter.Close() })
	watched := *v
	watched.address = counter.URL
	return &watched, counter
}

// KV returns everything that KV holds of Tokenkeep's, all versions and their metadata, by path, as Vault's API tells it.
func (v *VaultServer) KV(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	v.collect(t, "tokenkeep/", found)
	return found
}

func (v *VaultServer) collect(t testing.TB, under string, found map[string]string) {
	t.Helper()
	_, kv := v.Mounts()
	names, err := v.Client().Logical().ListWithContext(t.Context(), kv+"/metadata/"+under)
	if err != nil || names == nil {
		t.Fatalf("listing %s: %v", under, err)
	}
	for _, one := range names.Data["keys"].([]any) {
		path := under + one.(string)
		if path[len(path)-1] == '/' {
			v.collect(t, path, found)
			continue
		}
		metadata, err := v.Client().Logical().ReadWithContext(t.Context(), kv+"/metadata/"+path)
		if err != nil || metadata == nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		found[path] = fmt.Sprint(metadata.Data)
		for version := range metadata.Data["versions"].(map[string]any) {
			data, err := v.Client().Logical().ReadWithDataWithContext(t.Context(), kv+"/data/"+path, map[string][]string{"version": {version}})
			if err != nil {
				t.Fatalf("reading %s: %v", path, err)
			}
			if data != nil {
				found[path+"?version="+version] = fmt.Sprint(data.Data)
			}
		}
	}
}

// AwaitVault waits until the process has found its vault back.
func (s *Service) AwaitVault(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); s.Vault.Absent() != nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the vault is not found back: %v", s.Vault.Absent())
		}
	}
}
