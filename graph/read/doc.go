// Package read answers the queries of the served schema from the database.
//
// Mechanism: a caller's scope is checked first; then rows are read through ent, whose rules narrow every query to the
// caller's tenant, so that another tenant's row is absent and runs the same statements. Lists are keyset walks along the
// indexes of ent/schema (graph/page).
//
// Reason: reads have no rule but who may see what; everything that has more is an operation of a domain package.
//
// Limit: the metadata filter's subqueries are past ent's rules (they see what ent builds, not what is inside a predicate),
// so that each names the caller's tenant itself, and a test compares them with a model.
package read
