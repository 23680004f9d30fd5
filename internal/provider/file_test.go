package provider_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/provider"
)

const yamlFile = `
providers:
  - key: acme
    name: Acme
    grantTypes: [AUTHORIZATION_CODE, CLIENT_CREDENTIALS]
    scopes:
      - {name: read, description: Read things.}
    authorizationEndpoint: https://acme.example/authorize
    tokenEndpoint: https://acme.example/token
    revocationEndpoint: https://acme.example/revoke
    revokeWith: refresh_token
    apiBase: https://api.acme.example/
    apiHosts: ["*.acme.example"]
    authStyle: header
    supportsPKCE: true
    rotatesRefreshTokens: true
    reuse: revokes-family
    accessTokenLife: 90m
    refreshTokenLife: 2160h
    authorizeParams: {prompt: consent}
    identity: {kind: userinfo, endpoint: "https://acme.example/me", userIdField: id, accountIdField: org.id}
  - key: vault_of_keys
    grantTypes: [API_KEY]
`

const jsonFile = "{\n\t\"providers\": [\n\t\t{\"key\": \"local\", \"tokenEndpoint\": \"http://127.0.0.1:4000/token\"," +
	"\n\t\t \"authorizationEndpoint\": \"http://localhost:4000/auth\", \"authStyle\": \"params\"}\n\t]\n}\n"

func TestLoadYAML(t *testing.T) {
	c, err := provider.Builtin().Load(strings.NewReader(yamlFile), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := c.Get("acme")
	if !ok {
		t.Fatal("entry is missing")
	}
	if p.Name != "Acme" || p.AuthStyle != oauth2.AuthStyleInHeader || !p.SupportsPKCE || !p.RotatesRefreshTokens {
		t.Errorf("entry = %+v", p)
	}
	if p.AccessTokenLife != 90*time.Minute || p.RefreshTokenLife != 2160*time.Hour || p.Reuse != provider.ReuseRevokesFamily {
		t.Errorf("lives and reuse = %v, %v, %v", p.AccessTokenLife, p.RefreshTokenLife, p.Reuse)
	}
	if p.APIBase != "https://api.acme.example" || p.AllowedAPIURL("https://eu.acme.example") == "" {
		t.Errorf("API base and hosts = %q, %v", p.APIBase, p.APIHosts)
	}
	if p.Identity.UserIDField != "id" || p.Identity.AccountIDField != "org.id" || p.RevokeWith != provider.RefreshToken {
		t.Errorf("identity = %+v, revoked with %q", p.Identity, p.RevokeWith)
	}
	if p.AuthorizeParams["prompt"] != "consent" || len(p.Scopes) != 1 || p.Scopes[0].Description != "Read things." {
		t.Errorf("params %v, scopes %v", p.AuthorizeParams, p.Scopes)
	}
	if k, _ := c.Get("vault_of_keys"); !k.Supports(provider.APIKey) || k.Name != "vault_of_keys" {
		t.Errorf("API-key entry = %+v", k)
	}
}

func TestLoadFileJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(path, []byte(jsonFile), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := provider.Builtin().LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := c.Get("local")
	if p.AuthStyle != oauth2.AuthStyleInParams || !p.Supports(provider.AuthorizationCode) {
		t.Errorf("entry = %+v", p)
	}
	if _, err := c.LoadFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: got %v, want %v", err, os.ErrNotExist)
	}
}

func TestLoadOverridesOnlyWhatIsGiven(t *testing.T) {
	file := `{"providers": [{"key": "zoom", "tokenEndpoint": "http://127.0.0.1:9/oauth/token", "apiHosts": ["zoom.test.example"]}]}`
	c, err := provider.Builtin().Load(strings.NewReader(file), "p.json")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := c.Get("zoom")
	if p.TokenEndpoint != "http://127.0.0.1:9/oauth/token" || p.AuthorizationEndpoint != "https://zoom.us/oauth/authorize" || !p.OmitsScope {
		t.Errorf("entry = %+v", p)
	}
	if got, want := provider.Zoom().APIHosts[0], "*.zoom.us"; got != want {
		t.Errorf("built-in hosts changed to %q, want %q", got, want)
	}
}

func TestLoadEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}", "providers: []", `{"providers": []}`} {
		if _, err := provider.Builtin().Load(strings.NewReader(text), "p"); err != nil {
			t.Errorf("Load(%q) = %v, want none", text, err)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	acme := func(more string) string {
		return `{"providers": [{"key": "acme", "authorizationEndpoint": "https://a.example/a", "tokenEndpoint": "https://a.example/t", "authStyle": "header"` + more + `}]}`
	}
	for _, tc := range []struct{ name, text, want string }{
		{"unknown field", acme(`, "tokenURL": "x"`), "reading providers file p: provider acme: field tokenURL: is unknown"},
		{"unknown nested field", acme(`, "identity": {"kind": "userinfo", "url": "x"}`), `provider acme: field identity: json: unknown field "url"`},
		{"field twice", acme(`, "authStyle": "params"`), `provider #1: field "authStyle" comes twice`},
		{"wrong type", acme(`, "supportsPKCE": "yes"`), "provider acme: field supportsPKCE: got a string where a bool belongs"},
		{"null", acme(`, "name": null`), "provider acme: field name: has no value"},
		{"http", acme(`, "revokeWith": "access_token", "revocationEndpoint": "http://a.example/r"`),
			`provider acme: field revocationEndpoint: "http://a.example/r" is not https; plain http is for loopback addresses only`},
		{"loopback look-alike", acme(`, "apiBase": "http://127.0.0.1.evil.example"`), "field apiBase"},
		{"relative", acme(`, "apiBase": "/api"`), `field apiBase: "/api" is not an absolute URL`},
		{"user name", acme(`, "apiBase": "https://u@a.example"`), "field apiBase: must not carry a user name"},
		{"bad grant", acme(`, "grantTypes": ["PASSWORD"]`), `field grantTypes: "PASSWORD" is none of`},
		{"no grant", acme(`, "grantTypes": []`), "field grantTypes: is empty"},
		{"device without endpoint", acme(`, "grantTypes": ["DEVICE_CODE"]`), "field deviceAuthorizationEndpoint: is missing"},
		{"bad reuse", acme(`, "reuse": "never"`), `field reuse: "never" is none of`},
		{"bad life", acme(`, "accessTokenLife": "soon"`), `field accessTokenLife: "soon" is not a duration`},
		{"bad host", acme(`, "apiHosts": ["*"]`), `field apiHosts: "*" is not a host name`},
		{"bad identity", acme(`, "identity": {"kind": "guess"}`), `field identity: kind "guess" is none of`},
		{"identity without endpoint", acme(`, "identity": {"kind": "userinfo"}`), "field identity.endpoint: is missing"},
		{"revocation without token", acme(`, "revocationEndpoint": "https://a.example/r"`), "field revokeWith: is missing"},
		{"nameless scope", acme(`, "scopes": [{"description": "x"}]`), "field scopes: a scope has no name"},
		{"missing endpoint", `{"providers": [{"key": "acme", "tokenEndpoint": "https://a.example/t", "authStyle": "header"}]}`,
			"provider acme: field authorizationEndpoint: is missing"},
		{"missing style", `{"providers": [{"key": "acme", "authorizationEndpoint": "https://a.example/a", "tokenEndpoint": "https://a.example/t"}]}`,
			"provider acme: field authStyle: is missing"},
		{"bad style", `{"providers": [{"key": "acme", "authStyle": "auto"}]}`, `provider acme: field authStyle: "auto" is neither "header" nor "params"`},
		{"no key", `{"providers": [{"name": "Acme"}]}`, "provider #1: field key: is missing"},
		{"bad key", `{"providers": [{"key": "A C"}]}`, `provider #1: field key: "A C" is not`},
		{"duplicate key", "providers:\n- {key: k, grantTypes: [API_KEY]}\n- {key: k, grantTypes: [API_KEY]}\n", "provider k: field key: comes twice in this file"},
		{"not an entry", `{"providers": [7]}`, "provider #1: expected an object"},
		{"not a list", `{"providers": {}}`, "providers must be a list of entries"},
		{"other top field", "provider: []\n", `unknown field "provider"`},
		{"scalar", "hello", "expected an object"},
		{"broken JSON", `{"providers": [`, "reading providers file p: "},
		{"text behind", `{"providers": []} {}`, "more text behind the object"},
		{"broken YAML", "providers: [\n", "reading providers file p: "},
		{"YAML field twice", "providers: []\nproviders: []\n", "reading providers file p: "},
		{"too long", "#" + strings.Repeat("x", 1<<20), "longer than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := provider.Builtin().Load(strings.NewReader(tc.text), "p")
			var fileErr *provider.FileError
			if !errors.As(err, &fileErr) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestKeepAliveOfAnEntry is read, and lies inside the life of the refresh token, or the token would end first.
func TestKeepAliveOfAnEntry(t *testing.T) {
	for _, test := range []struct{ lives, says string }{
		{"refreshTokenLife: 48h\n    keepAlive: 24h", ""},
		{"keepAlive: 24h", ""},
		{"refreshTokenLife: 24h\n    keepAlive: 24h", "keepAlive"},
		{"refreshTokenLife: 24h\n    keepAlive: 48h", "keepAlive"},
		{"keepAlive: -1h", "keepAlive"},
		{"keepAlive: soon", "keepAlive"},
	} {
		c, err := provider.Builtin().Load(strings.NewReader(strings.Replace(yamlFile, "refreshTokenLife: 2160h", test.lives, 1)), "p.yaml")
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q: got %v, want it to name %s", test.lives, err, test.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.lives, err)
			continue
		}
		if p, _ := c.Get("acme"); p.KeepAlive != 24*time.Hour {
			t.Errorf("%q: kept alive every %v", test.lives, p.KeepAlive)
		}
	}
}
