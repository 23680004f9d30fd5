// Package schema describes the tables. Times are UTC with microseconds; ids are UUIDv7, so that the order of ids is the
// order of creation. Nothing in a table is readable that would let somebody act for a user: tokens rest in the vault,
// and what the database holds of secrets is sealed under the tenant's key (columns marked Sensitive) or hashed.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/mixin"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

// now is the default of time columns: PostgreSQL keeps microseconds, so nobody gets more.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// identified gives a table its UUIDv7.
type identified struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (identified) Fields() []ent.Field {
	return []ent.Field{field.UUID("id", uuid.UUID{}).Default(id.New).Immutable()}
}

// timed adds creation and change times.
type timed struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (timed) Fields() []ent.Field {
	return []ent.Field{
		field.Time("created_at").Default(now).Immutable(),
		field.Time("updated_at").Default(now),
	}
}

// failing adds what went wrong, kept apart from the state: a connection may be connected and failing.
type failing struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (failing) Fields() []ent.Field {
	return []ent.Field{
		field.String("failure_class").Optional(),
		field.String("failure_reason").Optional(),
		field.String("failure_message").Optional(),
		field.String("failure_provider_code").Optional(),
		field.Int("failure_http_status").Optional(),
		field.Int("failure_attempts").Default(0),
		field.Time("failure_since").Optional().Nillable(),
		field.Time("failure_last_at").Optional().Nillable(),
		field.Time("failure_next_attempt_at").Optional().Nillable(),
	}
}
