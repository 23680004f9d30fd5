package graph

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// oneOf implements @oneOf on what arrived, literal or variable: exactly one member, where null counts as not given.
// Errors: BAD_USER_INPUT, naming the choices.
func oneOf(ctx context.Context, obj any, next graphql.Resolver) (any, error) {
	value, err := next(ctx)
	if err != nil {
		return nil, err
	}
	members, _ := obj.(map[string]any)
	var given []string
	for name, member := range members {
		if member != nil {
			given = append(given, name)
		}
	}
	if len(given) == 1 {
		return value, nil
	}
	slices.Sort(given)
	field := model.InputField(graphql.GetPath(ctx), graphql.GetFieldContext(ctx))
	choices := strings.Join(names(value), ", ")
	if len(given) == 0 {
		return nil, errs.Input(field, "%s must have exactly one of %s, and has none", field, choices)
	}
	return nil, errs.Input(field, "%s must have exactly one of %s, and has %s", field, choices, strings.Join(given, " and "))
}

// names are the members of an input type as the schema has them, which the generator keeps in the tags.
func names(input any) []string {
	t := reflect.TypeOf(input)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var all []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		all = append(all, name)
	}
	return all
}
