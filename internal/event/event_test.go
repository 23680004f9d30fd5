package event_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/event"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

func TestAppend(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		one, connection := id.New(), id.New()
		caller := tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: one})
		service := tenant.System(t.Context(), uuid.Nil)
		first := event.Entry{Connection: connection, Sequence: 1, Type: event.Created, State: "CONNECTED", Metadata: map[string]string{"user": "42"}}
		second := event.Entry{
			Connection: connection, Sequence: 2, Type: event.Disconnected, Previous: "CONNECTED", State: "DISCONNECTED",
			Failure: map[string]any{"reason": "REVOKED"}, Tenant: one,
		}
		if err := event.Append(caller, db.Ent, first); err != nil {
			t.Fatal(err)
		}
		if err := event.Append(service, db.Ent, second); err != nil {
			t.Fatal(err)
		}
		all, err := db.Ent.Event.Query().All(caller)
		if err != nil || len(all) != 2 {
			t.Fatalf("got %d events, %v", len(all), err)
		}
		if e := all[0]; e.TenantID != one || e.ConnectionID != connection || e.Type != "CONNECTION_CREATED" || e.PreviousState != "" ||
			e.State != "CONNECTED" || !maps.Equal(e.Metadata, first.Metadata) || e.Failure != nil || e.DeliveredAt != nil || e.At.IsZero() {
			t.Errorf("first: %+v", e)
		}
		if e := all[1]; e.TenantID != one || e.Sequence != 2 || e.PreviousState != "CONNECTED" || e.Failure["reason"] != "REVOKED" || e.Metadata != nil {
			t.Errorf("second: %+v", e)
		}
		if err := event.Append(caller, db.Ent, first); !ent.IsConstraintError(err) {
			t.Errorf("the same number twice: got %v, want a constraint error", err)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		caller := tenant.NewContext(t.Context(), &tenant.Viewer{Tenant: id.New()})
		good := event.Entry{Connection: id.New(), Sequence: 1, Type: event.Updated}
		for _, test := range []struct {
			name   string
			ctx    context.Context
			change func(*event.Entry)
			ours   bool
		}{
			{"no connection", caller, func(e *event.Entry) { e.Connection = uuid.Nil }, true},
			{"no number", caller, func(e *event.Entry) { e.Sequence = 0 }, true},
			{"no type", caller, func(e *event.Entry) { e.Type = "" }, true},
			{"unknown type", caller, func(e *event.Entry) { e.Type = "CONNECTION_EXPLODED" }, true},
			{"nobody", t.Context(), func(*event.Entry) {}, true},
			{"the service for nobody", tenant.System(t.Context(), uuid.Nil), func(*event.Entry) {}, true},
			{"another tenant's", caller, func(e *event.Entry) { e.Tenant = id.New() }, false},
		} {
			t.Run(test.name, func(t *testing.T) {
				e := good
				test.change(&e)
				if err := event.Append(test.ctx, db.Ent, e); err == nil || errors.Is(err, event.ErrInvalid) != test.ours {
					t.Errorf("got %v", err)
				}
			})
		}
		if n, err := db.Ent.Event.Query().Count(tenant.System(t.Context(), uuid.Nil)); n != 0 || err != nil {
			t.Errorf("%d events were written, %v", n, err)
		}
	})
}
