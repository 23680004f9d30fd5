package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/mixin"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/rule"
)

// tenantField is the column that says whose row it is.
func tenantField() []ent.Field {
	return []ent.Field{field.UUID("tenant_id", uuid.UUID{}).Immutable()}
}

// owned makes a table the tenants': every row belongs to one.
type owned struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (owned) Fields() []ent.Field { return tenantField() }

// Interceptors implements ent.Mixin.
func (owned) Interceptors() []ent.Interceptor { return rule.Owned.Interceptors() }

// Hooks implements ent.Mixin.
func (owned) Hooks() []ent.Hook { return rule.Owned.Hooks() }

// ownedOrOperators is owned where the operator, too, has rows, which no tenant sees.
type ownedOrOperators struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (ownedOrOperators) Fields() []ent.Field { return tenantField() }

// Interceptors implements ent.Mixin.
func (ownedOrOperators) Interceptors() []ent.Interceptor { return rule.OwnedOrOperators.Interceptors() }

// Hooks implements ent.Mixin.
func (ownedOrOperators) Hooks() []ent.Hook { return rule.OwnedOrOperators.Hooks() }

// ownedOrShared is owned where rows of tenant.Operator may be read, not changed, by every tenant.
type ownedOrShared struct{ mixin.Schema }

// Fields implements ent.Mixin.
func (ownedOrShared) Fields() []ent.Field { return tenantField() }

// Interceptors implements ent.Mixin.
func (ownedOrShared) Interceptors() []ent.Interceptor { return rule.OwnedOrShared.Interceptors() }

// Hooks implements ent.Mixin.
func (ownedOrShared) Hooks() []ent.Hook { return rule.OwnedOrShared.Hooks() }

// appendOnly refuses to change or delete rows.
type appendOnly struct{ mixin.Schema }

// Hooks implements ent.Mixin.
func (appendOnly) Hooks() []ent.Hook { return rule.AppendOnly() }

// systemOnly keeps a table for the service itself.
type systemOnly struct{ mixin.Schema }

// Interceptors implements ent.Mixin.
func (systemOnly) Interceptors() []ent.Interceptor { return rule.SystemOnlyInterceptors() }

// Hooks implements ent.Mixin.
func (systemOnly) Hooks() []ent.Hook { return rule.SystemOnlyHooks() }
