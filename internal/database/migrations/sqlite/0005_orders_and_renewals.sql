-- +goose Up
-- disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- add column "renewal_sent_at" to table: "grant_attempts"
ALTER TABLE `grant_attempts` ADD COLUMN `renewal_sent_at` datetime NULL;
-- create "new_tombstones" table
CREATE TABLE `new_tombstones` (`id` uuid NOT NULL, `tenant_id` uuid NOT NULL, `generation` integer NOT NULL, `deleted_at` datetime NOT NULL, `erased_at` datetime NULL, `orders` integer NOT NULL DEFAULT (0), PRIMARY KEY (`id`));
-- copy rows from old table "tombstones" to new temporary table "new_tombstones"
INSERT INTO `new_tombstones` (`id`, `tenant_id`, `generation`, `deleted_at`, `erased_at`) SELECT `id`, `tenant_id`, `generation`, `deleted_at`, `erased_at` FROM `tombstones`;
-- drop "tombstones" table after copying rows
DROP TABLE `tombstones`;
-- rename temporary table "new_tombstones" to "tombstones"
ALTER TABLE `new_tombstones` RENAME TO `tombstones`;
-- create index "tombstone_deleted_at" to table: "tombstones"
CREATE INDEX `tombstone_deleted_at` ON `tombstones` (`deleted_at`) WHERE erased_at IS NULL;
-- create index "tombstone_tenant_id_id" to table: "tombstones"
CREATE INDEX `tombstone_tenant_id_id` ON `tombstones` (`tenant_id`, `id`);
-- enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
