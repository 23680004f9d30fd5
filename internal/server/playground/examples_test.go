package playground_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/tokenkeep/tokenkeep/internal/server/playground"
)

func contract(t *testing.T) *ast.Schema {
	t.Helper()
	sdl, err := os.ReadFile("../../../docs/contract.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: "contract.graphqls", Input: string(sdl)})
}

func TestEveryExampleIsValidAgainstTheContract(t *testing.T) {
	schema := contract(t)
	for _, example := range playground.Examples() {
		document, errs := gqlparser.LoadQueryWithRules(schema, example.Query, nil)
		if errs != nil {
			t.Errorf("%s: %v", example.Name, errs)
			continue
		}
		if len(document.Operations) != 1 || document.Operations[0].Name == "" {
			t.Errorf("%s: want one named operation", example.Name)
			continue
		}
		checkVariables(t, schema, document.Operations[0], example)
	}
}

// checkVariables wants the variables to fit, filled or not, and none that the operation does not declare.
func checkVariables(t *testing.T, schema *ast.Schema, operation *ast.OperationDefinition, example playground.Example) {
	t.Helper()
	for _, values := range []map[string]string{nil, {"app": "app_1", "connection": "conn_1"}} {
		filled := example.Fill(values)
		if _, err := validator.VariableValues(schema, operation, filled); err != nil {
			t.Errorf("%s: %v", example.Name, err)
		}
		if raw, _ := json.Marshal(filled); strings.Contains(string(raw), "{{") {
			t.Errorf("%s: a slot has neither value nor hint: %s", example.Name, raw)
		}
	}
	for name := range example.Variables {
		if operation.VariableDefinitions.ForName(name) == nil {
			t.Errorf("%s: variable %s is not declared", example.Name, name)
		}
	}
}

func TestExamplesCoverTheTasksAndReadWell(t *testing.T) {
	want := strings.Fields(`viewer providers apps createConnection connections connection credential credentials refreshConnection
		updateConnection deleteConnection createOAuthApp updateOAuthApp deleteOAuthApp apiKeys createAPIKey revokeAPIKey tenants createTenant`)
	var all strings.Builder
	names := map[string]bool{}
	for _, example := range playground.Examples() {
		if names[example.Name] || example.Title == "" || example.Group == "" || example.About == "" {
			t.Errorf("%q: name used twice, or title, group or about missing", example.Name)
		}
		names[example.Name] = true
		all.WriteString(example.Query)
	}
	for _, field := range want {
		if !strings.Contains(all.String(), "  "+field) {
			t.Errorf("no example for %s", field)
		}
	}
	files, err := filepath.Glob("ui/src/examples/*.graphql")
	if err != nil || len(files) != len(names) {
		t.Errorf("got %d files (%v), want one for each of %d entries of the index", len(files), err, len(names))
	}
}

func TestFillPutsValuesAndHints(t *testing.T) {
	for _, example := range playground.Examples() {
		if example.Name != "connect-account" {
			continue
		}
		const odd = `app_"1\`
		input := example.Fill(map[string]string{"app": odd})["input"].(map[string]any)
		grant := input["grant"].(map[string]any)["authorizationCode"].(map[string]any)
		if input["app"] != odd || grant["code"] != "<authorization code>" {
			t.Errorf("got %v", input)
		}
		if example.Variables["input"].(map[string]any)["app"] != "{{app}}" {
			t.Error("Fill changed the template")
		}
		return
	}
	t.Fatal("no example connect-account")
}
