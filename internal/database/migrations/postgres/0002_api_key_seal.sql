-- +goose Up
-- modify "api_keys" table
ALTER TABLE "api_keys" ADD COLUMN "seal" bytea NULL;
