package hashicorp_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

func TestConformanceInMemory(t *testing.T) {
	s := sharedServer(t)
	vaulttest.Run(t, func(t *testing.T) vaulttest.Instance { return newBench(t, s, rootOptions(s)).instance() })
}

// TestConformanceOnFiles restarts the server wherever the suite opens a vault again.
func TestConformanceOnFiles(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	vaulttest.Run(t, func(t *testing.T) vaulttest.Instance {
		in := newBench(t, s, rootOptions(s)).instance()
		reopen := in.Reopen
		in.Reopen = func(t *testing.T) {
			t.Helper()
			s.Restart(t)
			reopen(t)
		}
		return in
	})
}

// bench is a vault under test and the server beneath it.
type bench struct {
	server  *server.Server
	options hashicorp.Options
	vault   *hashicorp.Vault
}

func newBench(t *testing.T, s *server.Server, o hashicorp.Options) *bench {
	t.Helper()
	b := &bench{server: s, options: o}
	b.open(t)
	t.Cleanup(func() { b.vault.Close() })
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	v, err := hashicorp.Open(t.Context(), b.options)
	if err != nil {
		t.Fatal(err)
	}
	b.vault = v
}

func (b *bench) instance() vaulttest.Instance {
	return vaulttest.Instance{
		Vault: func() vault.Vault { return b.vault },
		Reopen: func(t *testing.T) {
			t.Helper()
			b.vault.Close()
			b.open(t)
		},
		Tamper: b.tamper,
		Copy:   b.copyRecord,
		Save:   b.save,
		Child:  b.child,
	}
}

// path is where KV has a record.
func (b *bench) path(ref vault.Ref) string {
	_, kv := b.server.Mounts()
	return kv + "/data/tokenkeep/tenants/" + ref.Tenant.String() + "/connections/" + ref.Connection.String()
}

// stored reads what KV has under ref.
func (b *bench) stored(t *testing.T, ref vault.Ref) map[string]any {
	t.Helper()
	got, err := b.server.Client().Logical().ReadWithContext(t.Context(), b.path(ref))
	if err != nil || got == nil {
		t.Fatalf("reading beneath the vault: %v, %v", got, err)
	}
	return got.Data["data"].(map[string]any)
}

// put writes under ref, beneath the vault, over whatever is there, and under the same number as before where it can.
func (b *bench) put(t *testing.T, ref vault.Ref, data map[string]any) {
	t.Helper()
	b.server.Write(t, b.path(ref), map[string]any{"data": data})
}

func (b *bench) tamper(t *testing.T, ref vault.Ref, change func(vault.Record) vault.Record) {
	t.Helper()
	r, _, err := b.vault.ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := change(r).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b.replace(t, ref, map[string]any{"record": base64.StdEncoding.EncodeToString(encoded)})
}

// replace takes the place of what is stored and leaves it under the number that the suite knows: an attacker who can
// write to the storage would do so too. KV itself only counts up, so the path is made anew with as many versions.
func (b *bench) replace(t *testing.T, ref vault.Ref, data map[string]any) {
	t.Helper()
	got, err := b.server.Client().Logical().ReadWithContext(t.Context(), b.path(ref))
	if err != nil || got == nil {
		t.Fatalf("reading beneath the vault: %v, %v", got, err)
	}
	number, err := got.Data["metadata"].(map[string]any)["version"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	b.forget(t, ref)
	for range number {
		b.put(t, ref, data)
	}
}

// forget removes a path with its versions and its number.
func (b *bench) forget(t *testing.T, ref vault.Ref) {
	t.Helper()
	_, kv := b.server.Mounts()
	path := kv + "/metadata/tokenkeep/tenants/" + ref.Tenant.String() + "/connections/" + ref.Connection.String()
	if _, err := b.server.Client().Logical().DeleteWithContext(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) copyRecord(t *testing.T, from, to vault.Ref) {
	t.Helper()
	b.put(t, to, b.stored(t, from))
}

func (b *bench) save(t *testing.T, ref vault.Ref) func() {
	t.Helper()
	data := b.stored(t, ref)
	return func() {
		t.Helper()
		b.replace(t, ref, data)
	}
}

// The environment of a child process.
const (
	childOptions = "HASHICORP_TEST_CHILD_ADDRESS"
	childToken   = "HASHICORP_TEST_CHILD_TOKEN"
	childTenant  = "HASHICORP_TEST_CHILD_TENANT"
)

func (b *bench) child(t *testing.T, tenant uuid.UUID) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childOptions+"="+b.server.Address(), childToken+"="+b.server.Token(), childTenant+"="+tenant.String())
	cmd.Stderr = os.Stderr
	return cmd
}

// TestChild is not a test of its own: it is what a child process runs until it is killed.
func TestChild(t *testing.T) {
	address := os.Getenv(childOptions)
	if address == "" {
		t.Skip("runs in a child process only")
	}
	v := openVault(t, hashicorp.Options{Address: address, Login: tokenLogin(os.Getenv(childToken))})
	t.Fatal(vaulttest.WriteLoop(t.Context(), v, uuid.MustParse(os.Getenv(childTenant)), os.Stdout))
}
