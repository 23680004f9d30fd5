-- +goose Up
-- add columns to "connections" table
ALTER TABLE `connections` ADD COLUMN `held_by` uuid NULL;
ALTER TABLE `connections` ADD COLUMN `refused_generation` integer NULL;
-- create index "connection_held_by" to table: "connections"
CREATE INDEX `connection_held_by` ON `connections` (`held_by`) WHERE held_by IS NOT NULL;
-- create "death_counts" table
CREATE TABLE `death_counts` (`id` text NOT NULL, `started_ms` integer NOT NULL DEFAULT (0), `deaths` integer NOT NULL DEFAULT (0), `earlier` integer NOT NULL DEFAULT (0), `connected` integer NOT NULL DEFAULT (0), PRIMARY KEY (`id`));
-- create "holds" table
CREATE TABLE `holds` (`id` uuid NOT NULL, `subject` text NOT NULL, `state` text NOT NULL DEFAULT ('STANDING'), `reason` text NOT NULL, `stopped` integer NOT NULL DEFAULT (0), `raised_at` datetime NOT NULL, `last_held_at` datetime NOT NULL, `decided_at` datetime NULL, `decided_by` text NULL, `lets_until` datetime NULL, PRIMARY KEY (`id`));
-- create index "hold_subject" to table: "holds"
CREATE UNIQUE INDEX `hold_subject` ON `holds` (`subject`) WHERE state = 'STANDING';
-- create index "hold_subject_id" to table: "holds"
CREATE INDEX `hold_subject_id` ON `holds` (`subject`, `id`);
