-- +goose Up
-- modify "connections" table
ALTER TABLE "connections" ADD COLUMN "waiting_since" timestamptz NULL, ADD COLUMN "claimed_until_ms" bigint NULL;
-- create index "connection_app_id_waiting_since" to table: "connections"
CREATE INDEX "connection_app_id_waiting_since" ON "connections" ("app_id", "waiting_since") WHERE (waiting_since IS NOT NULL);
-- modify "oauth_apps" table
ALTER TABLE "oauth_apps" ADD COLUMN "paused_until" timestamptz NULL;
