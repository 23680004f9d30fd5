package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Hold is one incident: connections that would have ended were kept, and an operator decides; see internal/hold.
type Hold struct{ ent.Schema }

// Mixin implements ent.Interface.
func (Hold) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, systemOnly{}} }

// Fields implements ent.Interface.
func (Hold) Fields() []ent.Field {
	return []ent.Field{
		field.String("subject").Immutable().Comment("What is held: \"fleet\", or the UUID of an app."),
		field.Enum("state").Values("STANDING", "CONFIRMED", "DISMISSED", "ENDED").Default("STANDING"),
		field.String("reason").Immutable().Comment("The failure reason of the connection that raised it."),
		field.Int64("stopped").Default(0).Comment("How many connections it has kept from ending, each counted once."),
		field.Time("raised_at").Immutable(),
		field.Time("last_held_at").Comment("When it last kept a connection from ending."),
		field.Time("decided_at").Optional().Nillable().Comment("When it was confirmed, dismissed, or ended by itself."),
		field.String("decided_by").Optional().Comment("Who did, as the audit trail names them."),
		field.Time("lets_until").Optional().Nillable().Comment("Until when a confirmed hold lets endings through that it did not keep itself."),
	}
}

// Indexes implements ent.Interface. Of one subject one hold stands: replicas that meet the incident together raise it once.
func (Hold) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("subject").Unique().Annotations(entsql.IndexWhere("state = 'STANDING'")),
		index.Fields("subject", "id"),
	}
}

// DeathCount counts how many connections ended lately, by what a hold may be raised for. The id is a hold's subject.
// Whoever is about to end a connection locks the row, so that replicas count as one.
type DeathCount struct{ ent.Schema }

// Mixin implements ent.Interface.
func (DeathCount) Mixin() []ent.Mixin { return []ent.Mixin{systemOnly{}} }

// Fields implements ent.Interface.
func (DeathCount) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable(),
		field.Int64("started_ms").Default(0).Comment("When the present window began, in milliseconds since 1970."),
		field.Int64("deaths").Default(0).Comment("In the present window."),
		field.Int64("earlier").Default(0).Comment("In the window before it."),
		field.Int64("connected").Default(0).Comment("How many were connected when the present window began, up to a bound."),
	}
}
