package provider_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/provider"
)

func TestBuiltinOrder(t *testing.T) {
	list := provider.Builtin().List()
	if got, want := list[0].Key, "zoom"; got != want {
		t.Errorf("first provider = %q, want %q", got, want)
	}
	if got, want := list[1].Key, "amazon"; got != want {
		t.Errorf("second provider = %q, want %q", got, want)
	}
	if len(list) < 40 {
		t.Errorf("catalogue has %d entries, want all of x/oauth2/endpoints", len(list))
	}
}

func TestBuiltinEntriesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range provider.Builtin().List() {
		if seen[p.Name] {
			t.Errorf("%s: name %q comes twice", p.Key, p.Name)
		}
		seen[p.Name] = true
		if p.Key == "api_key" {
			continue
		}
		if p.AuthStyle != oauth2.AuthStyleInHeader && p.AuthStyle != oauth2.AuthStyleInParams {
			t.Errorf("%s: auth style is not set", p.Key)
		}
		if (p.RevocationEndpoint == "") != (p.RevokeWith == "") {
			t.Errorf("%s: revocation endpoint and the token to revoke with must come together", p.Key)
		}
		for _, u := range []string{p.AuthorizationEndpoint, p.TokenEndpoint, p.RevocationEndpoint, p.APIBase, p.Identity.Endpoint} {
			if parsed, err := url.Parse(u); u != "" && (err != nil || parsed.Scheme != "https" || parsed.Host == "") {
				t.Errorf("%s: %q is not an https URL", p.Key, u)
			}
		}
	}
}

// TestEveryEndpointIsKnown reads the source of x/oauth2/endpoints: an endpoint that a new version brings must get an
// entry or a reason.
func TestEveryEndpointIsKnown(t *testing.T) {
	byAddress := map[[2]string]string{}
	for _, p := range provider.Builtin().List() {
		byAddress[[2]string{p.AuthorizationEndpoint, p.TokenEndpoint}] = p.Key
	}
	excluded := provider.Excluded()
	names := exportedEndpoints(t)
	for name, address := range names {
		key, listed := byAddress[address]
		reason, out := excluded[name]
		switch {
		case listed && out:
			t.Errorf("endpoints.%s is entry %q and excluded too (%s)", name, key, reason)
		case !listed && !out:
			t.Errorf("endpoints.%s is neither in the table nor excluded with a reason", name)
		}
	}
	for name := range excluded {
		if _, ok := names[name]; !ok {
			t.Errorf("excluded endpoint %q does not exist", name)
		}
	}
}

// exportedEndpoints maps the exported names of x/oauth2/endpoints to authorize and token URL; functions, which want a
// tenant, map to empty ones.
func exportedEndpoints(t *testing.T) map[string][2]string {
	t.Helper()
	pkg, err := build.Import("golang.org/x/oauth2/endpoints", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, "endpoints.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][2]string{}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				names[d.Name.Name] = [2]string{"function", d.Name.Name}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && v.Names[0].IsExported() {
					names[v.Names[0].Name] = addressOf(t, v)
				}
			}
		}
	}
	return names
}

func addressOf(t *testing.T, v *ast.ValueSpec) [2]string {
	t.Helper()
	var address [2]string
	for _, elt := range v.Values[0].(*ast.CompositeLit).Elts {
		kv := elt.(*ast.KeyValueExpr)
		text, err := strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		switch kv.Key.(*ast.Ident).Name {
		case "AuthURL":
			address[0] = text
		case "TokenURL":
			address[1] = text
		}
	}
	return address
}

func TestWithReplacesWhole(t *testing.T) {
	builtin := provider.Builtin()
	changed := builtin.With(provider.Provider{Key: "zoom", Name: "Other"})
	if p, _ := changed.Get("zoom"); p.Name != "Other" || p.TokenEndpoint != "" {
		t.Errorf("replaced entry = %+v, want only what was given", p)
	}
	if p, _ := builtin.Get("zoom"); p.Name != "Zoom" {
		t.Errorf("the catalogue that was added to has changed: %+v", p)
	}
	if _, ok := (&provider.Catalogue{}).Get("zoom"); ok {
		t.Error("the zero catalogue has an entry")
	}
}

func TestSupports(t *testing.T) {
	key, _ := provider.Builtin().Get("api_key")
	for _, tc := range []struct {
		p    provider.Provider
		g    provider.GrantType
		want bool
	}{
		{provider.Zoom(), provider.AuthorizationCode, true},
		{provider.Zoom(), provider.DeviceCode, true},
		{provider.Zoom(), provider.APIKey, false},
		{key, provider.APIKey, true},
		{key, provider.AuthorizationCode, false},
	} {
		if got := tc.p.Supports(tc.g); got != tc.want {
			t.Errorf("%s supports %s = %v, want %v", tc.p.Key, tc.g, got, tc.want)
		}
	}
}

func TestZoomScopesAreDescribedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range provider.Zoom().Scopes {
		if s.Description == "" || seen[s.Name] {
			t.Errorf("scope %q has no description or comes twice", s.Name)
		}
		seen[s.Name] = true
	}
}

func TestAtBase(t *testing.T) {
	p := provider.Zoom().AtBase("http://127.0.0.1:9001/", "http://127.0.0.1:9002/")
	for _, tc := range []struct{ got, want string }{
		{p.AuthorizationEndpoint, "http://127.0.0.1:9001/oauth/authorize"},
		{p.TokenEndpoint, "http://127.0.0.1:9001/oauth/token"},
		{p.RevocationEndpoint, "http://127.0.0.1:9001/oauth/revoke"},
		{p.DeviceAuthorizationEndpoint, "http://127.0.0.1:9001/oauth/devicecode"},
		{p.APIBase, "http://127.0.0.1:9002"},
		{p.Identity.Endpoint, ""},
		{p.AllowedAPIURL("http://127.0.0.1:9002/"), "http://127.0.0.1:9002"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestAllowedAPIURL(t *testing.T) {
	exact := provider.Provider{APIBase: "http://127.0.0.1:9002", APIHosts: []string{"api.example.com"}}
	for _, tc := range []struct {
		p           provider.Provider
		value, want string
	}{
		{provider.Zoom(), "https://api.zoom.us", "https://api.zoom.us"},
		{provider.Zoom(), "https://api-eu.zoom.us/", "https://api-eu.zoom.us"},
		{provider.Zoom(), "https://EU01API.Zoom.US", "https://EU01API.Zoom.US"},
		{provider.Zoom(), "https://api.zoom.us:443", "https://api.zoom.us:443"},
		{provider.Zoom(), "https://zoom.us", ""},
		{provider.Zoom(), "http://api.zoom.us", ""},
		{provider.Zoom(), "https://api.zoom.us:8443", ""},
		{provider.Zoom(), "https://api.zoom.us.evil.example", ""},
		{provider.Zoom(), "https://evilzoom.us", ""},
		{provider.Zoom(), "https://api.zoom.us@evil.example", ""},
		{provider.Zoom(), "https://user:pass@api.zoom.us", ""},
		{provider.Zoom(), "https://api.zoom.us?x=1", ""},
		{provider.Zoom(), "//api.zoom.us", ""},
		{provider.Zoom(), "https:api.zoom.us", ""},
		{provider.Zoom(), "", ""},
		{provider.Zoom(), "%%", ""},
		{exact, "https://api.example.com", "https://api.example.com"},
		{exact, "https://x.api.example.com", ""},
		{exact, "http://127.0.0.1:9002", "http://127.0.0.1:9002"},
		{exact, "http://127.0.0.1:9003", ""},
		{exact, "https://127.0.0.1:9002", ""},
		{provider.Provider{}, "https://api.example.com", ""},
	} {
		if got := tc.p.AllowedAPIURL(tc.value); got != tc.want {
			t.Errorf("AllowedAPIURL(%q) = %q, want %q", tc.value, got, tc.want)
		}
	}
}
