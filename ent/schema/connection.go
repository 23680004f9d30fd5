package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Connection is a grant of one external user or account to one app: everything about it but the tokens.
type Connection struct{ ent.Schema }

// Mixin implements ent.Interface.
func (Connection) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}, timed{}, failing{}} }

// Fields implements ent.Interface.
func (Connection) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("app_id", uuid.UUID{}).Immutable(),
		field.String("provider").Immutable(),
		field.String("client_id").Immutable(),
		field.String("grant_key").Comment("Names the grant at the provider across tenants; see grant.Key."),
		field.Enum("kind").Values("USER", "INSTALLATION").Default("USER"),
		field.Enum("grant_type").Values("AUTHORIZATION_CODE", "DEVICE_CODE", "ACCOUNT_CREDENTIALS", "CLIENT_CREDENTIALS", "API_KEY"),
		field.Enum("state").Values("PENDING", "CONNECTED", "DISCONNECTED"),
		field.String("subject").Optional().Nillable(),
		field.String("external_user_id").Optional().Nillable(),
		field.String("external_account_id").Optional().Nillable(),
		field.String("external_email").Optional().Nillable(),
		field.String("external_display_name").Optional().Nillable(),
		field.JSON("scopes", []string{}),
		field.JSON("metadata", map[string]string{}).Optional(),
		field.Bool("local_recording_token").Default(false),
		field.Bool("on_behalf_token").Default(false),
		field.Int64("generation").Default(0).Comment("Of the token set in the vault, or in escrow where escrowed is set."),
		field.Bool("escrowed").Default(false).Comment("The newest token set waits in the escrow table for the vault to come back."),
		field.Time("access_token_expires_at").Optional().Nillable(),
		field.Int64("access_token_life").Optional().Comment("Seconds that the last token of which it was known was to live; 0 unknown."),
		field.Time("consented_at").Comment("When the user last consented."),
		field.Time("last_refreshed_at").Optional().Nillable(),
		field.Time("last_attempted_at").Optional().Nillable(),
		field.Time("next_refresh_at").Optional().Nillable(),
		field.Time("waiting_since").Optional().Nillable().Comment("In place of next_refresh_at where that is past and the app has no room: when the refresh was due."),
		field.Int64("claimed_until_ms").Optional().Nillable().Comment("A scheduler has taken the due refresh until then, by the database's clock; null none."),
		field.Time("last_used_at").Optional().Nillable(),
		field.Int64("event_sequence").Default(0),
		field.UUID("held_by", uuid.UUID{}).Optional().Nillable().Comment("The hold that keeps the connection from ending."),
		field.Int64("refused_generation").Optional().Comment("Of an older head whose token the provider refused after a rollback: it is not sent again. Null or 0: none."),
	}
}

// Edges implements ent.Interface.
func (Connection) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("app", OAuthApp.Type).Field("app_id").Unique().Required().Immutable().
			Annotations(entsql.OnDelete(entsql.Restrict)),
	}
}

// Indexes implements ent.Interface. Every list is a keyset walk along one of these.
func (Connection) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("tenant_id", "id"),
		index.Fields("tenant_id", "updated_at", "id"),
		index.Fields("tenant_id", "state", "id"),
		index.Fields("tenant_id", "app_id", "external_user_id").Unique(),
		index.Fields("tenant_id", "app_id", "id"),
		index.Fields("tenant_id", "subject", "id"),
		index.Fields("tenant_id", "external_user_id", "id"),
		index.Fields("tenant_id", "external_account_id", "id"),
		index.Fields("tenant_id", "external_email", "id"),
		index.Fields("grant_key"),
		index.Fields("app_id"),
		index.Fields("held_by").Annotations(entsql.IndexWhere("held_by IS NOT NULL")),
		index.Fields("next_refresh_at").Annotations(entsql.IndexWhere("next_refresh_at IS NOT NULL")),
		index.Fields("app_id", "waiting_since").Annotations(entsql.IndexWhere("waiting_since IS NOT NULL")),
	}
}

// ConnectionMetadata is the index of the connections' metadata: one row for each pair. Keys and values are digests, so
// that a value of any length fits into an index of either database; the text is on the connection.
type ConnectionMetadata struct{ ent.Schema }

// Annotations implements ent.Interface.
func (ConnectionMetadata) Annotations() []schemaAnnotation {
	return []schemaAnnotation{entsql.Annotation{Table: "connection_metadata"}}
}

// Mixin implements ent.Interface.
func (ConnectionMetadata) Mixin() []ent.Mixin { return []ent.Mixin{owned{}} }

// Fields implements ent.Interface.
func (ConnectionMetadata) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.UUID("connection_id", uuid.UUID{}).Immutable(),
		field.Bytes("key_digest").Immutable(),
		field.Bytes("pair_digest").Immutable(),
	}
}

// Edges implements ent.Interface.
func (ConnectionMetadata) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("connection", Connection.Type).Field("connection_id").Unique().Required().Immutable().
			Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes implements ent.Interface.
func (ConnectionMetadata) Indexes() []ent.Index {
	return []ent.Index{
		// The tenant is in it because every statement names the tenant: without it SQLite picks one of the other two
		// and walks all rows of the tenant to delete those of one connection.
		index.Fields("connection_id", "tenant_id", "key_digest").Unique(),
		index.Fields("tenant_id", "pair_digest", "connection_id"),
		index.Fields("tenant_id", "key_digest", "connection_id"),
	}
}

// Tombstone remembers a deleted connection: its record in the vault must be gone, and a late writer must stop.
type Tombstone struct{ ent.Schema }

// Mixin implements ent.Interface. The id is the connection's.
func (Tombstone) Mixin() []ent.Mixin { return []ent.Mixin{identified{}, owned{}} }

// Fields implements ent.Interface.
func (Tombstone) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("generation").Immutable(),
		field.Time("deleted_at").Default(now).Immutable(),
		field.Time("erased_at").Optional().Nillable().Comment("When the vault's record was destroyed; null until then."),
		field.Int64("orders").Default(0).Comment("How often its destruction was ordered again, because something was written late. Only who knows the last order may set erased_at."),
	}
}

// Indexes implements ent.Interface.
func (Tombstone) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("deleted_at").Annotations(entsql.IndexWhere("erased_at IS NULL")),
		index.Fields("tenant_id", "id"),
	}
}
