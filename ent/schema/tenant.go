package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/rule"
)

// Tenant is a company that keeps connections here.
type Tenant struct{ ent.Schema }

// Mixin implements ent.Interface.
func (Tenant) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, timed{}} }

// Interceptors implements ent.Interface.
func (Tenant) Interceptors() []ent.Interceptor { return rule.TenantInterceptors() }

// Hooks implements ent.Interface.
func (Tenant) Hooks() []ent.Hook { return rule.TenantHooks() }

// Fields implements ent.Interface.
func (Tenant) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").NotEmpty(),
		field.JSON("metadata", map[string]string{}).Optional(),
		field.Int("key_version").Default(1).Comment("Latest version of the tenant's key in the vault."),
		field.Enum("state").Values("ACTIVE", "SUSPENDED").Default("ACTIVE"),
	}
}

// APIKey is a key of a tenant; only its peppered HMAC is kept.
type APIKey struct{ ent.Schema }

// Mixin implements ent.Interface.
func (APIKey) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}} }

// Fields implements ent.Interface.
func (APIKey) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").NotEmpty(),
		field.String("prefix").Immutable().Comment("First characters of the key, to recognize it by."),
		field.Bytes("hash").Immutable().Sensitive().Comment("HMAC-SHA256 under the vault's pepper."),
		field.Bytes("seal").Optional().Sensitive().Comment("HMAC-SHA256 over the row's rights, under the same pepper; none on a revoked key."),
		field.JSON("scopes", []string{}),
		field.Time("created_at").Default(now).Immutable(),
		field.Time("expires_at").Optional().Nillable(),
		field.Time("last_used_at").Optional().Nillable().Comment("Sampled, not written per request."),
		field.Time("revoked_at").Optional().Nillable(),
	}
}

// Indexes implements ent.Interface.
func (APIKey) Indexes() []ent.Index {
	return []ent.Index{index.Fields("hash").Unique(), index.Fields("tenant_id", "id")}
}

// OAuthApp is a client registered with a provider. Apps of tenant.Operator are shared by all tenants.
type OAuthApp struct{ ent.Schema }

// Mixin implements ent.Interface.
func (OAuthApp) Mixin() []ent.Mixin {
	return []ent.Mixin{identified{}, ownedOrShared{}, timed{}, failing{}}
}

// Fields implements ent.Interface.
func (OAuthApp) Fields() []ent.Field {
	return []ent.Field{
		field.String("provider").Immutable(),
		field.String("name"),
		field.String("client_id").Immutable(),
		field.JSON("redirect_uris", []string{}),
		field.JSON("return_to", []string{}),
		field.JSON("scopes", []string{}),
		field.Bytes("client_secret").Optional().Sensitive(),
		field.Int("client_secret_key_version").Optional(),
		field.Bytes("webhook_secret").Optional().Sensitive(),
		field.Int("webhook_secret_key_version").Optional(),
		field.Enum("state").Values("ACTIVE", "MISCONFIGURED").Default("ACTIVE"),
		field.Time("last_verified_webhook_at").Optional().Nillable(),
		field.Time("last_unverified_webhook_at").Optional().Nillable(),
		field.Time("paused_until").Optional().Nillable().Comment("The provider asked for no more requests of this client until then."),
	}
}

// Indexes implements ent.Interface.
func (OAuthApp) Indexes() []ent.Index {
	return []ent.Index{index.Fields("tenant_id", "id"), index.Fields("tenant_id", "provider", "client_id").Unique()}
}

// AuditEntry is one line of the append-only record of who did what.
type AuditEntry struct{ ent.Schema }

// Mixin implements ent.Interface.
func (AuditEntry) Mixin() []ent.Mixin {
	return []ent.Mixin{identified{}, ownedOrOperators{}, appendOnly{}}
}

// Fields implements ent.Interface.
func (AuditEntry) Fields() []ent.Field {
	return []ent.Field{
		field.Time("at").Default(now).Immutable(),
		field.String("actor").Immutable(),
		field.String("action").Immutable(),
		field.String("object").Optional().Immutable(),
		field.Bool("allowed").Immutable(),
		field.String("request_id").Optional().Immutable(),
		field.String("remote_address").Optional().Immutable(),
		field.Int64("credential_version").Optional().Immutable(),
		field.String("detail").Optional().Immutable().Comment("A sentence for people, where the action alone says too little."),
	}
}

// Indexes implements ent.Interface.
func (AuditEntry) Indexes() []ent.Index { return []ent.Index{index.Fields("tenant_id", "id")} }

// Event is one entry of the outbox: written in the transaction of the change it tells of.
type Event struct{ ent.Schema }

// Mixin implements ent.Interface.
func (Event) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}} }

// Fields implements ent.Interface.
func (Event) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("connection_id", uuid.UUID{}).Immutable(),
		field.Int64("sequence").Immutable().Comment("Counts the events of the connection from 1, without gaps."),
		field.String("type").Immutable(),
		field.Time("at").Default(now).Immutable(),
		field.String("previous_state").Optional().Immutable(),
		field.String("state").Optional().Immutable(),
		field.JSON("failure", map[string]any{}).Optional().Immutable(),
		field.JSON("metadata", map[string]string{}).Optional().Immutable(),
		field.Time("delivered_at").Optional().Nillable(),
	}
}

// Indexes implements ent.Interface.
func (Event) Indexes() []ent.Index {
	return []ent.Index{index.Fields("connection_id", "sequence").Unique(), index.Fields("tenant_id", "id")}
}
