-- +goose Up
-- create "api_keys" table
CREATE TABLE `api_keys` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `name` text NOT NULL, `prefix` text NOT NULL, `hash` blob NOT NULL, `scopes` json NOT NULL, `created_at` datetime NOT NULL, `expires_at` datetime NULL, `last_used_at` datetime NULL, `revoked_at` datetime NULL, PRIMARY KEY (`id`));
-- create index "apikey_hash" to table: "api_keys"
CREATE UNIQUE INDEX `apikey_hash` ON `api_keys` (`hash`);
-- create index "apikey_tenant_id_id" to table: "api_keys"
CREATE INDEX `apikey_tenant_id_id` ON `api_keys` (`tenant_id`, `id`);
-- create "audit_entries" table
CREATE TABLE `audit_entries` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `at` datetime NOT NULL, `actor` text NOT NULL, `action` text NOT NULL, `object` text NULL, `allowed` bool NOT NULL, `request_id` text NULL, `remote_address` text NULL, `credential_version` integer NULL, `detail` text NULL, PRIMARY KEY (`id`));
-- create index "auditentry_tenant_id_id" to table: "audit_entries"
CREATE INDEX `auditentry_tenant_id_id` ON `audit_entries` (`tenant_id`, `id`);
-- create "connections" table
CREATE TABLE `connections` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `failure_class` text NULL, `failure_reason` text NULL, `failure_message` text NULL, `failure_provider_code` text NULL, `failure_http_status` integer NULL, `failure_attempts` integer NOT NULL DEFAULT (0), `failure_since` datetime NULL, `failure_last_at` datetime NULL, `failure_next_attempt_at` datetime NULL, `provider` text NOT NULL, `client_id` text NOT NULL, `grant_key` text NOT NULL, `kind` text NOT NULL DEFAULT ('USER'), `grant_type` text NOT NULL, `state` text NOT NULL, `subject` text NULL, `external_user_id` text NULL, `external_account_id` text NULL, `external_email` text NULL, `external_display_name` text NULL, `scopes` json NOT NULL, `metadata` json NULL, `local_recording_token` bool NOT NULL DEFAULT (false), `on_behalf_token` bool NOT NULL DEFAULT (false), `generation` integer NOT NULL DEFAULT (0), `escrowed` bool NOT NULL DEFAULT (false), `access_token_expires_at` datetime NULL, `access_token_life` integer NULL, `consented_at` datetime NOT NULL, `last_refreshed_at` datetime NULL, `last_attempted_at` datetime NULL, `next_refresh_at` datetime NULL, `last_used_at` datetime NULL, `event_sequence` integer NOT NULL DEFAULT (0), `app_id` uuid NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `connections_oauth_apps_app` FOREIGN KEY (`app_id`) REFERENCES `oauth_apps` (`id`) ON DELETE RESTRICT);
-- create index "connection_tenant_id_id" to table: "connections"
CREATE INDEX `connection_tenant_id_id` ON `connections` (`tenant_id`, `id`);
-- create index "connection_tenant_id_updated_at_id" to table: "connections"
CREATE INDEX `connection_tenant_id_updated_at_id` ON `connections` (`tenant_id`, `updated_at`, `id`);
-- create index "connection_tenant_id_state_id" to table: "connections"
CREATE INDEX `connection_tenant_id_state_id` ON `connections` (`tenant_id`, `state`, `id`);
-- create index "connection_tenant_id_app_id_external_user_id" to table: "connections"
CREATE UNIQUE INDEX `connection_tenant_id_app_id_external_user_id` ON `connections` (`tenant_id`, `app_id`, `external_user_id`);
-- create index "connection_tenant_id_app_id_id" to table: "connections"
CREATE INDEX `connection_tenant_id_app_id_id` ON `connections` (`tenant_id`, `app_id`, `id`);
-- create index "connection_tenant_id_subject_id" to table: "connections"
CREATE INDEX `connection_tenant_id_subject_id` ON `connections` (`tenant_id`, `subject`, `id`);
-- create index "connection_tenant_id_external_user_id_id" to table: "connections"
CREATE INDEX `connection_tenant_id_external_user_id_id` ON `connections` (`tenant_id`, `external_user_id`, `id`);
-- create index "connection_tenant_id_external_account_id_id" to table: "connections"
CREATE INDEX `connection_tenant_id_external_account_id_id` ON `connections` (`tenant_id`, `external_account_id`, `id`);
-- create index "connection_tenant_id_external_email_id" to table: "connections"
CREATE INDEX `connection_tenant_id_external_email_id` ON `connections` (`tenant_id`, `external_email`, `id`);
-- create index "connection_grant_key" to table: "connections"
CREATE INDEX `connection_grant_key` ON `connections` (`grant_key`);
-- create index "connection_app_id" to table: "connections"
CREATE INDEX `connection_app_id` ON `connections` (`app_id`);
-- create index "connection_next_refresh_at" to table: "connections"
CREATE INDEX `connection_next_refresh_at` ON `connections` (`next_refresh_at`) WHERE next_refresh_at IS NOT NULL;
-- create "connection_metadata" table
CREATE TABLE `connection_metadata` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `tenant_id` uuid NOT NULL, `key_digest` blob NOT NULL, `pair_digest` blob NOT NULL, `connection_id` uuid NOT NULL, CONSTRAINT `connection_metadata_connections_connection` FOREIGN KEY (`connection_id`) REFERENCES `connections` (`id`) ON DELETE CASCADE);
-- create index "connectionmetadata_connection_id_tenant_id_key_digest" to table: "connection_metadata"
CREATE UNIQUE INDEX `connectionmetadata_connection_id_tenant_id_key_digest` ON `connection_metadata` (`connection_id`, `tenant_id`, `key_digest`);
-- create index "connectionmetadata_tenant_id_pair_digest_connection_id" to table: "connection_metadata"
CREATE INDEX `connectionmetadata_tenant_id_pair_digest_connection_id` ON `connection_metadata` (`tenant_id`, `pair_digest`, `connection_id`);
-- create index "connectionmetadata_tenant_id_key_digest_connection_id" to table: "connection_metadata"
CREATE INDEX `connectionmetadata_tenant_id_key_digest_connection_id` ON `connection_metadata` (`tenant_id`, `key_digest`, `connection_id`);
-- create "escrows" table
CREATE TABLE `escrows` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `generation` integer NOT NULL, `attempt_id` uuid NOT NULL, `record` blob NOT NULL, `key_version` integer NOT NULL, `created_at` datetime NOT NULL, PRIMARY KEY (`id`));
-- create index "escrow_tenant_id_id" to table: "escrows"
CREATE INDEX `escrow_tenant_id_id` ON `escrows` (`tenant_id`, `id`);
-- create "events" table
CREATE TABLE `events` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `connection_id` uuid NOT NULL, `sequence` integer NOT NULL, `type` text NOT NULL, `at` datetime NOT NULL, `previous_state` text NULL, `state` text NULL, `failure` json NULL, `metadata` json NULL, `delivered_at` datetime NULL, PRIMARY KEY (`id`));
-- create index "event_connection_id_sequence" to table: "events"
CREATE UNIQUE INDEX `event_connection_id_sequence` ON `events` (`connection_id`, `sequence`);
-- create index "event_tenant_id_id" to table: "events"
CREATE INDEX `event_tenant_id_id` ON `events` (`tenant_id`, `id`);
-- create "grant_attempts" table
CREATE TABLE `grant_attempts` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `app_id` uuid NOT NULL, `provider` text NOT NULL, `client_id` text NOT NULL, `actor` text NOT NULL, `code_hash` blob NOT NULL, `connection_id` uuid NOT NULL, `state` text NOT NULL DEFAULT ('SENT'), `input` json NOT NULL, `answer` blob NULL, `answer_key_version` integer NULL, `created` bool NOT NULL DEFAULT (false), `error_kind` text NULL, `error_message` text NULL, `error_field` text NULL, PRIMARY KEY (`id`));
-- create index "grantattempt_code_hash" to table: "grant_attempts"
CREATE UNIQUE INDEX `grantattempt_code_hash` ON `grant_attempts` (`code_hash`);
-- create index "grantattempt_client_id_state" to table: "grant_attempts"
CREATE INDEX `grantattempt_client_id_state` ON `grant_attempts` (`client_id`, `state`);
-- create index "grantattempt_state_updated_at" to table: "grant_attempts"
CREATE INDEX `grantattempt_state_updated_at` ON `grant_attempts` (`state`, `updated_at`);
-- create index "grantattempt_tenant_id_id" to table: "grant_attempts"
CREATE INDEX `grantattempt_tenant_id_id` ON `grant_attempts` (`tenant_id`, `id`);
-- create "grant_locks" table
CREATE TABLE `grant_locks` (`grant_key` text NOT NULL, `owner` uuid NULL, `until_ms` integer NOT NULL DEFAULT (0), `spending_generation` integer NULL, `unknown_generation` integer NULL, PRIMARY KEY (`grant_key`));
-- create "key_rotations" table
CREATE TABLE `key_rotations` (`id` uuid NOT NULL, `epoch` integer NOT NULL DEFAULT (1), `target` integer NOT NULL DEFAULT (0), `phase` text NOT NULL DEFAULT ('PASS'), `passes` integer NOT NULL DEFAULT (0), `source` integer NOT NULL DEFAULT (0), `position` uuid NULL, `checked` integer NOT NULL DEFAULT (0), `stale` integer NOT NULL DEFAULT (0), `unreadable` integer NOT NULL DEFAULT (0), `rewrapped` integer NOT NULL DEFAULT (0), `cutoff` uuid NULL, `requested_at` datetime NOT NULL, `finished_at` datetime NULL, `not_before_ms` integer NOT NULL DEFAULT (0), `owner` uuid NULL, `until_ms` integer NOT NULL DEFAULT (0), PRIMARY KEY (`id`));
-- create "oauth_apps" table
CREATE TABLE `oauth_apps` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `failure_class` text NULL, `failure_reason` text NULL, `failure_message` text NULL, `failure_provider_code` text NULL, `failure_http_status` integer NULL, `failure_attempts` integer NOT NULL DEFAULT (0), `failure_since` datetime NULL, `failure_last_at` datetime NULL, `failure_next_attempt_at` datetime NULL, `provider` text NOT NULL, `name` text NOT NULL, `client_id` text NOT NULL, `redirect_uris` json NOT NULL, `return_to` json NOT NULL, `scopes` json NOT NULL, `client_secret` blob NULL, `client_secret_key_version` integer NULL, `webhook_secret` blob NULL, `webhook_secret_key_version` integer NULL, `state` text NOT NULL DEFAULT ('ACTIVE'), `last_verified_webhook_at` datetime NULL, `last_unverified_webhook_at` datetime NULL, PRIMARY KEY (`id`));
-- create index "oauthapp_tenant_id_id" to table: "oauth_apps"
CREATE INDEX `oauthapp_tenant_id_id` ON `oauth_apps` (`tenant_id`, `id`);
-- create index "oauthapp_tenant_id_provider_client_id" to table: "oauth_apps"
CREATE UNIQUE INDEX `oauthapp_tenant_id_provider_client_id` ON `oauth_apps` (`tenant_id`, `provider`, `client_id`);
-- create "revocation_jobs" table
CREATE TABLE `revocation_jobs` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `connection_id` uuid NOT NULL, `provider` text NOT NULL, `client_id` text NOT NULL, `grant_key` text NOT NULL, `consented_at` datetime NOT NULL, `sealed` blob NULL, `key_version` integer NOT NULL, `state` text NOT NULL DEFAULT ('PENDING'), `attempts` integer NOT NULL DEFAULT (0), `next_attempt_at` datetime NOT NULL, `expires_at` datetime NOT NULL, `created_at` datetime NOT NULL, `finished_at` datetime NULL, `outcome` text NULL, PRIMARY KEY (`id`));
-- create index "revocationjob_next_attempt_at" to table: "revocation_jobs"
CREATE INDEX `revocationjob_next_attempt_at` ON `revocation_jobs` (`next_attempt_at`) WHERE state = 'PENDING';
-- create index "revocationjob_tenant_id_id" to table: "revocation_jobs"
CREATE INDEX `revocationjob_tenant_id_id` ON `revocation_jobs` (`tenant_id`, `id`);
-- create "tenants" table
CREATE TABLE `tenants` (`id` uuid NOT NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `name` text NOT NULL, `metadata` json NULL, `key_version` integer NOT NULL DEFAULT (1), `state` text NOT NULL DEFAULT ('ACTIVE'), PRIMARY KEY (`id`));
-- create "tenant_deletions" table
CREATE TABLE `tenant_deletions` (`id` uuid NOT NULL, `immediately` bool NOT NULL DEFAULT (false), `phase` text NOT NULL DEFAULT ('BURY'), `passes` integer NOT NULL DEFAULT (0), `position` uuid NULL, `revoke_until_ms` integer NOT NULL DEFAULT (0), `unrevoked` integer NOT NULL DEFAULT (0), `requested_at` datetime NOT NULL, `finished_at` datetime NULL, `not_before_ms` integer NOT NULL DEFAULT (0), `owner` uuid NULL, `until_ms` integer NOT NULL DEFAULT (0), PRIMARY KEY (`id`));
-- create "tombstones" table
CREATE TABLE `tombstones` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `generation` integer NOT NULL, `deleted_at` datetime NOT NULL, `erased_at` datetime NULL, PRIMARY KEY (`id`));
-- create index "tombstone_deleted_at" to table: "tombstones"
CREATE INDEX `tombstone_deleted_at` ON `tombstones` (`deleted_at`) WHERE erased_at IS NULL;
-- create index "tombstone_tenant_id_id" to table: "tombstones"
CREATE INDEX `tombstone_tenant_id_id` ON `tombstones` (`tenant_id`, `id`);
