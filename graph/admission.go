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
	if selected(op.Operation.SelectionSet, map[*ast.FragmentDefinition]int{}) > maxSelected {
		return gqlerror.WrapPath(nil, errs.New(errs.TooComplex, "the operation selects more than %d fields once its fragments are spread; ask for less at once", maxSelected))
	}
	fields, schemas := rootFields(op.Operation.SelectionSet), 0
	for _, field := range fields {
		if field == "__schema" || field == "__type" {
			schemas++
		}
	}
	if schemas > maxSchemas {
		return gqlerror.WrapPath(nil, errs.New(errs.TooComplex, "the operation asks for the schema %d times; %d is the most", schemas, maxSchemas))
	}
	for _, field := range fields {
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

// Bounds of one operation, checked before anything walks it.
const (
	// maxSelected is how many fields an operation may select with every spread counted in full. Few fragments that spread
	// one another twice each come to more than any memory holds.
	maxSelected = 10_000
	// maxSchemas is how often an operation may ask for the schema or a type of it, which costs more than other fields.
	maxSchemas = 4
)

// selected counts the fields of a selection with every spread in full, to just above maxSelected; sizes remembers those
// of fragments. Validation has seen to it that fragments do not contain themselves.
func selected(set ast.SelectionSet, sizes map[*ast.FragmentDefinition]int) int {
	n := 0
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			n += 1 + selected(s.SelectionSet, sizes)
		case *ast.InlineFragment:
			n += selected(s.SelectionSet, sizes)
		case *ast.FragmentSpread:
			size, known := sizes[s.Definition]
			if !known {
				size = selected(s.Definition.SelectionSet, sizes)
				sizes[s.Definition] = size
			}
			n += size
		}
		n = min(n, maxSelected+1)
	}
	return n
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

// rootFields are the names of all fields that an operation selects at its root, skipped ones included. A fragment that is
// spread again adds nothing: what it selects is merged into what is there.
func rootFields(set ast.SelectionSet) []string {
	return appendRootFields(nil, set, map[*ast.FragmentDefinition]bool{})
}

func appendRootFields(names []string, set ast.SelectionSet, seen map[*ast.FragmentDefinition]bool) []string {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			names = append(names, s.Name)
		case *ast.InlineFragment:
			names = appendRootFields(names, s.SelectionSet, seen)
		case *ast.FragmentSpread:
			if !seen[s.Definition] {
				seen[s.Definition] = true
				names = appendRootFields(names, s.Definition.SelectionSet, seen)
			}
		}
	}
	return names
}
