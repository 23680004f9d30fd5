package tenancy_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// kit is a service on a fresh database and a fresh vault, with a clock that stands still.
type kit struct {
	*tenancy.Service
	db          *database.DB
	vault       *faultyVault
	clock       *clock
	operatorKey secret.Text
}

// each runs the test on every database.
func each(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		k := &kit{
			db:    servicetest.OpenDatabase(t, url),
			vault: &faultyVault{Vault: openVault(t)},
			clock: &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		}
		var err error
		if k.operatorKey, err = tenancy.CreateOperatorKey(filepath.Join(t.TempDir(), "operator")); err != nil {
			t.Fatal(err)
		}
		operator, err := tenancy.NewOperatorKey(k.operatorKey)
		if err != nil {
			t.Fatal(err)
		}
		k.Service = tenancy.New(tenancy.Options{DB: k.db, Vault: k.vault, Operator: operator, Now: k.clock.now})
		t.Cleanup(k.Close)
		test(t, k)
	})
}

func openVault(t *testing.T) vault.Vault {
	t.Helper()
	root := secret.NewBytes(bytes.Repeat([]byte{7}, 32))
	v, err := embedded.Open(t.Context(), embedded.Options{Path: filepath.Join(t.TempDir(), "vault"), RootKey: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// faultyVault counts calls of MAC and fails on demand.
type faultyVault struct {
	vault.Vault
	mu   sync.Mutex
	macs int
	fail error
}

func (f *faultyVault) MAC(ctx context.Context, data []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.macs++
	if f.fail != nil {
		return nil, f.fail
	}
	return f.Vault.MAC(ctx, data)
}

func (f *faultyVault) CreateKey(ctx context.Context, t uuid.UUID) error {
	if f.fail != nil {
		return f.fail
	}
	return f.Vault.CreateKey(ctx, t)
}

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// operator returns a context in which the operator calls, inside the tenant unless that is uuid.Nil.
func operator(t *testing.T, inside uuid.UUID) context.Context {
	return tenant.NewContext(t.Context(), &tenant.Viewer{IsOperator: true, Tenant: inside})
}

// tenant makes a tenant and returns it, its first key and a context in which that key calls.
func (k *kit) tenant(t *testing.T, name string) (*ent.Tenant, secret.Text, context.Context) {
	t.Helper()
	made, key, err := k.CreateTenant(operator(t, uuid.Nil), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made, key, k.as(t, key)
}

// as returns a context in which the key calls.
func (k *kit) as(t *testing.T, key secret.Text) context.Context {
	t.Helper()
	v, err := k.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tenant.NewContext(t.Context(), v)
}

// trail returns "action allowed" of all entries in a tenant's trail.
func (k *kit) trail(t *testing.T, whose uuid.UUID) []string {
	t.Helper()
	all, err := k.db.Ent.AuditEntry.Query().All(tenant.System(t.Context(), whose))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		line := e.Action
		if !e.Allowed {
			line += " refused"
		}
		out = append(out, line)
	}
	return out
}

// fails compares an error with its text.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
