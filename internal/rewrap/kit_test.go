package rewrap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	tkctx "github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// kit is a service with two tenants and a re-wrapper.
type kit struct {
	*servicetest.Service
	t          *testing.T
	one, other *servicetest.Tenant
	rewrapper  *rewrap.Service
}

// each runs the test on every database and vault.
func each(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	t.Parallel()
	servicetest.EachStore(t, func(t *testing.T, url string, o servicetest.Options) {
		s := servicetest.New(t, url, o)
		k := &kit{Service: s, t: t, one: s.Tenant(t, "one"), other: s.Tenant(t, "other")}
		k.rewrapper = k.on(s.Vault)
		test(t, k)
	})
}

// on is another re-wrapper on this vault; batches are small, so that there are many.
func (k *kit) on(v vault.Vault) *rewrap.Service {
	return rewrap.New(rewrap.Options{DB: k.DB, Vault: v, Batch: 3})
}

// rotate rotates the first tenant's key.
func (k *kit) rotate() *ent.Tenant {
	k.t.Helper()
	row, err := k.Tenancy.RotateKey(servicetest.Operator(k.t, uuid.Nil), k.one.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	return row
}

// run does rounds until there is nothing due, and adds up what they did.
func (k *kit) run() rewrap.Done {
	k.t.Helper()
	var sum rewrap.Done
	for range 1000 {
		did, err := k.rewrapper.RunOnce(k.t.Context())
		if err != nil {
			k.t.Fatal(err)
		}
		if did.Rounds == 0 {
			return sum
		}
		sum.Rounds += did.Rounds
		sum.Checked += did.Checked
		sum.Stale += did.Stale
		sum.Rewrapped += did.Rewrapped
		sum.Finished += did.Finished
	}
	k.t.Fatal("the rounds have no end")
	return sum
}

// elapse lets the wait between two passes be over, and leases too.
func (k *kit) elapse() {
	k.t.Helper()
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), `UPDATE key_rotations SET not_before_ms = 0, until_ms = 0`); err != nil {
		k.t.Fatal(err)
	}
}

// complete does everything up to the raised minimum.
func (k *kit) complete() {
	k.t.Helper()
	for range 10 {
		if k.run().Finished > 0 {
			return
		}
		k.elapse()
	}
	k.t.Fatalf("the rotation does not end: %+v", k.progress())
}

func (k *kit) progress() *rewrap.Progress {
	k.t.Helper()
	p, err := rewrap.Of(k.t.Context(), k.DB, k.one.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

func (k *kit) info() vault.KeyInfo {
	k.t.Helper()
	info, err := k.Vault.KeyInfo(k.t.Context(), k.one.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	return info
}

func (k *kit) wantInfo(latest, lowest int) {
	k.t.Helper()
	if got := k.info(); got != (vault.KeyInfo{Latest: latest, Min: lowest}) {
		k.t.Fatalf("got key versions %+v, want latest %d and minimum %d", got, latest, lowest)
	}
}

// record reads what the vault holds for a connection.
func (k *kit) record(connection uuid.UUID) vault.Record {
	k.t.Helper()
	r, _, err := k.Vault.Vault.ReadRecord(k.t.Context(), vault.Ref{Tenant: k.one.ID, Connection: connection})
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// opens fails unless the connection's record opens.
func (k *kit) opens(c *ent.Connection) {
	k.t.Helper()
	if _, err := k.Connections.Keeper().Open(k.one.Ctx, k.Row(k.t, c.ID)); err != nil {
		k.t.Fatalf("opening %s: %v", c.ID, err)
	}
}

func (k *kit) refresh(c *ent.Connection) error {
	_, err := k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: k.Row(k.t, c.ID).Generation})
	return err
}

// connect connects n users.
func (k *kit) connect(n int) []*ent.Connection {
	k.t.Helper()
	all := make([]*ent.Connection, n)
	for i := range all {
		all[i] = k.Connect(k.t, k.one, fmt.Sprintf("user%d", i))
	}
	k.Clock.Advance(time.Minute)
	return all
}

func (k *kit) tenantRow() *ent.Tenant {
	k.t.Helper()
	row, err := k.DB.Ent.Tenant.Query().Where(tenant.ID(k.one.ID)).Only(tkctx.System(k.t.Context(), k.one.ID))
	if err != nil {
		k.t.Fatal(err)
	}
	return row
}

// failing is a vault whose nth call that changes or re-wraps something fails, before or after it did its work.
type failing struct {
	vault.Vault
	n     int
	after bool
}

var errInjected = errors.New("injected")

func (f *failing) around(call func() error) error {
	f.n--
	if f.n != 0 {
		return call()
	}
	if f.after {
		_ = call()
	}
	return errInjected
}

func (f *failing) RewrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) (out []vault.WrappedKey, err error) {
	err = f.around(func() (err error) { out, err = f.Vault.RewrapDataKeys(ctx, tenant, wrapped); return err })
	return out, err
}

func (f *failing) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (next vault.CAS, err error) {
	err = f.around(func() (err error) { next, err = f.Vault.WriteRecord(ctx, ref, r, cas); return err })
	return next, err
}

func (f *failing) SetMinVersion(ctx context.Context, tenant uuid.UUID, version int) error {
	return f.around(func() error { return f.Vault.SetMinVersion(ctx, tenant, version) })
}

func (f *failing) ListRecords(ctx context.Context, tenant, after uuid.UUID, limit int) (ids []uuid.UUID, err error) {
	err = f.around(func() (err error) { ids, err = f.Vault.ListRecords(ctx, tenant, after, limit); return err })
	return ids, err
}

// seal seals a value under the first tenant's key.
func (k *kit) seal(purpose vault.Purpose, object uuid.UUID) vault.Sealed {
	k.t.Helper()
	sealed, err := vault.Seal(k.t.Context(), k.Vault, vault.Place{Tenant: k.one.ID, Purpose: purpose, Object: object}, secret.NewBytes([]byte("value")))
	if err != nil {
		k.t.Fatal(err)
	}
	return sealed
}

// parked makes an unfinished attempt that holds a sealed answer, and a revocation job.
func (k *kit) parked() (attempt, job uuid.UUID) {
	k.t.Helper()
	ctx := k.one.System(k.t)
	attempt, job = id.New(), id.New()
	answer := k.seal(vault.PurposeAnswer, attempt)
	err := k.DB.Ent.GrantAttempt.Create().SetID(attempt).SetAppID(k.one.App.ID).SetProvider("zoom").SetClientID("c").SetActor("a").
		SetCodeHash(attempt[:]).SetConnectionID(id.New()).SetInput([]byte(`{}`)).SetState("DONE").
		SetAnswer(answer.Bytes).SetAnswerKeyVersion(answer.KeyVersion).Exec(ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	sealed := k.seal(vault.PurposeRevocation, job)
	err = k.DB.Ent.RevocationJob.Create().SetID(job).SetConnectionID(id.New()).SetProvider("zoom").SetClientID("c").SetGrantKey("g").
		SetConsentedAt(time.Now()).SetSealed(sealed.Bytes).SetKeyVersion(sealed.KeyVersion).SetExpiresAt(time.Now()).Exec(ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	return attempt, job
}
