package model

import (
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// InputField names an argument or a part of one, as extensions.field does: "grant.authorizationCode.code". A leading
// "input" is left out, for every mutation has it. path is where in the response and, below that, in its arguments an
// input stands; it is empty where path names no input.
func InputField(path ast.Path, field *graphql.FieldContext) string {
	depth := 0
	if field != nil {
		depth = len(field.Path())
	}
	if len(path) <= depth {
		return ""
	}
	return ArgumentField(path[depth:])
}

// ArgumentField is InputField for a path that begins at the argument.
func ArgumentField(path ast.Path) string {
	text := path.String()
	if rest, ok := strings.CutPrefix(text, "input."); ok {
		return rest
	}
	return text
}
