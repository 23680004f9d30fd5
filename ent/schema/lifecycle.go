package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// KeyRotation is the progress of re-wrapping what is sealed under a tenant's key; see internal/rewrap. The id is the
// tenant's, or tenant.Operator. Times in milliseconds are the database's clock since 1970.
type KeyRotation struct{ ent.Schema }

// Mixin implements ent.Interface.
func (KeyRotation) Mixin() []ent.Mixin { return []ent.Mixin{systemOnly{}} }

// Fields implements ent.Interface.
func (KeyRotation) Fields() []ent.Field {
	return append([]ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Int64("epoch").Default(1).Comment("Counts the requests; a later one begins anew."),
		field.Int("target").Default(0).Comment("The key version that this pass wraps under; 0 before the first pass."),
		field.Enum("phase").Values("PASS", "DONE").Default("PASS"),
		field.Int("passes").Default(0).Comment("Passes that were made to the end since the request."),
		field.Int("source").Default(0).Comment("Which kind of sealed things the pass is at."),
		field.UUID("position", uuid.UUID{}).Optional().Nillable().Comment("The last id of that kind that is done."),
		field.Int64("checked").Default(0).Comment("Looked at in this pass."),
		field.Int64("stale").Default(0).Comment("Found under an older version in this pass."),
		field.Int64("unreadable").Default(0).Comment("Of these, those that do not open; they keep the minimum where it is."),
		field.Int64("rewrapped").Default(0).Comment("Re-wrapped since the request."),
		field.UUID("cutoff", uuid.UUID{}).Optional().Nillable().Comment("Attempts with a lower id may hold a data key from before the pass."),
	}, leased()...)
}

// TenantDeletion is a tenant that is being deleted, and later the memory that it was; see internal/deletion. The id is
// the tenant's.
type TenantDeletion struct{ ent.Schema }

// Mixin implements ent.Interface.
func (TenantDeletion) Mixin() []ent.Mixin { return []ent.Mixin{systemOnly{}} }

// Fields implements ent.Interface.
func (TenantDeletion) Fields() []ent.Field {
	return append([]ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Bool("immediately").Default(false).Comment("Nothing is revoked at the providers."),
		field.Enum("phase").Values("BURY", "REVOKE", "DESTROY", "RECORDS", "ROWS", "DONE").Default("BURY"),
		field.Int("passes").Default(0).Comment("How often records and rows were deleted to the end."),
		field.UUID("position", uuid.UUID{}).Optional().Nillable().Comment("The last record that was erased."),
		field.Int64("revoke_until_ms").Default(0).Comment("When the key is destroyed whatever is left to revoke."),
		field.Int64("unrevoked").Default(0).Comment("Grants that live on at their providers."),
	}, leased()...)
}

// leased are the fields of work that one process at a time does.
func leased() []ent.Field {
	return []ent.Field{
		field.Time("requested_at"),
		field.Time("finished_at").Optional().Nillable(),
		field.Int64("not_before_ms").Default(0).Comment("When the next step may begin."),
		field.UUID("owner", uuid.UUID{}).Optional().Nillable().Comment("Who is at it; null when free."),
		field.Int64("until_ms").Default(0).Comment("When the owner's lease ends."),
	}
}
