// Package ent is the generated data access layer; ent/schema describes it and ent/rule guards it.
package ent

//go:generate go tool ent generate --feature intercept,sql/upsert,sql/lock,sql/modifier,sql/execquery,sql/versioned-migration ./schema
