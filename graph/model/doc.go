// Package model has the types that the served schema is made of, and makes them from rows.
//
// Mechanism: what a resolver returns is a plain struct whose fields are the GraphQL fields, so that the generated code
// reads a field instead of calling a resolver; only what needs another row is resolved (graph), batched. Types without a
// rule of their own are generated beside the hand-written ones.
//
// Reason: a row has columns that no caller may see. Here a field is served because somebody wrote it down.
//
// Limit: values that must not be printed are secret.Text until Secret writes them into the response.
package model
