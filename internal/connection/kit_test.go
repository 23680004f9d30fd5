package connection_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/auditentry"
	"github.com/tokenkeep/tokenkeep/ent/event"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const user = "ada"

// kit is a service with two tenants that have registered the same client.
type kit struct {
	*servicetest.Service
	t          *testing.T
	one, other *servicetest.Tenant
	// bare makes reads look at nothing of the row.
	bare bool
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
		test(t, &kit{Service: s, t: t, one: s.Tenant(t, "one"), other: s.Tenant(t, "other")})
	})
}

// local is a kit on SQLite, for what has nothing to do with the database.
func local(t *testing.T, o servicetest.Options) *kit {
	t.Helper()
	s := servicetest.New(t, servicetest.SQLite(t), o)
	return &kit{Service: s, t: t, one: s.Tenant(t, "one"), other: s.Tenant(t, "other")}
}

// keys is a provider that takes API keys and nothing else.
func keys() servicetest.Options {
	return servicetest.Options{Providers: []provider.Provider{{Key: "keys", Name: "Keys", APIBase: "https://api.keys.example", GrantTypes: []provider.GrantType{provider.APIKey}}}}
}

// connect connects the user for the first tenant and lets a minute pass.
func (k *kit) connect() *ent.Connection {
	k.t.Helper()
	c := k.Connect(k.t, k.one, user)
	k.Clock.Advance(time.Minute)
	return c
}

// create connects with what edit makes of the input.
func (k *kit) create(code string, edit func(*connection.CreateInput)) (*ent.Connection, bool, error) {
	in := k.one.CodeInput(code)
	if edit != nil {
		edit(&in)
	}
	return k.Connections.Create(k.one.Ctx, in)
}

// read asks for the credential of a connection.
func (k *kit) read(connectionID uuid.UUID) connection.Result {
	k.t.Helper()
	return k.readFor(k.one.Ctx, connectionID, nil)
}

func (k *kit) readFor(ctx context.Context, connectionID uuid.UUID, minTTL *int) connection.Result {
	k.t.Helper()
	r, err := k.Connections.Credential(ctx, connection.Selector{Connection: &connectionID, Bare: k.bare}, minTTL)
	if err != nil {
		k.t.Fatalf("reading: %v", err)
	}
	one := 0
	for _, set := range []bool{r.Credential != nil, r.Reauthorization != nil, r.Unavailable != nil, r.NotConnected != ""} {
		if set {
			one++
		}
	}
	if one != 1 {
		k.t.Fatalf("a result of %d kinds: %+v", one, r)
	}
	return r
}

// served fails unless the credential is handed out, works at the provider and is of the version.
func (k *kit) served(r connection.Result, version int64) *connection.Credential {
	k.t.Helper()
	c := r.Credential
	if c == nil || c.Version != version {
		k.t.Fatalf("got %+v (unavailable %+v, reauthorization %+v), want version %d", c, r.Unavailable, r.Reauthorization, version)
	}
	if _, err := k.ZoomAPI.Zoom.Me(k.t.Context(), k.ZoomURL, c.AccessToken); err != nil {
		k.t.Fatalf("the provider does not take version %d: %v", version, err)
	}
	return c
}

// unavailable fails unless there is no credential for now, for the reason.
func (k *kit) unavailable(r connection.Result, code string) *connection.Unavailable {
	k.t.Helper()
	if r.Unavailable == nil || r.Unavailable.Code != code || r.Unavailable.RetryAfter <= 0 || r.Unavailable.Message == "" {
		k.t.Fatalf("got %+v, unavailable %+v, want %s", r, r.Unavailable, code)
	}
	return r.Unavailable
}

// fails compares an error's kind and field.
func fails(t *testing.T, err error, kind errs.Kind, field string) {
	t.Helper()
	var told *errs.Error
	if !errors.As(err, &told) || told.Kind != kind || told.Field != field || told.Message == "" {
		t.Errorf("got %v, want %s on %q", err, kind, field)
	}
}

// events returns the types of a connection's events; their numbers have no gaps.
func (k *kit) events(connectionID uuid.UUID) []string {
	k.t.Helper()
	types := []string{}
	for i, e := range k.eventRows(connectionID) {
		if e.Sequence != int64(i+1) {
			k.t.Errorf("event %d has the number %d", i+1, e.Sequence)
		}
		types = append(types, e.Type)
	}
	return types
}

func (k *kit) eventRows(connectionID uuid.UUID) []*ent.Event {
	k.t.Helper()
	all, err := k.DB.Ent.Event.Query().Where(event.ConnectionID(connectionID)).Order(event.BySequence()).All(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	return all
}

// wantEvents compares a connection's events.
func (k *kit) wantEvents(connectionID uuid.UUID, want ...string) {
	k.t.Helper()
	for i, w := range want {
		want[i] = "CONNECTION_" + w
	}
	if got := k.events(connectionID); !slices.Equal(got, want) {
		k.t.Errorf("got events %v, want %v", got, want)
	}
}

// trail returns "action version" of the audit entries about a connection.
func (k *kit) trail(connectionID uuid.UUID) []string {
	k.t.Helper()
	all, err := k.DB.Ent.AuditEntry.Query().Where(auditentry.Object(id.Connection.Format(connectionID))).Order(auditentry.ByID()).All(k.all())
	if err != nil {
		k.t.Fatal(err)
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

// all is a context that sees every tenant.
func (k *kit) all() context.Context { return tenant.System(k.t.Context(), uuid.Nil) }

// sweep does one round of the sweeper.
func (k *kit) sweep() {
	k.t.Helper()
	if _, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(k.t.Context()); err != nil {
		k.t.Fatalf("sweeping: %v", err)
	}
}

// fault adds a fault to the provider.
func (k *kit) fault(f zoomsim.Fault) {
	k.t.Helper()
	if _, err := k.Zoom.AddFault(f); err != nil {
		k.t.Fatal(err)
	}
}

// totals fails unless the provider exchanged and rotated that often and never saw a code twice.
func (k *kit) totals(exchanges, rotations int) {
	k.t.Helper()
	l := k.Zoom.Ledger().Totals
	if l.Exchanges != exchanges || l.Rotations != rotations || l.Duplicates != 0 || l.MaxConcurrentRefreshes > 1 {
		k.t.Errorf("got %+v, want %d exchanges and %d rotations", l, exchanges, rotations)
	}
}

func ptr[T any](v T) *T { return &v }
