package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

type schemaAnnotation = schema.Annotation

// GrantLock is the lock of one grant at a provider, across tenants and replicas. Its times are the database's clock in
// milliseconds since 1970. The row stays after release while unknown_generation is set.
type GrantLock struct{ ent.Schema }

// Mixin implements ent.Interface.
func (GrantLock) Mixin() []ent.Mixin { return []ent.Mixin{systemOnly{}} }

// Fields implements ent.Interface.
func (GrantLock) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("grant_key").Immutable(),
		field.UUID("owner", uuid.UUID{}).Optional().Nillable().Comment("The attempt that holds the lock; null when free."),
		field.Int64("until_ms").Default(0),
		field.Int64("spending_generation").Optional().Nillable().Comment("Set right before the call that spends this generation, cleared by its settlement."),
		field.Int64("unknown_generation").Optional().Nillable().Comment("A spend of this generation whose answer never came."),
	}
}

// Escrow is a sealed record that could not be written into the vault yet. The id is the connection's.
type Escrow struct{ ent.Schema }

// Annotations implements ent.Interface.
func (Escrow) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "escrows"}}
}

// Mixin implements ent.Interface.
func (Escrow) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}} }

// Fields implements ent.Interface.
func (Escrow) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("generation"),
		field.UUID("attempt_id", uuid.UUID{}),
		field.Bytes("record").Sensitive(),
		field.Int("key_version"),
		field.Time("created_at").Default(now).Immutable(),
	}
}

// Indexes implements ent.Interface.
func (Escrow) Indexes() []ent.Index { return []ent.Index{index.Fields("tenant_id", "id")} }

// GrantAttempt is a first authorization on its way: written before a code is sent, and holding the sealed answer until
// the connection stands. It also answers the same caller who repeats the same code.
type GrantAttempt struct{ ent.Schema }

// Mixin implements ent.Interface.
func (GrantAttempt) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}, timed{}} }

// Fields implements ent.Interface.
func (GrantAttempt) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("app_id", uuid.UUID{}).Immutable(),
		field.String("provider").Immutable(),
		field.String("client_id").Immutable(),
		field.String("actor").Immutable(),
		field.Bytes("code_hash").Immutable().Sensitive(),
		field.UUID("connection_id", uuid.UUID{}).Comment("The id a new connection will have, later the one it got."),
		field.Enum("state").Values("SENT", "PARKED", "DONE", "REFUSED", "LOST").Default("SENT"),
		field.JSON("input", json.RawMessage{}).Immutable().Comment("What the caller asked for, so that a sweeper can finish."),
		field.Bytes("answer").Optional().Sensitive(),
		field.Int("answer_key_version").Optional(),
		field.Time("renewal_sent_at").Optional().Nillable().Comment("When a refresh of the parked answer was sent that nobody knows the outcome of."),
		field.Bool("created").Default(false),
		field.String("error_kind").Optional(),
		field.String("error_message").Optional(),
		field.String("error_field").Optional(),
	}
}

// Indexes implements ent.Interface.
func (GrantAttempt) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code_hash").Unique(),
		index.Fields("client_id", "state"),
		index.Fields("state", "updated_at"),
		index.Fields("tenant_id", "id"),
	}
}

// RevocationJob is a grant that is to be ended at the provider. It owns a sealed copy of what that takes, destroyed
// when done or after a day.
type RevocationJob struct{ ent.Schema }

// Mixin implements ent.Interface.
func (RevocationJob) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}} }

// Fields implements ent.Interface.
func (RevocationJob) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("connection_id", uuid.UUID{}).Immutable(),
		field.String("provider").Immutable(),
		field.String("client_id").Immutable(),
		field.String("grant_key").Immutable(),
		field.Time("consented_at").Immutable().Comment("Of the consent to be revoked; a newer one is left alone."),
		field.Bytes("sealed").Optional().Sensitive(),
		field.Int("key_version"),
		field.Enum("state").Values("PENDING", "DONE", "SKIPPED", "EXPIRED").Default("PENDING"),
		field.Int("attempts").Default(0),
		field.Time("next_attempt_at").Default(now),
		field.Time("expires_at"),
		field.Time("created_at").Default(now).Immutable(),
		field.Time("finished_at").Optional().Nillable(),
		field.String("outcome").Optional().Comment("In a word, for operators: revoked, already ended, newer grant, gave up."),
	}
}

// Indexes implements ent.Interface.
func (RevocationJob) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("next_attempt_at").Annotations(entsql.IndexWhere("state = 'PENDING'")),
		index.Fields("tenant_id", "id"),
	}
}
