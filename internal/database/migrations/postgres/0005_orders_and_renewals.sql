-- +goose Up
-- modify "grant_attempts" table
ALTER TABLE "grant_attempts" ADD COLUMN "renewal_sent_at" timestamptz NULL;
-- modify "tombstones" table
ALTER TABLE "tombstones" ADD COLUMN "orders" bigint NOT NULL DEFAULT 0;
