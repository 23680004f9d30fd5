// Package graph is the public surface: the served schema, its resolvers and the HTTP handler.
//
// Mechanism: the hand-written SDL in this folder is what callers see; gqlgen makes graph/generated from it. A resolver
// turns arguments into a domain package's input, calls one function and turns rows into models; plain reads go to
// graph/read. Every error passes through one presenter, which decides what a caller may know.
//
// Reason: no rule lives here, so that the callback handler, the loops and the resolvers cannot differ.
//
// Limit: who is calling is decided before (internal/server puts a viewer into the context); without one only the schema
// itself can be asked for.
package graph
