-- +goose Up
-- modify "connections" table
ALTER TABLE "connections" ADD COLUMN "held_by" uuid NULL, ADD COLUMN "refused_generation" bigint NULL;
-- create index "connection_held_by" to table: "connections"
CREATE INDEX "connection_held_by" ON "connections" ("held_by") WHERE (held_by IS NOT NULL);
-- create "death_counts" table
CREATE TABLE "death_counts" ("id" character varying NOT NULL, "started_ms" bigint NOT NULL DEFAULT 0, "deaths" bigint NOT NULL DEFAULT 0, "earlier" bigint NOT NULL DEFAULT 0, "connected" bigint NOT NULL DEFAULT 0, PRIMARY KEY ("id"));
-- create "holds" table
CREATE TABLE "holds" ("id" uuid NOT NULL, "subject" character varying NOT NULL, "state" character varying NOT NULL DEFAULT 'STANDING', "reason" character varying NOT NULL, "stopped" bigint NOT NULL DEFAULT 0, "raised_at" timestamptz NOT NULL, "last_held_at" timestamptz NOT NULL, "decided_at" timestamptz NULL, "decided_by" character varying NULL, "lets_until" timestamptz NULL, PRIMARY KEY ("id"));
-- create index "hold_subject" to table: "holds"
CREATE UNIQUE INDEX "hold_subject" ON "holds" ("subject") WHERE ((state)::text = 'STANDING'::text);
-- create index "hold_subject_id" to table: "holds"
CREATE INDEX "hold_subject_id" ON "holds" ("subject", "id");
