-- +goose Up
-- add columns "waiting_since" and "claimed_until_ms" to table: "connections"
ALTER TABLE `connections` ADD COLUMN `waiting_since` datetime NULL;
ALTER TABLE `connections` ADD COLUMN `claimed_until_ms` integer NULL;
-- create index "connection_app_id_waiting_since" to table: "connections"
CREATE INDEX `connection_app_id_waiting_since` ON `connections` (`app_id`, `waiting_since`) WHERE waiting_since IS NOT NULL;
-- add column "paused_until" to table: "oauth_apps"
ALTER TABLE `oauth_apps` ADD COLUMN `paused_until` datetime NULL;
