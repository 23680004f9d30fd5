package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/mixin"
	"github.com/google/uuid"
)

// tenantField is the column that says whose row it is.
func tenantField() []ent.Field {
	return []ent.Field{field.UUID("tenant_id", uuid.UUID{}).Immutable()}
}

// owned makes a table the tenants': every row belongs to one.
type owned struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (owned) Fields() []ent.Field { return tenantField() }

// ownedOrShared is owned where rows of tenant.Operator may be read, not changed, by every tenant.
type ownedOrShared struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (ownedOrShared) Fields() []ent.Field { return tenantField() }

// appendOnly refuses to change or delete rows.
type appendOnly struct{ mixin.Schema }

// systemOnly keeps a table for the service itself.
type systemOnly struct{ mixin.Schema }
