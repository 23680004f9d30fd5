package isolation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// misplaced puts a secret into every argument where none belongs, as a value of the wrong type and as one of the right
// type, and into the document itself. What a new object is called is no place to put a secret, but no secret either: it
// is kept and shown, so these arguments get the wrong type only.
func (f *flows) misplaced(t *testing.T) {
	t.Helper()
	for _, field := range operations() {
		document := document(t, field.Name, allArguments(field))
		for _, a := range field.Arguments {
			for _, path := range everyPath(a.Name, a.Type) {
				secret := f.newSecret(t, "misplaced secret")
				for _, value := range f.misfits(field.Name, path, secret) {
					f.as(t, document, nested(path, value))
				}
			}
		}
	}
	secret := f.newSecret(t, "misplaced secret")
	for _, document := range []string{
		`{ connection(id: "` + secret + `") { id } }`, `{ connection(id: "` + secret, `{ ` + strings.Trim(secret, "/+&%") + ` }`,
		`query($a: ID = "` + secret + `") { connection(id: $a) { id } }`, `{ connections(filter: {subject: 5, externalEmail: ["` + secret + `"]}) { nodes { id } } }`,
		`{ connections(filter: {password: "` + secret + `"}) { nodes { id } } }`, `mutation { createConnection(input: {code: "` + secret + `"}) { created } }`,
		`mutation { createConnection(input: {grant: {authorizationCode: {code: {value: "` + secret + `"}}}}) { created } }`,
		`# ` + secret + "\n{", `{ viewer @include(if: "` + secret + `") { isOperator } }`,
	} {
		f.as(t, document, args{"x": secret, secret: 1})
	}
	f.send(t, f.party.all, []byte(`{"query": "query A { viewer { isOperator } } query B { viewer { isOperator } }", "operationName": "`+secret+`"}`))
	f.Clock.Advance(time.Minute)
}

// misfits are values with the secret in them. An object where a text belongs is of the wrong type everywhere.
func (f *flows) misfits(operation, path, secret string) []any {
	values := []any{map[string]any{"value": secret}, map[string]any{secret: true}, []any{[]any{secret}}}
	if _, tried := rules[operation].tries[path]; tried || served.Query.Fields.ForName(operation) != nil {
		values = append(values, secret, map[string]any{secret: secret})
	}
	return values
}

func allArguments(f *ast.FieldDefinition) args {
	all := args{}
	for _, a := range f.Arguments {
		all[a.Name] = nil
	}
	return all
}

// everyPath are all places in an argument, whatever their type.
func everyPath(path string, typ *ast.Type) []string {
	all := []string{path}
	if d := served.Types[typ.Name()]; d.Kind == ast.InputObject {
		for _, f := range d.Fields {
			all = append(all, everyPath(path+"."+f.Name, f.Type)...)
		}
	}
	return all
}

// nested is the value at a path: "input.id" becomes {"input": {"id": value}}.
func nested(path string, value any) args {
	name, rest, deeper := strings.Cut(path, ".")
	if deeper {
		value = nested(rest, value)
	}
	return args{name: value}
}
