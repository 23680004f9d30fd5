package verify_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/event"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/verify"
)

const user = "ada"

// kit is a service with a tenant, whose vault is a file that can be put back.
type kit struct {
	*servicetest.Service
	t    *testing.T
	one  *servicetest.Tenant
	file *servicetest.VaultFile
}

// each runs the test on every database.
func each(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Helper()
	eachWith(t, servicetest.Options{}, test)
}

func eachWith(t *testing.T, o servicetest.Options, test func(t *testing.T, k *kit)) {
	t.Helper()
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		k := &kit{Service: servicetest.New(t, url, o), t: t}
		k.file = k.FileVault(t)
		k.one = k.Tenant(t, "one")
		test(t, k)
	})
}

// backUpVault copies the vault's file and returns what puts the copy back, as an operator does on purpose.
func (k *kit) backUpVault() (restore func()) {
	k.t.Helper()
	return k.file.BackUp(k.t)
}

// tables are those that a backup of the database has, each after those it refers to.
var tables = []string{"tenants", "api_keys", "oauth_apps", "connections", "connection_metadata", "escrows", "grant_attempts", "grant_locks", "revocation_jobs", "tombstones", "events"}

// backUpDatabase copies the tables and returns what puts the copies back.
func (k *kit) backUpDatabase() (restore func()) {
	k.t.Helper()
	prefix := "backup_" + time.Now().Format("150405_000000000") + "_"
	for _, table := range tables {
		k.exec("CREATE TABLE " + prefix + table + " AS SELECT * FROM " + table)
	}
	return func() {
		k.t.Helper()
		for _, table := range slices.Backward(tables) {
			k.exec("DELETE FROM " + table)
		}
		for _, table := range tables {
			k.exec("INSERT INTO " + table + " SELECT * FROM " + prefix + table)
		}
	}
}

// exec runs a statement past all rules.
func (k *kit) exec(query string, args ...any) {
	k.t.Helper()
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), query, args...); err != nil {
		k.t.Fatalf("%s: %v", query, err)
	}
}

// process starts another process on the same stores.
func (k *kit) process() *servicetest.Service {
	k.t.Helper()
	s := k.Process(k.t)
	k.file.Share(s)
	return s
}

// connect connects the user and lets a minute pass.
func (k *kit) connect() *ent.Connection {
	k.t.Helper()
	c := k.Connect(k.t, k.one, user)
	k.Clock.Advance(time.Minute)
	return c
}

// refresh spends once.
func (k *kit) refresh(c *ent.Connection) {
	k.t.Helper()
	row := k.Row(k.t, c.ID)
	out, err := k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: row.Generation})
	if err != nil || out.Verdict != nil || out.Generation != row.Generation+1 {
		k.t.Fatalf("got generation %d, verdict %+v, %v", out.Generation, out.Verdict, err)
	}
}

// run verifies everything and returns the findings; the run itself must not fail.
func (k *kit) run(repair bool) []verify.Finding {
	k.t.Helper()
	found, _, err := k.runOn(k.Service, repair)
	if err != nil {
		k.t.Fatalf("verifying: %v", err)
	}
	return found
}

func (k *kit) runOn(s *servicetest.Service, repair bool) ([]verify.Finding, verify.Summary, error) {
	var found []verify.Finding
	v := verify.New(verify.Options{DB: s.DB, Vault: s.Vault, Connections: s.Connections, Repair: repair, Now: k.Clock.Now,
		Report: func(f verify.Finding) error {
			found = append(found, f)
			return nil
		}})
	summary, err := v.Run(servicetest.Operator(k.t, uuid.Nil), uuid.Nil)
	return found, summary, err
}

// clean fails where anything is found.
func (k *kit) clean() {
	k.t.Helper()
	if found := k.run(false); len(found) != 0 {
		k.t.Fatalf("got %+v, want nothing", found)
	}
}

// finds fails unless a run without repair finds just these kinds, and changes nothing: a second run finds the same.
func (k *kit) finds(kinds ...verify.Kind) []verify.Finding {
	k.t.Helper()
	var found []verify.Finding
	for range 2 {
		found = k.run(false)
		k.kinds(found, false, kinds...)
	}
	return found
}

// repairs fails unless a run with repair mends just these kinds, and nothing is left afterwards.
func (k *kit) repairs(kinds ...verify.Kind) {
	k.t.Helper()
	k.finds(kinds...)
	k.kinds(k.run(true), true, kinds...)
	k.clean()
	k.kinds(k.run(true), true)
}

// kinds compares findings, which must explain themselves.
func (k *kit) kinds(found []verify.Finding, repaired bool, want ...verify.Kind) {
	k.t.Helper()
	var got []verify.Kind
	for _, f := range found {
		got = append(got, f.Kind)
		if f.Says == "" || f.Remedy == "" || f.Tenant != id.Tenant.Format(k.one.ID) || f.Object == "" || f.Repaired != repaired {
			k.t.Errorf("got %+v, want repaired %v", f, repaired)
		}
	}
	if !slices.Equal(got, want) {
		k.t.Fatalf("got %v, want %v", got, want)
	}
}

// lives fails unless the connection is connected in the generation, its record opens, and what is stored is the provider's
// living refresh token, of which a refresh is the proof.
func (k *kit) lives(connectionID uuid.UUID, generation int64) *ent.Connection {
	k.t.Helper()
	row := k.Row(k.t, connectionID)
	if row == nil || row.State != connection.StateCONNECTED || row.Generation != generation || row.FailureClass != "" {
		k.t.Fatalf("got row %+v, want it connected in generation %d", row, generation)
	}
	k.refresh(row)
	return k.Row(k.t, connectionID)
}

// over fails unless the connection is disconnected for the reason.
func (k *kit) over(connectionID uuid.UUID, reason string) {
	k.t.Helper()
	row := k.Row(k.t, connectionID)
	if row.State != connection.StateDISCONNECTED || row.FailureReason != reason || row.FailureMessage == "" {
		k.t.Fatalf("got %s with %q, want DISCONNECTED with %q", row.State, row.FailureReason, reason)
	}
}

// rotations fails unless the provider rotated that often.
func (k *kit) rotations(want int) {
	k.t.Helper()
	if got := k.Zoom.Ledger().Totals.Rotations; got != want {
		k.t.Errorf("the provider rotated %d times, want %d", got, want)
	}
}

// lastEvent returns the type of the connection's last event; the numbers have no gaps and no number comes twice.
func (k *kit) lastEvent(connectionID uuid.UUID) string {
	k.t.Helper()
	all, err := k.DB.Ent.Event.Query().Where(event.ConnectionID(connectionID)).Order(event.BySequence()).All(k.all())
	if err != nil || len(all) == 0 {
		k.t.Fatalf("got %d events, %v", len(all), err)
	}
	for i, e := range all {
		if e.Sequence != int64(i+1) {
			k.t.Errorf("event %d has the number %d", i+1, e.Sequence)
		}
	}
	return all[len(all)-1].Type
}

// ref names the record.
func (k *kit) ref(connectionID uuid.UUID) vault.Ref {
	return vault.Ref{Tenant: k.one.ID, Connection: connectionID}
}

// all is a context that sees every tenant.
func (k *kit) all() context.Context { return tenant.System(k.t.Context(), uuid.Nil) }
