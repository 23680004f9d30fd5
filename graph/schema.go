package graph

import (
	"maps"

	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/graph/generated"
)

// schema is the served schema with its resolvers. @defer is taken out: the validator knows it, and a response that
// comes in parts would need a transport for it.
func schema(r *Resolver) graphql.ExecutableSchema {
	c := config(r)
	own := *generated.NewExecutableSchema(c).Schema()
	own.Directives = maps.Clone(own.Directives)
	delete(own.Directives, "defer")
	c.Schema = &own
	return generated.NewExecutableSchema(c)
}
