package realvault_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// absence is a way in which Vault goes, and how it comes back.
type absence struct {
	name       string
	away, back func(t *testing.T, v *servicetest.VaultServer)
}

var absences = []absence{
	{"sealed", func(t *testing.T, v *servicetest.VaultServer) { v.Seal(t) }, func(t *testing.T, v *servicetest.VaultServer) { v.Unseal(t) }},
	{"stopped", func(t *testing.T, v *servicetest.VaultServer) { v.Stop(t) }, func(t *testing.T, v *servicetest.VaultServer) {
		v.Boot(t)
		v.Unseal(t)
	}},
	{"killed", func(_ *testing.T, v *servicetest.VaultServer) { v.Kill() }, func(t *testing.T, v *servicetest.VaultServer) {
		v.Boot(t)
		v.Unseal(t)
	}},
	{"frozen", func(t *testing.T, v *servicetest.VaultServer) { v.Freeze(t) }, func(t *testing.T, v *servicetest.VaultServer) { v.Thaw(t) }},
	{"refusing", func(t *testing.T, v *servicetest.VaultServer) { v.LockOut(t) }, func(t *testing.T, v *servicetest.VaultServer) {
		v.TokenLife(t, time.Hour, 24*time.Hour)
		v.LetIn(t)
	}},
}

// TestAway takes Vault away between a provider's answer and the write. The answer waits in escrow; what is in memory is
// served; everything else says that the vault is away, and no connection is blamed; and when it is back all goes on by
// itself, the escrow first.
func TestAway(t *testing.T) {
	for _, gone := range absences {
		t.Run(gone.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDatabase(t, func(t *testing.T, url string) { testAway(t, url, gone) })
		})
	}
}

func testAway(t *testing.T, url string, gone absence) {
	server := servicetest.OwnVault(t)
	w := newWorld(t, url, server)
	alice, bob := w.Connect(t, w.one, "alice"), w.Connect(t, w.one, "bob")
	other := w.Process(t) // with nothing in memory
	_, unused, err := w.Tenancy.CreateKey(w.one.Ctx, tenancy.CreateKeyInput{Name: "unused", Scopes: []tenant.Scope{tenant.ConnectionsRead}})
	if err != nil {
		t.Fatal(err)
	}
	w.served("bob before", w.credential(bob), 1)
	w.Clock.Advance(2 * time.Hour) // both tokens are over
	var once sync.Once
	w.OAuth.After("Refresh", func(context.Context) error {
		once.Do(func() { gone.away(t, server) })
		return nil
	})

	if a := w.refresh(alice); len(a.Errors) != 0 {
		t.Fatalf("the refresh whose answer had come: got %s", a.body)
	}
	w.untouched(alice, 2)
	if n := w.count("escrows"); n != 1 || !w.Row(t, alice.ID).Escrowed {
		t.Fatalf("%d records wait in escrow, want alice's", n)
	}
	events := w.count("events")

	token := w.served("alice, from memory", w.credential(alice), 2)
	w.refused("bob, whose token is over", w.credential(bob))
	w.unavailable("refreshing bob", w.refresh(bob))
	w.unavailable("connecting carol", w.post(w.one.Key, `mutation($input: CreateConnectionInput!) { createConnection(input: $input) { connection { id } } }`,
		map[string]any{"input": map[string]any{"app": id.App.Format(w.one.App.ID),
			"grant": map[string]any{"authorizationCode": map[string]any{"code": w.Consent(t, "carol"), "redirectUri": servicetest.RedirectURI}}}}))
	w.unavailable("an API key that was not used before", w.post(unused, `{ connections(first: 1) { nodes { id } } }`, nil))
	if a := w.post(w.one.Key, `{ connections(first: 5) { nodes { id state failure { reason } } } }`, nil); len(a.Errors) != 0 {
		t.Errorf("reading rows with a key in use: got %s", a.body)
	}
	if r := reads(t, other, w.one, alice); r.Unavailable == nil || r.Unavailable.Code != "VAULT_UNAVAILABLE" || r.Unavailable.RetryAfter <= 0 {
		t.Errorf("alice in a process that has nothing in memory: got %+v", r)
	}
	_, _ = grant.NewSweeper(w.Connections.Keeper(), 0).RunOnce(t.Context()) // whether it tries or not, it harms nobody
	w.untouched(alice, 2)
	w.untouched(bob, 1)
	if row := w.Row(t, bob.ID); row.LastAttemptedAt != nil {
		t.Error("bob's row tells of an attempt that never was")
	}
	if n := w.count("events"); n != events {
		t.Errorf("%d events were raised by the vault's absence", n-events)
	}
	if n := w.Locks(t); n != 0 {
		t.Errorf("%d locks are left", n)
	}
	if grants := w.Ledger("carol"); len(grants) != 0 {
		t.Errorf("carol's code was spent: %+v", grants)
	}

	gone.back(t, server)
	var got connection.Result
	w.eventually("reading alice in the other process", func() bool {
		got = reads(t, other, w.one, alice)
		return got.Credential != nil
	})
	if n := w.count("escrows"); got.Credential.AccessToken.Reveal() != token || n != 1 {
		t.Errorf("the other process serves another token than the one in escrow, %d of which wait", n)
	}
	w.eventually("bob's credential", func() bool { return w.credential(bob).Type == "Credential" })
	w.eventually("the other key", func() bool { return len(w.post(unused, `{ connections(first: 1) { nodes { id } } }`, nil).Errors) == 0 })
	if a := w.refresh(alice); len(a.Errors) != 0 {
		t.Errorf("spending what was in escrow: got %s", a.body)
	}
	if n := w.count("escrows"); n != 0 || w.Row(t, alice.ID).Escrowed {
		t.Errorf("%d records still wait", n)
	}
	w.untouched(alice, 3)
	w.untouched(bob, 2)
	w.judged("alice", alice, 3)
	w.judged("bob", bob, 2)
}

// reads reads a credential in a process.
func reads(t *testing.T, s *servicetest.Service, of *servicetest.Tenant, c *ent.Connection) connection.Result {
	t.Helper()
	r, err := s.Connections.Credential(of.Ctx, connection.Selector{Connection: &c.ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEscrowsLandByThemselves has the sweeper land them, once Vault is back.
func TestEscrowsLandByThemselves(t *testing.T) {
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		server := servicetest.OwnVault(t)
		w := newWorld(t, url, server)
		alice := w.Connect(t, w.one, "alice")
		var once sync.Once
		w.OAuth.After("Refresh", func(context.Context) error {
			once.Do(func() { server.Seal(t) })
			return nil
		})
		if a := w.refresh(alice); len(a.Errors) != 0 {
			t.Fatalf("got %s", a.body)
		}
		if swept := w.sweep(); swept.Escrows != 0 || w.count("escrows") != 1 {
			t.Errorf("sealed, a sweep landed %d", swept.Escrows)
		}
		server.Unseal(t)
		w.AwaitVault(t)
		if swept := w.sweep(); swept.Escrows != 1 || w.count("escrows") != 0 {
			t.Errorf("unsealed, a sweep landed %d", swept.Escrows)
		}
		w.untouched(alice, 2)
		w.judged("alice", alice, 2)
	})
}
