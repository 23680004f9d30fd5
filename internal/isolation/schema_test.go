package isolation_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/tokenkeep/tokenkeep/graph/generated"
)

// served is the schema that the service serves.
var served = generated.NewExecutableSchema(generated.Config{}).Schema()

// operations are the fields of Query and Mutation.
func operations() []*ast.FieldDefinition {
	var all []*ast.FieldDefinition
	for _, root := range []*ast.Definition{served.Query, served.Mutation, served.Subscription} {
		if root == nil {
			continue
		}
		for _, f := range root.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				all = append(all, f)
			}
		}
	}
	return all
}

// operation finds a field of the roots.
func operation(t *testing.T, name string) (f *ast.FieldDefinition, kind string) {
	t.Helper()
	if f := served.Query.Fields.ForName(name); f != nil {
		return f, "query"
	}
	if f := served.Mutation.Fields.ForName(name); f != nil {
		return f, "mutation"
	}
	t.Fatalf("the schema has no operation %s", name)
	return nil, ""
}

// leaves are the arguments of a field that can carry a value of somebody's: texts, ids, cursors and metadata, as paths
// ("input.id"). Numbers, booleans, enum values and times name nobody.
func leaves(f *ast.FieldDefinition) []string {
	var all []string
	for _, a := range f.Arguments {
		all = append(all, leavesOf(a.Name, a.Type)...)
	}
	sort.Strings(all)
	return all
}

func leavesOf(path string, typ *ast.Type) []string {
	d := served.Types[typ.Name()]
	switch {
	case d.Kind == ast.InputObject:
		var all []string
		for _, f := range d.Fields {
			all = append(all, leavesOf(path+"."+f.Name, f.Type)...)
		}
		return all
	case d.Kind == ast.Enum:
		return nil
	case d.Name == "Int" || d.Name == "Float" || d.Name == "Boolean" || d.Name == "DateTime":
		return nil
	default:
		return []string{path}
	}
}

// depth is how far selections follow objects: a connection's app's tenant is within.
const depth = 3

// document calls an operation with the arguments that are given and selects all there is.
func document(t *testing.T, name string, given map[string]any) string {
	t.Helper()
	f, kind := operation(t, name)
	var declared, passed []string
	for _, a := range f.Arguments {
		if _, ok := given[a.Name]; ok {
			declared = append(declared, fmt.Sprintf("$%s: %s", a.Name, a.Type))
			passed = append(passed, fmt.Sprintf("%s: $%s", a.Name, a.Name))
		}
	}
	return kind + inBrackets(declared) + " { " + name + inBrackets(passed) + selection(f.Type, depth, "") + " }"
}

func inBrackets(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// selection selects every field of a type, and of the objects below it as far as that goes. In fragments each field has
// an alias, since types may disagree about it.
func selection(typ *ast.Type, left int, prefix string) string {
	d := served.Types[typ.Name()]
	switch d.Kind {
	case ast.Scalar, ast.Enum:
		return ""
	case ast.Union, ast.Interface:
		out := " { __typename"
		for _, possible := range served.GetPossibleTypes(d) {
			out += " ... on " + possible.Name + fields(possible, left, possible.Name+"_")
		}
		return out + " }"
	default:
		return fields(d, left, prefix)
	}
}

func fields(d *ast.Definition, left int, prefix string) string {
	var all []string
	for _, f := range d.Fields {
		below := served.Types[f.Type.Name()].Kind
		leaf := below == ast.Scalar || below == ast.Enum
		if strings.HasPrefix(f.Name, "__") || len(f.Arguments) > 0 || !leaf && left == 0 {
			continue
		}
		alias := ""
		if prefix != "" {
			alias = prefix + f.Name + ": "
		}
		all = append(all, alias+f.Name+selection(f.Type, left-1, ""))
	}
	if len(all) == 0 {
		all = []string{"__typename"}
	}
	return " { " + strings.Join(all, " ") + " }"
}
