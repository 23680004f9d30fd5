package audit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// as returns a context in which v calls through a request.
func as(t *testing.T, v *tenant.Viewer) context.Context {
	ctx := tenant.WithRequest(t.Context(), tenant.Request{ID: "req-1", RemoteAddress: "192.0.2.7"})
	if v == nil {
		return ctx
	}
	return tenant.NewContext(ctx, v)
}

// trail returns all entries of a tenant.
func trail(t *testing.T, db *database.DB, whose uuid.UUID) []*ent.AuditEntry {
	t.Helper()
	all, err := db.Ent.AuditEntry.Query().All(tenant.System(t.Context(), whose))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRequire(t *testing.T) {
	one, key := id.New(), id.New()
	holder := func(scopes ...tenant.Scope) *tenant.Viewer {
		return &tenant.Viewer{Tenant: one, KeyID: key, Scopes: scopes}
	}
	operator, inside := &tenant.Viewer{IsOperator: true}, &tenant.Viewer{IsOperator: true, Tenant: one}
	const (
		nobody  = "UNAUTHENTICATED: nobody is signed in: send an API key in the header Authorization"
		lacks   = "FORBIDDEN: this API key lacks the scope CREDENTIALS_READ"
		never   = "FORBIDDEN: an operator never holds the scope CREDENTIALS_READ: use an API key of the tenant"
		where   = "FORBIDDEN: an operator does this inside a tenant: name one in the header Tokenkeep-Tenant"
		only    = "FORBIDDEN: only an operator may do this"
		nowhere = "FORBIDDEN: an operator does this outside of any tenant: leave out the header Tokenkeep-Tenant"
	)
	for _, test := range []struct {
		name   string
		viewer *tenant.Viewer
		// want and wantOperator are what Require of CREDENTIALS_READ and RequireOperator say.
		want, wantOperator string
		// trail is where the refusal is filed.
		trail uuid.UUID
		actor string
	}{
		{"nobody", nil, nobody, nobody, uuid.Nil, ""},
		{"zero", &tenant.Viewer{}, nobody, nobody, uuid.Nil, ""},
		{"with the scope", holder(tenant.CredentialsRead), "", only, one, "key:" + key.String()},
		{"admin", holder(tenant.TenantAdmin), "", only, one, "key:" + key.String()},
		{"other scopes", holder(tenant.ConnectionsRead, tenant.AppsWrite), lacks, only, one, "key:" + key.String()},
		{"operator", operator, where, "", tenant.Operator, "operator"},
		{"operator inside", inside, never, nowhere, one, "operator"},
	} {
		t.Run(test.name, func(t *testing.T) {
			servicetest.EachDatabase(t, func(t *testing.T, url string) {
				db := servicetest.OpenDatabase(t, url)
				ctx := as(t, test.viewer)

				v, err := audit.Require(ctx, db.Ent, tenant.CredentialsRead, audit.CredentialRead, "conn_1")
				expect(t, test.viewer, v, err, test.want)
				v, err = audit.RequireOperator(ctx, db.Ent, audit.TenantCreate, "")
				expect(t, test.viewer, v, err, test.wantOperator)
				checkRefusals(t, db, test.trail, test.actor, test.want, test.wantOperator)

				before := len(trail(t, db, uuid.Nil))
				v, err = audit.RequireRead(ctx, tenant.CredentialsRead)
				expect(t, test.viewer, v, err, test.want)
				if got := len(trail(t, db, uuid.Nil)); got != before {
					t.Errorf("RequireRead wrote %d entries", got-before)
				}
			})
		})
	}
}

func expect(t *testing.T, called, got *tenant.Viewer, err error, want string) {
	t.Helper()
	switch {
	case want == "" && (err != nil || got != called):
		t.Errorf("got %v, %v, want the viewer", got, err)
	case want != "" && (err == nil || got != nil || err.Error() != want):
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// checkRefusals expects one entry for each FORBIDDEN and none for anything else.
func checkRefusals(t *testing.T, db *database.DB, whose uuid.UUID, actor string, answers ...string) {
	t.Helper()
	want := map[string]string{}
	for i, action := range []string{audit.CredentialRead, audit.TenantCreate} {
		if len(answers[i]) > 9 && answers[i][:9] == "FORBIDDEN" {
			want[action] = []string{"conn_1", ""}[i]
		}
	}
	all := trail(t, db, uuid.Nil)
	if len(all) != len(want) {
		t.Errorf("got %d entries, want %d", len(all), len(want))
	}
	for _, e := range all {
		object, ok := want[e.Action]
		if !ok || e.Object != object || e.Allowed || e.TenantID != whose || e.Actor != actor ||
			e.RequestID != "req-1" || e.RemoteAddress != "192.0.2.7" {
			t.Errorf("unexpected entry %+v", e)
		}
	}
}

func TestRecord(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		one, other, key := id.New(), id.New(), id.New()
		caller := as(t, &tenant.Viewer{Tenant: one, KeyID: key})
		for _, test := range []struct {
			name  string
			ctx   context.Context
			entry audit.Entry
			want  error
			trail uuid.UUID
			actor string
		}{
			{"caller", caller, audit.Entry{Action: audit.CredentialRead, Object: "conn_1", Allowed: true, CredentialVersion: 7}, nil, one, "key:" + key.String()},
			{"operator", as(t, &tenant.Viewer{IsOperator: true}), audit.Entry{Action: audit.TenantCreate, Allowed: true}, nil, tenant.Operator, "operator"},
			{"the service for a tenant", tenant.System(t.Context(), other), audit.Entry{Action: audit.ConnectionRefresh, Allowed: true}, nil, other, "system"},
			{"the service for a named tenant", tenant.System(t.Context(), uuid.Nil), audit.Entry{Action: audit.ConnectionUpdate, Allowed: true, Tenant: other}, nil, other, "system"},
			{"the service for nobody", tenant.System(t.Context(), uuid.Nil), audit.Entry{Action: audit.ConnectionDelete}, audit.ErrNoTrail, uuid.Nil, ""},
			{"nobody", t.Context(), audit.Entry{Action: audit.ConnectionDelete, Tenant: one}, audit.ErrNoTrail, uuid.Nil, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				if err := audit.Record(test.ctx, db.Ent, test.entry); !errors.Is(err, test.want) {
					t.Fatalf("got %v, want %v", err, test.want)
				}
				if test.want != nil {
					return
				}
				all := trail(t, db, test.trail)
				e := all[len(all)-1]
				got := audit.Entry{Action: e.Action, Object: e.Object, Allowed: e.Allowed, CredentialVersion: e.CredentialVersion, Tenant: test.entry.Tenant}
				if got != test.entry || e.Actor != test.actor || e.At.IsZero() {
					t.Errorf("got %+v", e)
				}
			})
		}
		if err := audit.Record(caller, db.Ent, audit.Entry{Action: audit.AppCreate, Tenant: other}); err == nil {
			t.Error("a caller wrote into another tenant's trail")
		}
	})
}

func TestRecordEndsWithItsTransaction(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		one := id.New()
		ctx := as(t, &tenant.Viewer{Tenant: one})
		no := errors.New("no")
		err := db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			if err := audit.Record(ctx, tx.Client(), audit.Entry{Action: audit.AppCreate, Allowed: true}); err != nil {
				return err
			}
			return no
		})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		if got := len(trail(t, db, one)); got != 0 {
			t.Errorf("%d entries of a change that was rolled back", got)
		}
	})
}

func TestARefusalThatCannotBeWrittenIsARefusal(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		full := errors.New("disk full")
		db.Ent.AuditEntry.Use(func(ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(context.Context, ent.Mutation) (ent.Value, error) { return nil, full })
		})
		_, err := audit.Require(as(t, &tenant.Viewer{Tenant: id.New()}), db.Ent, tenant.AppsWrite, audit.AppCreate, "")
		if !errs.Is(err, errs.Forbidden) || !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	})
}
