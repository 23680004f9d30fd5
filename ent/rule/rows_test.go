package rule_test

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// home is where the rows of one owner hang: the tenant, and what foreign keys of its rows point to.
type home struct {
	tenant, app, connection uuid.UUID
}

// kind is a type of the schema as the tests see it.
type kind struct {
	// belongs is one of "tenants", "operator too", "shared", "tenant", "system".
	belongs string
	// build makes a builder for a new row that lacks nothing but its tenant.
	build func(*ent.Client, home) any
	// frozen rows are never changed.
	frozen bool
}

// kinds lists every type of the schema; TestEveryTypeIsListed compares it with the generated client.
var kinds = map[string]kind{
	"Tenant": {belongs: "tenant", build: func(c *ent.Client, h home) any { return c.Tenant.Create().SetName("t").SetID(h.tenant) }},
	"APIKey": {belongs: "tenants", build: func(c *ent.Client, _ home) any {
		return c.APIKey.Create().SetName("k").SetPrefix("tk_").SetHash(unique()).SetScopes([]string{})
	}},
	"OAuthApp": {belongs: "shared", build: func(c *ent.Client, _ home) any { return newApp(c) }},
	"AuditEntry": {belongs: "operator too", frozen: true, build: func(c *ent.Client, _ home) any {
		return c.AuditEntry.Create().SetActor("system").SetAction("test").SetAllowed(true)
	}},
	"Event": {belongs: "tenants", build: func(c *ent.Client, _ home) any {
		return c.Event.Create().SetConnectionID(id.New()).SetSequence(1).SetType("test")
	}},
	"Connection": {belongs: "tenants", build: func(c *ent.Client, h home) any { return newConnection(c, h.app) }},
	"ConnectionMetadata": {belongs: "tenants", build: func(c *ent.Client, h home) any {
		return c.ConnectionMetadata.Create().SetConnectionID(h.connection).SetKeyDigest(unique()).SetPairDigest(unique())
	}},
	"Tombstone": {belongs: "tenants", build: func(c *ent.Client, _ home) any { return c.Tombstone.Create().SetGeneration(1) }},
	"GrantLock": {belongs: "system", build: func(c *ent.Client, _ home) any { return c.GrantLock.Create().SetID(uuid.NewString()) }},
	"KeyRotation": {belongs: "system", build: func(c *ent.Client, _ home) any {
		return c.KeyRotation.Create().SetID(uuid.New()).SetRequestedAt(time.Now())
	}},
	"Hold": {belongs: "system", build: func(c *ent.Client, _ home) any {
		return c.Hold.Create().SetSubject(uuid.NewString()).SetReason("r").SetRaisedAt(time.Now()).SetLastHeldAt(time.Now())
	}},
	"DeathCount": {belongs: "system", build: func(c *ent.Client, _ home) any { return c.DeathCount.Create().SetID(uuid.NewString()) }},
	"TenantDeletion": {belongs: "system", build: func(c *ent.Client, _ home) any {
		return c.TenantDeletion.Create().SetID(uuid.New()).SetRequestedAt(time.Now())
	}},
	"Escrow": {belongs: "tenants", build: func(c *ent.Client, _ home) any {
		return c.Escrow.Create().SetGeneration(1).SetAttemptID(id.New()).SetRecord([]byte("r")).SetKeyVersion(1)
	}},
	"GrantAttempt": {belongs: "tenants", build: func(c *ent.Client, h home) any {
		return c.GrantAttempt.Create().SetAppID(h.app).SetProvider("zoom").SetClientID("c").SetActor("a").
			SetCodeHash(unique()).SetConnectionID(id.New()).SetInput(json.RawMessage(`{}`))
	}},
	"RevocationJob": {belongs: "tenants", build: func(c *ent.Client, h home) any {
		return c.RevocationJob.Create().SetConnectionID(h.connection).SetProvider("zoom").SetClientID("c").SetGrantKey("g").
			SetConsentedAt(time.Now()).SetKeyVersion(1).SetExpiresAt(time.Now())
	}},
}

// unique returns bytes that no unique index has seen.
func unique() []byte { u := uuid.New(); return u[:] }

func newApp(c *ent.Client) *ent.OAuthAppCreate {
	return c.OAuthApp.Create().SetProvider("zoom").SetName("n").SetClientID(uuid.NewString()).
		SetRedirectUris([]string{}).SetReturnTo([]string{}).SetScopes([]string{})
}

func newConnection(c *ent.Client, app uuid.UUID) *ent.ConnectionCreate {
	return c.Connection.Create().SetAppID(app).SetProvider("zoom").SetClientID("c").SetGrantKey("g").
		SetGrantType(connection.GrantTypeAUTHORIZATION_CODE).SetState(connection.StateCONNECTED).
		SetScopes([]string{}).SetConsentedAt(time.Now())
}

// row is one row that exists, and whose it is.
type row struct {
	id    any
	owner string
}

// world has rows of tenant A, of tenant B and, where the type allows it, of the operator, in every table.
type world struct {
	client *ent.Client
	homes  map[string]home
	// rows are by type; owners by id, of helper rows too.
	rows   map[string][]row
	owners map[any]string
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	c := servicetest.OpenDatabase(t, url).Ent
	w := &world{client: c, homes: map[string]home{}, rows: map[string][]row{}, owners: map[any]string{}}
	ctx := tenant.System(t.Context(), uuid.Nil)
	for owner, tenantID := range map[string]uuid.UUID{"A": id.New(), "B": id.New(), "operator": tenant.Operator} {
		app := newApp(c).SetTenantID(tenantID).SaveX(ctx)
		h := home{tenant: tenantID, app: app.ID, connection: newConnection(c, app.ID).SetTenantID(tenantID).SaveX(ctx).ID}
		w.homes[owner], w.owners[app.ID], w.owners[h.connection] = h, owner, owner
		for name, k := range kinds {
			w.add(t, ctx, owner, name, k)
		}
	}
	// No rule lets the operator own a connection: the helper row goes again.
	c.Connection.Delete().Where(connection.TenantID(tenant.Operator)).ExecX(ctx)
	return w
}

// add makes the owner's row of a type, if owners of this sort can have one.
func (w *world) add(t *testing.T, ctx context.Context, owner, name string, k kind) {
	t.Helper()
	if owner == "operator" && k.belongs != "shared" && k.belongs != "operator too" {
		return
	}
	made, err := save(ctx, filedUnder(k.build(w.client, w.homes[owner]), w.homes[owner].tenant))
	if err != nil {
		t.Fatalf("creating %s of %s: %v", name, owner, err)
	}
	key := reflect.Indirect(reflect.ValueOf(made)).FieldByName("ID").Interface()
	w.rows[name] = append(w.rows[name], row{key, owner})
	w.owners[key] = owner
}

// filedUnder names the tenant of a new row, where the type has one and it is not uuid.Nil.
func filedUnder(builder any, tenantID uuid.UUID) any {
	if set := reflect.ValueOf(builder).MethodByName("SetTenantID"); set.IsValid() && tenantID != uuid.Nil {
		set.Call([]reflect.Value{reflect.ValueOf(tenantID)})
	}
	return builder
}

// save runs a builder's Save.
func save(ctx context.Context, builder any) (any, error) { return call2(builder, "Save", ctx) }

// call calls a method; the generated types have no interface in common.
func call(on any, method string, args ...any) []reflect.Value {
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		in[i] = reflect.ValueOf(a)
	}
	return reflect.ValueOf(on).MethodByName(method).Call(in)
}

// call1 calls a method that returns one value.
func call1(on any, method string, args ...any) any { return call(on, method, args...)[0].Interface() }

// call2 calls a method that returns a value and an error.
func call2(on any, method string, args ...any) (any, error) {
	out := call(on, method, args...)
	err, _ := out[1].Interface().(error)
	return out[0].Interface(), err
}

// callErr calls a method that returns an error.
func callErr(on any, method string, args ...any) error {
	err, _ := call(on, method, args...)[0].Interface().(error)
	return err
}

// of returns the client of a type.
func of(c *ent.Client, name string) any {
	return reflect.ValueOf(c).Elem().FieldByName(name).Interface()
}

// touch is a change of nothing that still has to find its row.
func touch(name string) func(*sql.UpdateBuilder) {
	column := "id"
	if name == "GrantLock" {
		column = "grant_key"
	}
	return func(u *sql.UpdateBuilder) { u.Set(column, sql.Raw(column)) }
}
