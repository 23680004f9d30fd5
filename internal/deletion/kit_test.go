package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/auditentry"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/deletion"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// kit is a service with two tenants, each with connections, and a deleter.
type kit struct {
	*servicetest.Service
	t          *testing.T
	one, other *servicetest.Tenant
	mine       []*ent.Connection
	theirs     *ent.Connection
	deleter    *deletion.Service
	// forgotten are the tenants that memory was told to forget.
	forgotten []uuid.UUID
}

// users are the first tenant's.
const users = 5

// each runs the test on every database and vault.
func each(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	t.Parallel()
	servicetest.EachStore(t, func(t *testing.T, url string, o servicetest.Options) { testOn(t, url, o, test) })
}

// eachEmbedded is each with the embedded vault only, for what is tried so often that a server would take too long.
func eachEmbedded(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) { testOn(t, url, servicetest.Options{}, test) })
}

// testOn runs the test on one database and vault.
func testOn(t *testing.T, url string, o servicetest.Options, test func(t *testing.T, k *kit)) {
	t.Helper()
	s := servicetest.New(t, url, o)
	k := &kit{Service: s, t: t, one: s.Tenant(t, "one"), other: s.Tenant(t, "other")}
	for i := range users {
		k.mine = append(k.mine, s.Connect(t, k.one, user(i)))
	}
	k.theirs = s.Connect(t, k.other, "eve")
	k.deleter = k.on(s.Vault, s.Connections)
	test(t, k)
}

func user(i int) string { return fmt.Sprintf("user%d", i) }

// on is another deleter; batches are small, so that there are many.
func (k *kit) on(v vault.Vault, c deletion.Connections) *deletion.Service {
	return deletion.New(deletion.Options{DB: k.DB, Vault: v, Connections: c, Batch: 2, Now: k.Clock.Now,
		Forget: func(tenant uuid.UUID) { k.forgotten = append(k.forgotten, tenant) }})
}

// order orders the deletion of the first tenant.
func (k *kit) order(immediately bool) {
	k.t.Helper()
	if err := k.Tenancy.DeleteTenant(servicetest.Operator(k.t, uuid.Nil), k.one.ID, immediately); err != nil {
		k.t.Fatal(err)
	}
}

// elapse lets waits and leases be over.
func (k *kit) elapse() {
	k.t.Helper()
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), `UPDATE tenant_deletions SET not_before_ms = 0, until_ms = 0`); err != nil {
		k.t.Fatal(err)
	}
}

// complete does everything, revocations included.
func (k *kit) complete() {
	k.t.Helper()
	for range 500 {
		did, err := k.deleter.RunOnce(k.t.Context())
		if err != nil {
			k.t.Fatal(err)
		}
		if did.Finished > 0 {
			return
		}
		k.sweep()
		k.elapse()
	}
	k.t.Fatalf("the deletion does not end: %+v", k.progress())
}

// sweep does what the process does beside the deletion.
func (k *kit) sweep() {
	k.t.Helper()
	if _, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) progress() *deletion.Progress {
	k.t.Helper()
	p, err := deletion.Of(k.t.Context(), k.DB, k.one.ID)
	if err != nil || p == nil {
		k.t.Fatalf("got %+v, %v", p, err)
	}
	return p
}

// live counts the grants of the first tenant's users that live at the provider.
func (k *kit) live() int {
	k.t.Helper()
	n := 0
	for i := range users {
		for _, g := range k.Ledger(user(i)) {
			if g.Status == zoomsim.GrantLive {
				n++
			}
		}
	}
	return n
}

// revoked fails unless every grant of the first tenant's was ended by a revocation.
func (k *kit) revoked() {
	k.t.Helper()
	for i := range users {
		for _, g := range k.Ledger(user(i)) {
			if g.EndedReason != zoomsim.EndedByRevoke {
				k.t.Errorf("the grant of %s: got %s %s, want it revoked", user(i), g.Status, g.EndedReason)
			}
		}
	}
}

// trail are the operator's entries about the first tenant, by action.
func (k *kit) trail() map[string][]string {
	k.t.Helper()
	all, err := k.DB.Ent.AuditEntry.Query().Where(auditentry.Object(id.Tenant.Format(k.one.ID))).All(tenant.System(k.t.Context(), tenant.Operator))
	if err != nil {
		k.t.Fatal(err)
	}
	out := map[string][]string{}
	for _, e := range all {
		if e.Action != audit.TenantCreate {
			out[e.Action] = append(out[e.Action], e.Detail)
		}
	}
	return out
}

// rows counts the rows of a tenant in a table.
func (k *kit) rows(table, column string, of uuid.UUID) int {
	k.t.Helper()
	var n int
	if err := k.DB.SQL().QueryRowContext(k.t.Context(), `SELECT count(*) FROM `+table+` WHERE `+column+` = $1`, of).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// gone fails unless nothing of the first tenant is left but the memory of it, and the other tenant is whole.
func (k *kit) gone() {
	k.t.Helper()
	for _, table := range deletion.Tables() {
		if n := k.rows(table, "tenant_id", k.one.ID); n > 0 {
			k.t.Errorf("%s has %d rows of the tenant", table, n)
		}
	}
	if n := k.rows("tenants", "id", k.one.ID) + k.rows("key_rotations", "id", k.one.ID); n > 0 {
		k.t.Errorf("the tenant's own rows are there")
	}
	if got := k.progress(); got.Phase != "DONE" {
		k.t.Errorf("got %+v, want DONE", got)
	}
	if _, err := k.Vault.KeyInfo(k.t.Context(), k.one.ID); !errors.Is(err, vault.ErrNoKey) {
		k.t.Errorf("the key: got %v, want ErrNoKey", err)
	}
	if err := k.Vault.CreateKey(k.t.Context(), k.one.ID); !errors.Is(err, vault.ErrNoKey) {
		k.t.Errorf("making the key again: got %v, want ErrNoKey", err)
	}
	left, err := k.Vault.ListRecords(k.t.Context(), k.one.ID, uuid.Nil, 10)
	for _, c := range left { // a vault may go on naming what was erased
		if _, _, err := k.Vault.ReadRecord(k.t.Context(), vault.Ref{Tenant: k.one.ID, Connection: c}); !errors.Is(err, vault.ErrErased) {
			k.t.Errorf("a record of the tenant's: got %v, want ErrErased", err)
		}
	}
	if err != nil {
		k.t.Errorf("listing what is left: %v", err)
	}
	if _, err := k.Connections.Keeper().Open(k.other.Ctx, k.Row(k.t, k.theirs.ID)); err != nil {
		k.t.Errorf("the other tenant: %v", err)
	}
	if _, err := k.Tenancy.Authenticate(k.t.Context(), k.other.Key); err != nil {
		k.t.Errorf("the other tenant's key: %v", err)
	}
}

// hoard copies whatever is sealed under the first tenant's key, as a backup would.
func (k *kit) hoard() (records map[uuid.UUID]vault.Record, secret []byte) {
	k.t.Helper()
	records = map[uuid.UUID]vault.Record{}
	for _, c := range k.mine {
		r, _, err := k.Vault.ReadRecord(k.t.Context(), vault.Ref{Tenant: k.one.ID, Connection: c.ID})
		if err != nil {
			k.t.Fatal(err)
		}
		records[c.ID] = r
	}
	return records, k.one.App.ClientSecret
}

// step is a call of the vault or of a connection's deletion that may be made to fail.
type steps struct {
	vault.Vault
	connections deletion.Connections
	n           int
	after       bool
}

var errInjected = errors.New("injected")

func (f *steps) around(call func() error) error {
	f.n--
	if f.n != 0 {
		return call()
	}
	if f.after {
		_ = call()
	}
	return errInjected
}

func (f *steps) Delete(ctx context.Context, c uuid.UUID) error {
	return f.around(func() error { return f.connections.Delete(ctx, c) })
}

func (f *steps) DestroyKey(ctx context.Context, u uuid.UUID) error {
	return f.around(func() error { return f.Vault.DestroyKey(ctx, u) })
}

func (f *steps) EraseRecord(ctx context.Context, ref vault.Ref) error {
	return f.around(func() error { return f.Vault.EraseRecord(ctx, ref) })
}

func (f *steps) ListRecords(ctx context.Context, u, after uuid.UUID, limit int) (ids []uuid.UUID, err error) {
	err = f.around(func() (err error) { ids, err = f.Vault.ListRecords(ctx, u, after, limit); return err })
	return ids, err
}

// expire lets the time for revocations be over.
func (k *kit) expire() {
	k.t.Helper()
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), `UPDATE tenant_deletions SET revoke_until_ms = 1`); err != nil {
		k.t.Fatal(err)
	}
	k.Clock.Advance(time.Minute)
}
