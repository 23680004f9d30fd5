package refresh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// kit is a service with a tenant and a scheduler that the test runs by hand.
type kit struct {
	*servicetest.Service
	t         *testing.T
	one       *servicetest.Tenant
	scheduler *refresh.Scheduler
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
		k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
		k.scheduler = k.on(s, refresh.Options{})
		test(t, k)
	})
}

// local is a kit on SQLite, for what has nothing to do with the database.
func local(t *testing.T, o servicetest.Options) *kit {
	t.Helper()
	t.Parallel()
	s := servicetest.New(t, servicetest.SQLite(t), o)
	k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
	k.scheduler = k.on(s, refresh.Options{})
	return k
}

// on is a scheduler of a process. Nothing is left to chance unless o says so.
func (k *kit) on(s *servicetest.Service, o refresh.Options) *refresh.Scheduler {
	o.Connections, o.Now = s.Connections, k.Clock.Now
	if o.Ready == nil {
		o.Ready = s.Vault.Health
	}
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 0 }
	}
	return refresh.New(o)
}

// run has the scheduler do all there is to do now.
func (k *kit) run() refresh.Done {
	k.t.Helper()
	return k.runOn(k.scheduler)
}

func (k *kit) runOn(s *refresh.Scheduler) refresh.Done {
	k.t.Helper()
	did, err := s.RunOnce(k.t.Context())
	if err != nil {
		k.t.Fatalf("a round failed: %v", err)
	}
	return did
}

// want fails unless the counts are these.
func (k *kit) want(got, want refresh.Done) {
	k.t.Helper()
	if got != want {
		k.t.Errorf("got %+v, want %+v", got, want)
	}
}

// connect connects n users.
func (k *kit) connect(n int) []*ent.Connection {
	k.t.Helper()
	out := make([]*ent.Connection, n)
	for i := range out {
		out[i] = k.Connect(k.t, k.one, fmt.Sprintf("user-%d", i))
	}
	return out
}

// to moves the clock to a time.
func (k *kit) to(at time.Time) { k.Clock.Advance(at.Sub(k.Clock.Now())) }

// read asks for a credential, and fails unless there is one of the version.
func (k *kit) read(connectionID uuid.UUID, version int64) {
	k.t.Helper()
	r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &connectionID}, nil)
	if err != nil || r.Credential == nil || r.Credential.Version != version {
		k.t.Fatalf("got %+v (unavailable %+v), %v, want version %d", r.Credential, r.Unavailable, err, version)
	}
}

// totals fails unless the provider has rotated that often, and never two of one grant at once.
func (k *kit) totals(rotations int) {
	k.t.Helper()
	if l := k.Zoom.Ledger().Totals; l.Rotations != rotations || l.MaxConcurrentRefreshes > 1 || l.RefusedRefreshes != 0 {
		k.t.Errorf("got %+v, want %d rotations", l, rotations)
	}
}

// fault adds a fault to the provider.
func (k *kit) fault(f zoomsim.Fault) {
	k.t.Helper()
	f.Endpoint, f.GrantType = zoomsim.EndpointToken, "refresh_token"
	if _, err := k.Zoom.AddFault(f); err != nil {
		k.t.Fatal(err)
	}
}
