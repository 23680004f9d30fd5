package hold_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/auditentry"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/event"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

// logs keeps what was logged. It is safe for concurrent use.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines of the level say so.
func (l *logs) count(level, says string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, says) {
			n++
		}
	}
	return n
}

// kit is a service with a tenant, a vault that can be put back, and somebody who reads the log.
type kit struct {
	*servicetest.Service
	t    *testing.T
	one  *servicetest.Tenant
	file *servicetest.VaultFile
	logs *logs
}

// minimum is the policy's of these tests.
const minimum = 3

// each runs the test on every database.
func each(t *testing.T, change func(*provider.Provider), test func(t *testing.T, k *kit)) {
	t.Helper()
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		l := &logs{}
		k := &kit{t: t, logs: l, Service: servicetest.New(t, url, servicetest.Options{
			Change: change, Holds: hold.Policy{Minimum: minimum}, Logger: slog.New(slog.NewTextHandler(l, nil)),
		})}
		k.file = k.FileVault(t)
		k.one = k.Tenant(t, "one")
		test(t, k)
	})
}

// fleet connects so many users and lets a minute pass.
func (k *kit) fleet(of *servicetest.Tenant, word string, n int) []*ent.Connection {
	k.t.Helper()
	all := make([]*ent.Connection, n)
	for i := range all {
		all[i] = k.Connect(k.t, of, fmt.Sprintf("%s%d", word, i))
	}
	k.Clock.Advance(time.Minute)
	return all
}

// attempt refreshes each connection on the process, whatever its failure put off.
func (k *kit) attempt(s *servicetest.Service, of *servicetest.Tenant, all []*ent.Connection) {
	k.t.Helper()
	for _, c := range all {
		row := k.Row(k.t, c.ID)
		if _, err := s.Connections.Keeper().Refresh(of.Ctx, c.ID, grant.Wanted{IfGeneration: row.Generation, Now: true}); err != nil {
			k.t.Fatal(err)
		}
	}
}

// due is attempt once the held have waited for as long as they may.
func (k *kit) due(of *servicetest.Tenant, all []*ent.Connection) {
	k.t.Helper()
	k.Clock.Advance(31 * time.Minute)
	for _, c := range all {
		row := k.Row(k.t, c.ID)
		if _, err := k.Connections.Keeper().Refresh(of.Ctx, c.ID, grant.Wanted{IfGeneration: row.Generation}); err != nil {
			k.t.Fatal(err)
		}
	}
}

// refuse makes the provider refuse every refresh token until it is mended; the grants live on.
func (k *kit) refuse() (mend func()) {
	k.t.Helper()
	name, err := k.Zoom.AddFault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token", Status: 400, Body: `{"reason":"Invalid Token!","error":"invalid_grant"}`})
	if err != nil {
		k.t.Fatal(err)
	}
	return func() {
		k.t.Helper()
		if err := k.Zoom.RemoveFault(name); err != nil {
			k.t.Fatal(err)
		}
	}
}

// refusedFor lets the provider refuse all of them for as long as it takes to believe it.
func (k *kit) refusedFor(of *servicetest.Tenant, all []*ent.Connection) {
	k.t.Helper()
	k.attempt(k.Service, of, all)
	k.Clock.Advance(grant.ConfirmDeath + time.Second)
	k.attempt(k.Service, of, all)
}

// states counts those that are connected without failure, held, and disconnected; every held one must say so.
func (k *kit) states(all []*ent.Connection) (well, held, dead int) {
	k.t.Helper()
	for _, c := range all {
		row := k.Row(k.t, c.ID)
		switch {
		case row.State == connection.StateDISCONNECTED:
			dead++
		case row.FailureClass == "" && row.HeldBy == nil:
			well++
		default:
			held++
			if row.HeldBy == nil || row.FailureClass != grant.ClassReauthorize || row.FailureNextAttemptAt == nil ||
				!strings.Contains(row.FailureMessage, "an operator of this service looks into it") {
				k.t.Errorf("got %+v, want it held", row)
			}
			if slices.Contains(k.events(c), "CONNECTION_DISCONNECTED") {
				k.t.Errorf("the tenant was told that a held connection is over: %v", k.events(c))
			}
		}
	}
	return well, held, dead
}

// want fails unless so many are in each state.
func (k *kit) want(all []*ent.Connection, well, held, dead int) {
	k.t.Helper()
	if w, h, d := k.states(all); w != well || h != held || d != dead {
		k.t.Fatalf("got %d well, %d held, %d over, want %d, %d, %d", w, h, d, well, held, dead)
	}
}

// over fails unless each connection ended for the reason and its tenant was told once.
func (k *kit) over(all []*ent.Connection, reason string) {
	k.t.Helper()
	for _, c := range all {
		if row := k.Row(k.t, c.ID); row.State != connection.StateDISCONNECTED || row.FailureReason != reason {
			k.t.Errorf("got %s with %q, want DISCONNECTED with %q", row.State, row.FailureReason, reason)
		}
		n := 0
		for _, kind := range k.events(c) {
			if kind == "CONNECTION_DISCONNECTED" {
				n++
			}
		}
		if n != 1 {
			k.t.Errorf("the tenant was told %d times: %v", n, k.events(c))
		}
	}
}

// events are the types of a connection's events.
func (k *kit) events(c *ent.Connection) []string {
	k.t.Helper()
	all, err := k.DB.Ent.Event.Query().Where(event.ConnectionID(c.ID)).Order(event.BySequence()).All(tenant.System(k.t.Context(), uuid.Nil))
	if err != nil {
		k.t.Fatal(err)
	}
	var kinds []string
	for _, e := range all {
		kinds = append(kinds, e.Type)
	}
	return kinds
}

// operator is the context of the operator.
func (k *kit) operator() context.Context { return servicetest.Operator(k.t, uuid.Nil) }

// holds are all there are, the newest first.
func (k *kit) holds() []hold.Seen {
	k.t.Helper()
	all, err := k.Holds.List(k.operator(), false)
	if err != nil {
		k.t.Fatal(err)
	}
	return all
}

// alarm fails unless so many holds were raised, each with one line in the log and one entry in the operator's trail. It
// returns the newest.
func (k *kit) alarm(n int) hold.Seen {
	k.t.Helper()
	all := k.holds()
	lines := k.logs.count("ERROR", "a hold was raised")
	entries, err := k.DB.Ent.AuditEntry.Query().Where(auditentry.Action(audit.HoldRaise), auditentry.TenantID(tenant.Operator)).Count(tenant.System(k.t.Context(), uuid.Nil))
	if err != nil {
		k.t.Fatal(err)
	}
	if len(all) != n || lines != n || entries != n {
		k.t.Fatalf("got %d holds, %d alarms in the log, %d in the trail, want %d of each", len(all), lines, entries, n)
	}
	if n == 0 {
		return hold.Seen{}
	}
	return all[0]
}

// watch runs the watcher once.
func (k *kit) watch() int {
	k.t.Helper()
	n, err := hold.NewWatcher(k.Holds, 0).RunOnce(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}
