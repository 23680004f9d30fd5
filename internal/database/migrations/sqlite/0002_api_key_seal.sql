-- +goose Up
-- add column "seal" to table: "api_keys"
ALTER TABLE `api_keys` ADD COLUMN `seal` blob NULL;
