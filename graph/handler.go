package graph

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// Limits of a request.
const (
	// MaxBody is the most bytes a request's body may have.
	MaxBody = 1 << 20
	// MaxTokens is the most tokens a document may have.
	MaxTokens = 5_000
	// MaxComplexity is the limit where Options names none: a hundred connections with all that hangs on them pass.
	MaxComplexity = 10_000
	// queries is how many parsed documents are kept.
	queries = 1_000
)

// Options are what the handler is made of.
type Options struct {
	Connections Connections
	Apps        Apps
	Tenancy     Tenancy
	Holds       Holds
	// Providers is the catalogue.
	Providers *provider.Catalogue
	// Ent is what queries read from.
	Ent *ent.Client
	// Log gets what callers do not see; nil discards it.
	Log *slog.Logger
	// Introspection lets anybody read the schema, and errors suggest names from it. The zero value does neither.
	Introspection bool
	// Complexity is the most an operation may cost; zero means MaxComplexity.
	Complexity int
}

// NewHandler serves GraphQL over HTTP at any path: POST, and GET for queries without credentials. It expects the caller
// (tenant.NewContext) and the request (tenant.WithRequest) in the context.
func NewHandler(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Complexity == 0 {
		o.Complexity = MaxComplexity
	}
	reader := read.New(o.Ent)
	served := schema(&Resolver{
		connections: o.Connections, apps: o.Apps, tenancy: o.Tenancy, holds: o.Holds, providers: o.Providers, read: reader,
	})
	server := handler.New(served)
	server.AddTransport(transport{})
	server.SetQueryCache(lru.New[*ast.QueryDocument](queries))
	server.SetParserTokenLimit(MaxTokens)
	server.SetValidationRulesFn(validation(o.Introspection))
	server.SetDisableSuggestion(!o.Introspection)
	server.SetErrorPresenter(presenter{log: o.Log, names: inputNames(served.Schema())}.present)
	server.SetRecoverFunc(recovered)
	server.AroundRootFields(afresh(reader))
	server.Use(admission{introspection: o.Introspection})
	server.Use(extension.FixedComplexityLimit(o.Complexity))
	if o.Introspection {
		server.Use(extension.Introspection{})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		server.ServeHTTP(w, r.WithContext(read.NewContext(r.Context(), reader.Loaders())))
	})
}

// afresh gives each mutation of an operation loaders of its own: the second must not see rows as they were before the
// first. The fields of a query share those of the request.
func afresh(reader *read.Reader) graphql.RootFieldMiddleware {
	return func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
		if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation {
			ctx = read.NewContext(ctx, reader.Loaders())
		}
		return next(ctx)
	}
}

// config is the generated code's part of the wiring.
func config(r *Resolver) generated.Config {
	c := generated.Config{Resolvers: r, Directives: generated.DirectiveRoot{OneOf: oneOf}}
	weigh(&c.Complexity)
	return c
}
