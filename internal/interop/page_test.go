package interop_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// page is the documentation that these tests read and check.
const page = "../../docs/providers.md"

var update = flag.Bool("update", false, "write the lists of "+page+" anew")

// The keys under which Tokenkeep knows the server, one for each way to send a secret.
const (
	headerKey = "oidc-provider"
	paramsKey = "oidc-provider-params"
)

// exampleIssuer is the address in the page's example.
const exampleIssuer = "http://127.0.0.1:3000"

// providersFile returns the page's example for a server, and in it the same server once more with the other way to send
// a secret.
func providersFile(t *testing.T, s *server) string {
	t.Helper()
	_, rest, begun := strings.Cut(readPage(t), "```yaml\n")
	example, _, ended := strings.Cut(rest, "```")
	if !begun || !ended {
		t.Fatalf("%s has no example", page)
	}
	example = replace(t, example, exampleIssuer, s.issuer)
	_, second, _ := strings.Cut(example, "providers:\n")
	second = replace(t, replace(t, second, "key: "+headerKey, "key: "+paramsKey), "authStyle: header", "authStyle: params")
	return example + second
}

// replace is strings.ReplaceAll for what must be there.
func replace(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the example of %s does not contain %q", page, old)
	}
	return strings.ReplaceAll(text, old, with)
}

// entry is a provider as Tokenkeep reads it from the file.
func entry(t *testing.T, s *server, key string) provider.Provider {
	t.Helper()
	catalogue, err := provider.Builtin().Load(strings.NewReader(providersFile(t, s)), "providers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := catalogue.Get(key)
	if !ok {
		t.Fatalf("the file has no provider %s", key)
	}
	return p
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProvidersPage compares the lists on the page with the catalogue.
func TestProvidersPage(t *testing.T) {
	text := readPage(t)
	want := between(t, between(t, text, "built-in", builtinTable()), "excluded", excludedTable())
	if text == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the catalogue says: go test ./internal/interop -run %s -update", page, t.Name())
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// between replaces what is between a pair of markers.
func between(t *testing.T, text, marker, content string) string {
	t.Helper()
	parts := regexp.MustCompile(`(?s)(<!-- ` + marker + `: begin[^\n]*-->\n).*(<!-- ` + marker + `: end -->)`).FindStringSubmatchIndex(text)
	if parts == nil {
		t.Fatalf("%s has no markers for %s", page, marker)
	}
	return text[:parts[3]] + content + text[parts[4]:]
}

func builtinTable() string {
	var b bytes.Buffer
	b.WriteString("| key | name | grant types | secret in | PKCE | rotation | revocation | identity |\n|---|---|---|---|---|---|---|---|\n")
	yes := map[bool]string{true: "yes", false: "no"}
	styles := map[bool]string{true: "header", false: "form"}
	for _, p := range provider.Builtin().List() {
		types := make([]string, len(p.GrantTypes))
		for i, g := range p.GrantTypes {
			types[i] = string(g)
		}
		identified := p.Identity.Kind != "" && p.Identity.Kind != provider.IdentityNone
		style := styles[p.AuthStyle == oauth2.AuthStyleInHeader]
		if p.TokenEndpoint == "" {
			style = "-"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", p.Key, p.Name, strings.Join(types, ", "), style,
			yes[p.SupportsPKCE], yes[p.RotatesRefreshTokens], yes[p.RevocationEndpoint != ""], yes[identified])
	}
	return b.String()
}

func excludedTable() string {
	var b bytes.Buffer
	b.WriteString("| endpoint | why |\n|---|---|\n")
	excluded := provider.Excluded()
	for _, name := range slices.Sorted(maps.Keys(excluded)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, excluded[name])
	}
	return b.String()
}

// TestPageExplainsEveryField reads the names of the fields from the code that takes them.
func TestPageExplainsEveryField(t *testing.T) {
	code, err := os.ReadFile("../provider/fields.go")
	if err != nil {
		t.Fatal(err)
	}
	fields := []string{"key"}
	for _, m := range regexp.MustCompile(`(?m)^\t\t"(\w+)":\s+\S`).FindAllStringSubmatch(string(code), -1) {
		fields = append(fields, m[1])
	}
	if len(fields) < 20 {
		t.Fatalf("found %d fields in fields.go, want all of them", len(fields))
	}
	text := readPage(t)
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .+ \\| .+ \\|$").FindAllStringSubmatch(text[:strings.Index(text, "## Built-in")], -1)
	var explained []string
	for _, m := range rows {
		explained = append(explained, m[1])
	}
	slices.Sort(fields)
	slices.Sort(explained)
	if !slices.Equal(explained, fields) {
		t.Errorf("%s explains %q, the file has %q", page, explained, fields)
	}
}
