package grant_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/event"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// user is who connects in these tests.
const user = "ada"

// kit is a service with a tenant.
type kit struct {
	*servicetest.Service
	t   *testing.T
	one *servicetest.Tenant
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
		s := servicetest.New(t, url, o)
		test(t, &kit{Service: s, t: t, one: s.Tenant(t, "one")})
	})
}

// connect connects the user and lets a minute pass.
func (k *kit) connect() *ent.Connection {
	k.t.Helper()
	c := k.Connect(k.t, k.one, user)
	k.Clock.Advance(time.Minute)
	return c
}

// refresh spends the generation of c, in this process.
func (k *kit) refresh(c *ent.Connection) (grant.Refreshed, error) { return k.refreshOn(k.Service, c) }

// refreshOn spends the generation of c, in the process.
func (k *kit) refreshOn(s *servicetest.Service, c *ent.Connection) (grant.Refreshed, error) {
	return s.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: c.Generation})
}

// sweep does one round of the sweeper.
func (k *kit) sweep() grant.Swept {
	k.t.Helper()
	swept, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(k.t.Context())
	if err != nil {
		k.t.Fatalf("sweeping: %v", err)
	}
	return swept
}

// refreshed fails unless the outcome is the generation.
func (k *kit) refreshed(out grant.Refreshed, err error, generation int64) {
	k.t.Helper()
	if err != nil || out.Verdict != nil || out.Generation != generation {
		k.t.Fatalf("got generation %d, verdict %+v, error %v; want generation %d", out.Generation, out.Verdict, err, generation)
	}
}

// ledger is the newest grant of the user at the provider.
func (k *kit) ledger() zoomsim.LedgerGrant {
	k.t.Helper()
	all := k.Ledger(user)
	if len(all) == 0 {
		k.t.Fatal("the provider knows no grant of the user")
	}
	return all[len(all)-1]
}

// calls fails unless the provider rotated that often and never saw two refreshes of one grant at once.
func (k *kit) rotations(want int) {
	k.t.Helper()
	l := k.Zoom.Ledger().Totals
	if l.Rotations != want || l.MaxConcurrentRefreshes > 1 {
		k.t.Errorf("the provider rotated %d times (at most %d at once), want %d", l.Rotations, l.MaxConcurrentRefreshes, want)
	}
}

// safe fails unless the row is connected in the generation without failure, what is stored is what lives at the provider,
// and no lock is left.
func (k *kit) safe(c *ent.Connection, generation int64) *ent.Connection {
	k.t.Helper()
	row := k.Row(k.t, c.ID)
	if row == nil || row.State != connection.StateCONNECTED || row.Generation != generation || row.FailureClass != "" {
		k.t.Fatalf("got row %+v, want generation %d", row, generation)
	}
	k.reachable(row)
	if n := k.Locks(k.t); n != 0 {
		k.t.Errorf("%d locks are left", n)
	}
	return row
}

// reachable fails unless the refresh token that is stored is the one that lives at the provider.
func (k *kit) reachable(row *ent.Connection) {
	k.t.Helper()
	k.reachableAs(user, row)
}

// reachableAs is reachable for another user.
func (k *kit) reachableAs(user string, row *ent.Connection) {
	k.t.Helper()
	opened, err := k.Connections.Keeper().Open(k.one.Ctx, row)
	if err != nil {
		k.t.Fatalf("opening: %v", err)
	}
	sum := sha256.Sum256([]byte(opened.Set.RefreshToken.Reveal()))
	all := k.Ledger(user)
	if g := all[len(all)-1]; g.Status != zoomsim.GrantLive || g.RefreshTokenSHA256 != hex.EncodeToString(sum[:]) {
		k.t.Fatalf("generation %d is stored and is not what lives at the provider (%s %s, generation %d)", opened.Generation, g.Status, g.EndedReason, g.Generation)
	}
	if row.Generation != opened.Generation {
		k.t.Fatalf("the row has generation %d, generation %d is stored", row.Generation, opened.Generation)
	}
}

// failing fails unless the row is in the state with a failure of the reason.
func (k *kit) failing(c *ent.Connection, state connection.State, reason string) *ent.Connection {
	k.t.Helper()
	row := k.Row(k.t, c.ID)
	if row.State != state || row.FailureReason != reason {
		k.t.Fatalf("got %s with %s %q, want %s with %q", row.State, row.FailureClass, row.FailureReason, state, reason)
	}
	return row
}

// ref names the record of c.
func (k *kit) ref(c *ent.Connection) vault.Ref { return vault.Ref{Tenant: k.one.ID, Connection: c.ID} }

// erased fails unless the record of the connection is destroyed.
func (k *kit) erased(connectionID uuid.UUID) {
	k.t.Helper()
	_, _, err := k.Vault.Vault.ReadRecord(k.t.Context(), vault.Ref{Tenant: k.one.ID, Connection: connectionID})
	if !errors.Is(err, vault.ErrErased) && !errors.Is(err, vault.ErrNotFound) {
		k.t.Errorf("reading the record: got %v, want ErrErased", err)
	}
}

// events returns the types of a connection's events in their order; their numbers must have no gaps.
func (k *kit) events(connectionID uuid.UUID) []string {
	k.t.Helper()
	all, err := k.DB.Ent.Event.Query().Where(event.ConnectionID(connectionID)).Order(event.BySequence()).All(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	types := []string{}
	for i, e := range all {
		if e.Sequence != int64(i+1) {
			k.t.Errorf("event %d has the number %d", i+1, e.Sequence)
		}
		types = append(types, e.Type)
	}
	return types
}

// jobs counts the revocation jobs in the state.
func (k *kit) jobs(state revocationjob.State) int {
	k.t.Helper()
	n, err := k.DB.Ent.RevocationJob.Query().Where(revocationjob.StateEQ(state)).Count(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}

// all is a context that sees every tenant.
func (k *kit) all() context.Context { return tenant.System(k.t.Context(), uuid.Nil) }

// wantKind fails unless the error is of the kind, for the caller.
func wantKind(t *testing.T, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Fatalf("got %v, want %s", err, kind)
	}
}

// fault adds a fault to the provider.
func (k *kit) fault(f zoomsim.Fault) {
	k.t.Helper()
	if _, err := k.Zoom.AddFault(f); err != nil {
		k.t.Fatal(err)
	}
}

// hold makes the provider hold refreshes at the point.
func (k *kit) hold(at zoomsim.Point) *zoomsim.Hold {
	k.t.Helper()
	h, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, at)
	if err != nil {
		k.t.Fatal(err)
	}
	return h
}

// async runs f and returns its outcome when asked.
func async[T any](f func() (T, error)) func() (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f()
		done <- outcome{v, err}
	}()
	return func() (T, error) {
		o := <-done
		return o.value, o.err
	}
}
