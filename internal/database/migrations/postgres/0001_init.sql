-- +goose Up
-- create "oauth_apps" table
CREATE TABLE "oauth_apps" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "failure_class" character varying NULL, "failure_reason" character varying NULL, "failure_message" character varying NULL, "failure_provider_code" character varying NULL, "failure_http_status" bigint NULL, "failure_attempts" bigint NOT NULL DEFAULT 0, "failure_since" timestamptz NULL, "failure_last_at" timestamptz NULL, "failure_next_attempt_at" timestamptz NULL, "provider" character varying NOT NULL, "name" character varying NOT NULL, "client_id" character varying NOT NULL, "redirect_uris" jsonb NOT NULL, "return_to" jsonb NOT NULL, "scopes" jsonb NOT NULL, "client_secret" bytea NULL, "client_secret_key_version" bigint NULL, "webhook_secret" bytea NULL, "webhook_secret_key_version" bigint NULL, "state" character varying NOT NULL DEFAULT 'ACTIVE', "last_verified_webhook_at" timestamptz NULL, "last_unverified_webhook_at" timestamptz NULL, PRIMARY KEY ("id"));
-- create index "oauthapp_tenant_id_id" to table: "oauth_apps"
CREATE INDEX "oauthapp_tenant_id_id" ON "oauth_apps" ("tenant_id", "id");
-- create index "oauthapp_tenant_id_provider_client_id" to table: "oauth_apps"
CREATE UNIQUE INDEX "oauthapp_tenant_id_provider_client_id" ON "oauth_apps" ("tenant_id", "provider", "client_id");
-- create "tenant_deletions" table
CREATE TABLE "tenant_deletions" ("id" uuid NOT NULL, "immediately" boolean NOT NULL DEFAULT false, "phase" character varying NOT NULL DEFAULT 'BURY', "passes" bigint NOT NULL DEFAULT 0, "position" uuid NULL, "revoke_until_ms" bigint NOT NULL DEFAULT 0, "unrevoked" bigint NOT NULL DEFAULT 0, "requested_at" timestamptz NOT NULL, "finished_at" timestamptz NULL, "not_before_ms" bigint NOT NULL DEFAULT 0, "owner" uuid NULL, "until_ms" bigint NOT NULL DEFAULT 0, PRIMARY KEY ("id"));
-- create "tombstones" table
CREATE TABLE "tombstones" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "generation" bigint NOT NULL, "deleted_at" timestamptz NOT NULL, "erased_at" timestamptz NULL, PRIMARY KEY ("id"));
-- create index "tombstone_deleted_at" to table: "tombstones"
CREATE INDEX "tombstone_deleted_at" ON "tombstones" ("deleted_at") WHERE (erased_at IS NULL);
-- create index "tombstone_tenant_id_id" to table: "tombstones"
CREATE INDEX "tombstone_tenant_id_id" ON "tombstones" ("tenant_id", "id");
-- create "grant_locks" table
CREATE TABLE "grant_locks" ("grant_key" character varying NOT NULL, "owner" uuid NULL, "until_ms" bigint NOT NULL DEFAULT 0, "spending_generation" bigint NULL, "unknown_generation" bigint NULL, PRIMARY KEY ("grant_key"));
-- create "escrows" table
CREATE TABLE "escrows" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "generation" bigint NOT NULL, "attempt_id" uuid NOT NULL, "record" bytea NOT NULL, "key_version" bigint NOT NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "escrow_tenant_id_id" to table: "escrows"
CREATE INDEX "escrow_tenant_id_id" ON "escrows" ("tenant_id", "id");
-- create "events" table
CREATE TABLE "events" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "connection_id" uuid NOT NULL, "sequence" bigint NOT NULL, "type" character varying NOT NULL, "at" timestamptz NOT NULL, "previous_state" character varying NULL, "state" character varying NULL, "failure" jsonb NULL, "metadata" jsonb NULL, "delivered_at" timestamptz NULL, PRIMARY KEY ("id"));
-- create index "event_connection_id_sequence" to table: "events"
CREATE UNIQUE INDEX "event_connection_id_sequence" ON "events" ("connection_id", "sequence");
-- create index "event_tenant_id_id" to table: "events"
CREATE INDEX "event_tenant_id_id" ON "events" ("tenant_id", "id");
-- create "key_rotations" table
CREATE TABLE "key_rotations" ("id" uuid NOT NULL, "epoch" bigint NOT NULL DEFAULT 1, "target" bigint NOT NULL DEFAULT 0, "phase" character varying NOT NULL DEFAULT 'PASS', "passes" bigint NOT NULL DEFAULT 0, "source" bigint NOT NULL DEFAULT 0, "position" uuid NULL, "checked" bigint NOT NULL DEFAULT 0, "stale" bigint NOT NULL DEFAULT 0, "unreadable" bigint NOT NULL DEFAULT 0, "rewrapped" bigint NOT NULL DEFAULT 0, "cutoff" uuid NULL, "requested_at" timestamptz NOT NULL, "finished_at" timestamptz NULL, "not_before_ms" bigint NOT NULL DEFAULT 0, "owner" uuid NULL, "until_ms" bigint NOT NULL DEFAULT 0, PRIMARY KEY ("id"));
-- create "grant_attempts" table
CREATE TABLE "grant_attempts" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "app_id" uuid NOT NULL, "provider" character varying NOT NULL, "client_id" character varying NOT NULL, "actor" character varying NOT NULL, "code_hash" bytea NOT NULL, "connection_id" uuid NOT NULL, "state" character varying NOT NULL DEFAULT 'SENT', "input" jsonb NOT NULL, "answer" bytea NULL, "answer_key_version" bigint NULL, "created" boolean NOT NULL DEFAULT false, "error_kind" character varying NULL, "error_message" character varying NULL, "error_field" character varying NULL, PRIMARY KEY ("id"));
-- create index "grantattempt_client_id_state" to table: "grant_attempts"
CREATE INDEX "grantattempt_client_id_state" ON "grant_attempts" ("client_id", "state");
-- create index "grantattempt_code_hash" to table: "grant_attempts"
CREATE UNIQUE INDEX "grantattempt_code_hash" ON "grant_attempts" ("code_hash");
-- create index "grantattempt_state_updated_at" to table: "grant_attempts"
CREATE INDEX "grantattempt_state_updated_at" ON "grant_attempts" ("state", "updated_at");
-- create index "grantattempt_tenant_id_id" to table: "grant_attempts"
CREATE INDEX "grantattempt_tenant_id_id" ON "grant_attempts" ("tenant_id", "id");
-- create "audit_entries" table
CREATE TABLE "audit_entries" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "at" timestamptz NOT NULL, "actor" character varying NOT NULL, "action" character varying NOT NULL, "object" character varying NULL, "allowed" boolean NOT NULL, "request_id" character varying NULL, "remote_address" character varying NULL, "credential_version" bigint NULL, "detail" character varying NULL, PRIMARY KEY ("id"));
-- create index "auditentry_tenant_id_id" to table: "audit_entries"
CREATE INDEX "auditentry_tenant_id_id" ON "audit_entries" ("tenant_id", "id");
-- create "api_keys" table
CREATE TABLE "api_keys" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "name" character varying NOT NULL, "prefix" character varying NOT NULL, "hash" bytea NOT NULL, "scopes" jsonb NOT NULL, "created_at" timestamptz NOT NULL, "expires_at" timestamptz NULL, "last_used_at" timestamptz NULL, "revoked_at" timestamptz NULL, PRIMARY KEY ("id"));
-- create index "apikey_hash" to table: "api_keys"
CREATE UNIQUE INDEX "apikey_hash" ON "api_keys" ("hash");
-- create index "apikey_tenant_id_id" to table: "api_keys"
CREATE INDEX "apikey_tenant_id_id" ON "api_keys" ("tenant_id", "id");
-- create "revocation_jobs" table
CREATE TABLE "revocation_jobs" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "connection_id" uuid NOT NULL, "provider" character varying NOT NULL, "client_id" character varying NOT NULL, "grant_key" character varying NOT NULL, "consented_at" timestamptz NOT NULL, "sealed" bytea NULL, "key_version" bigint NOT NULL, "state" character varying NOT NULL DEFAULT 'PENDING', "attempts" bigint NOT NULL DEFAULT 0, "next_attempt_at" timestamptz NOT NULL, "expires_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, "finished_at" timestamptz NULL, "outcome" character varying NULL, PRIMARY KEY ("id"));
-- create index "revocationjob_next_attempt_at" to table: "revocation_jobs"
CREATE INDEX "revocationjob_next_attempt_at" ON "revocation_jobs" ("next_attempt_at") WHERE ((state)::text = 'PENDING'::text);
-- create index "revocationjob_tenant_id_id" to table: "revocation_jobs"
CREATE INDEX "revocationjob_tenant_id_id" ON "revocation_jobs" ("tenant_id", "id");
-- create "tenants" table
CREATE TABLE "tenants" ("id" uuid NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "name" character varying NOT NULL, "metadata" jsonb NULL, "key_version" bigint NOT NULL DEFAULT 1, "state" character varying NOT NULL DEFAULT 'ACTIVE', PRIMARY KEY ("id"));
-- create "connections" table
CREATE TABLE "connections" ("id" uuid NOT NULL, "tenant_id" uuid NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "failure_class" character varying NULL, "failure_reason" character varying NULL, "failure_message" character varying NULL, "failure_provider_code" character varying NULL, "failure_http_status" bigint NULL, "failure_attempts" bigint NOT NULL DEFAULT 0, "failure_since" timestamptz NULL, "failure_last_at" timestamptz NULL, "failure_next_attempt_at" timestamptz NULL, "provider" character varying NOT NULL, "client_id" character varying NOT NULL, "grant_key" character varying NOT NULL, "kind" character varying NOT NULL DEFAULT 'USER', "grant_type" character varying NOT NULL, "state" character varying NOT NULL, "subject" character varying NULL, "external_user_id" character varying NULL, "external_account_id" character varying NULL, "external_email" character varying NULL, "external_display_name" character varying NULL, "scopes" jsonb NOT NULL, "metadata" jsonb NULL, "local_recording_token" boolean NOT NULL DEFAULT false, "on_behalf_token" boolean NOT NULL DEFAULT false, "generation" bigint NOT NULL DEFAULT 0, "escrowed" boolean NOT NULL DEFAULT false, "access_token_expires_at" timestamptz NULL, "access_token_life" bigint NULL, "consented_at" timestamptz NOT NULL, "last_refreshed_at" timestamptz NULL, "last_attempted_at" timestamptz NULL, "next_refresh_at" timestamptz NULL, "last_used_at" timestamptz NULL, "event_sequence" bigint NOT NULL DEFAULT 0, "app_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "connections_oauth_apps_app" FOREIGN KEY ("app_id") REFERENCES "oauth_apps" ("id") ON UPDATE NO ACTION ON DELETE RESTRICT);
-- create index "connection_app_id" to table: "connections"
CREATE INDEX "connection_app_id" ON "connections" ("app_id");
-- create index "connection_grant_key" to table: "connections"
CREATE INDEX "connection_grant_key" ON "connections" ("grant_key");
-- create index "connection_next_refresh_at" to table: "connections"
CREATE INDEX "connection_next_refresh_at" ON "connections" ("next_refresh_at") WHERE (next_refresh_at IS NOT NULL);
-- create index "connection_tenant_id_app_id_external_user_id" to table: "connections"
CREATE UNIQUE INDEX "connection_tenant_id_app_id_external_user_id" ON "connections" ("tenant_id", "app_id", "external_user_id");
-- create index "connection_tenant_id_app_id_id" to table: "connections"
CREATE INDEX "connection_tenant_id_app_id_id" ON "connections" ("tenant_id", "app_id", "id");
-- create index "connection_tenant_id_external_account_id_id" to table: "connections"
CREATE INDEX "connection_tenant_id_external_account_id_id" ON "connections" ("tenant_id", "external_account_id", "id");
-- create index "connection_tenant_id_external_email_id" to table: "connections"
CREATE INDEX "connection_tenant_id_external_email_id" ON "connections" ("tenant_id", "external_email", "id");
-- create index "connection_tenant_id_external_user_id_id" to table: "connections"
CREATE INDEX "connection_tenant_id_external_user_id_id" ON "connections" ("tenant_id", "external_user_id", "id");
-- create index "connection_tenant_id_id" to table: "connections"
CREATE INDEX "connection_tenant_id_id" ON "connections" ("tenant_id", "id");
-- create index "connection_tenant_id_state_id" to table: "connections"
CREATE INDEX "connection_tenant_id_state_id" ON "connections" ("tenant_id", "state", "id");
-- create index "connection_tenant_id_subject_id" to table: "connections"
CREATE INDEX "connection_tenant_id_subject_id" ON "connections" ("tenant_id", "subject", "id");
-- create index "connection_tenant_id_updated_at_id" to table: "connections"
CREATE INDEX "connection_tenant_id_updated_at_id" ON "connections" ("tenant_id", "updated_at", "id");
-- create "connection_metadata" table
CREATE TABLE "connection_metadata" ("id" bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY, "tenant_id" uuid NOT NULL, "key_digest" bytea NOT NULL, "pair_digest" bytea NOT NULL, "connection_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "connection_metadata_connections_connection" FOREIGN KEY ("connection_id") REFERENCES "connections" ("id") ON UPDATE NO ACTION ON DELETE CASCADE);
-- create index "connectionmetadata_connection_id_tenant_id_key_digest" to table: "connection_metadata"
CREATE UNIQUE INDEX "connectionmetadata_connection_id_tenant_id_key_digest" ON "connection_metadata" ("connection_id", "tenant_id", "key_digest");
-- create index "connectionmetadata_tenant_id_key_digest_connection_id" to table: "connection_metadata"
CREATE INDEX "connectionmetadata_tenant_id_key_digest_connection_id" ON "connection_metadata" ("tenant_id", "key_digest", "connection_id");
-- create index "connectionmetadata_tenant_id_pair_digest_connection_id" to table: "connection_metadata"
CREATE INDEX "connectionmetadata_tenant_id_pair_digest_connection_id" ON "connection_metadata" ("tenant_id", "pair_digest", "connection_id");
