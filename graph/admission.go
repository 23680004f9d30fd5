package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// admission decides, before anything runs, whether an operation may: nobody gets anything but the schema, and the schema
// only where introspection is on.
type admission struct{ introspection bool }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = admission{}

// ExtensionName implements graphql.HandlerExtension.
func (admission) ExtensionName() string { return "Admission" }

// Validate implements graphql.HandlerExtension.
func (admission) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator; it changes nothing.
func (a admission) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	for _, field := range rootFields(op.Operation.SelectionSet) {
		switch {
		case field == "__typename":
		case strings.HasPrefix(field, "__"):
			if !a.introspection {
				return gqlerror.WrapPath(nil, errs.New(errs.Forbidden, "introspection is switched off on this server"))
			}
		case tenant.FromContext(ctx) == nil:
			return gqlerror.WrapPath(nil, errs.New(errs.Unauthenticated, "nobody is signed in: send an API key in the header Authorization"))
		}
	}
	return nil
}

// readsCredentials reports whether an operation hands out a credential.
func readsCredentials(op *ast.OperationDefinition) bool {
	for _, field := range rootFields(op.SelectionSet) {
		if field == "credential" || field == "credentials" {
			return true
		}
	}
	return false
}

// rootFields are the names of all fields that an operation selects at its root, skipped ones included.
func rootFields(set ast.SelectionSet) []string {
	var names []string
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			names = append(names, s.Name)
		case *ast.InlineFragment:
			names = append(names, rootFields(s.SelectionSet)...)
		case *ast.FragmentSpread:
			names = append(names, rootFields(s.Definition.SelectionSet)...)
		}
	}
	return names
}
