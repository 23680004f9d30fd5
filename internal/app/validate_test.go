package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// list returns n different entries.
func list(n int, form string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(form, i)
	}
	return out
}

func TestCreateRefuses(t *testing.T) {
	type in = app.CreateInput
	url := "https://example.com/"
	long := url + strings.Repeat("a", 2049-len(url))
	cases := []struct {
		name   string
		change func(*in)
		want   string
	}{
		{"no provider", func(i *in) { i.Provider = "" }, "provider is not one of this installation's: choose among zoom, "},
		{"unknown provider", func(i *in) { i.Provider = "Zoom" }, "more that the query providers lists (provider)"},
		{"blank name", func(i *in) { i.Name = " " }, "name must not be empty (name)"},
		{"long name", func(i *in) { i.Name = strings.Repeat("ä", 201) }, "name is longer than 200 characters (name)"},
		{"lines in name", func(i *in) { i.Name = "a\nb" }, "name must not contain line breaks or other control characters (name)"},
		{"bytes in name", func(i *in) { i.Name = "\xff" }, "name is not valid UTF-8 (name)"},
		{"no client id", func(i *in) { i.ClientID = "" }, "clientId must not be empty; Zoom shows it on the page of your app (clientId)"},
		{"space in client id", func(i *in) { i.ClientID = "a b" }, "clientId must not contain spaces or line breaks; copy it again (clientId)"},
		{"line in client id", func(i *in) { i.ClientID = "a\n" }, "clientId must not contain spaces or line breaks; copy it again (clientId)"},
		{"NUL in client id", func(i *in) { i.ClientID = "a\x00" }, "clientId may only contain visible ASCII characters; copy it again (clientId)"},
		{"long client id", func(i *in) { i.ClientID = strings.Repeat("a", 513) }, "clientId is longer than 512 bytes (clientId)"},
		{"no name of a key", func(i *in) { i.Provider, i.ClientID = "api_key", "" }, "clientId must not be empty (clientId)"},
		{"long name of a key", func(i *in) { i.Provider, i.ClientID = "api_key", strings.Repeat("a", 201) }, "clientId is longer than 200 characters (clientId)"},
		{"no secret", func(i *in) { i.ClientSecret = secret.Text{} }, "clientSecret must not be empty: Zoom does not take clients without one (clientSecret)"},
		{
			"no secret without PKCE", func(i *in) { i.Provider, i.ClientSecret = "plain", secret.Text{} },
			"clientSecret must not be empty: Plain does not take clients without one (clientSecret)",
		},
		{"space before secret", func(i *in) { i.ClientSecret = secret.New(" a") }, "clientSecret must not contain spaces or line breaks; copy it again (clientSecret)"},
		{"line after secret", func(i *in) { i.ClientSecret = secret.New("a\r\n") }, "clientSecret must not contain spaces or line breaks; copy it again (clientSecret)"},
		{"umlaut in secret", func(i *in) { i.ClientSecret = secret.New("ä") }, "clientSecret may only contain visible ASCII characters; copy it again (clientSecret)"},
		{"long secret", func(i *in) { i.ClientSecret = secret.New(strings.Repeat("a", 4097)) }, "clientSecret is longer than 4096 bytes (clientSecret)"},
		{"line in webhook secret", func(i *in) { i.WebhookSecret = secret.New("a\n") }, "webhookSecret must not contain spaces or line breaks; copy it again (webhookSecret)"},
		{"empty scope", func(i *in) { i.Scopes = []string{"a", ""} }, "scopes[1] must not be empty (scopes[1])"},
		{"two scopes in one", func(i *in) { i.Scopes = []string{"a b"} }, "scopes[0] contains a space; give every scope an entry of its own (scopes[0])"},
		{
			"quote in scope", func(i *in) { i.Scopes = []string{`a"`} },
			"scopes[0] contains a character that no scope has; visible ASCII without quote and backslash is allowed (scopes[0])",
		},
		{
			"backslash in scope", func(i *in) { i.Scopes = []string{`a\`} },
			"scopes[0] contains a character that no scope has; visible ASCII without quote and backslash is allowed (scopes[0])",
		},
		{"long scope", func(i *in) { i.Scopes = []string{strings.Repeat("a", 257)} }, "scopes[0] is longer than 256 bytes (scopes[0])"},
		{"scope twice", func(i *in) { i.Scopes = []string{"a", "b", "a"} }, "scopes[2] repeats scopes[0] (scopes[2])"},
		{"many scopes", func(i *in) { i.Scopes = list(201, "s%d") }, "scopes has 201 entries; 200 is the most (scopes)"},
		{"many addresses", func(i *in) { i.RedirectURIs = list(21, url+"%d") }, "redirectUris has 21 entries; 20 is the most (redirectUris)"},
		{"address twice", func(i *in) { i.RedirectURIs = []string{url, url} }, "redirectUris[1] repeats redirectUris[0] (redirectUris[1])"},
		{"later address", func(i *in) { i.RedirectURIs = []string{url, "ftp://example.com"} }, "redirectUris[1] must be a whole address such as https://app.example.com/path (redirectUris[1])"},
	}
	const whole = " must be a whole address such as https://app.example.com/path"
	for address, want := range map[string]string{
		"":                              " must not be empty",
		"/callback":                     whole,
		"example.com/callback":          whole,
		"//example.com/callback":        whole,
		"https:example.com":             whole,
		"https://":                      whole,
		"https://:8443/":                whole,
		"javascript:alert(1)":           whole,
		"com.example.app:/cb":           whole,
		"http://example.com/":           " must begin with https://; http:// is for localhost only",
		"http://localhost.example.com/": " must begin with https://; http:// is for localhost only",
		"http://10.0.0.1/":              " must begin with https://; http:// is for localhost only",
		"https://a@example.com/":        " must not contain a user name or password",
		"https://a:b@example.com/":      " must not contain a user name or password",
		"https://example.com/#a":        " must not have a fragment (#...)",
		"https://example.com/#":         " must not have a fragment (#...)",
		"https://*.example.com/":        " must name one host; wildcards do not work",
		"https://example.com/a b":       " may not contain spaces, backslashes or characters beyond ASCII; percent-encode them",
		"https://example.com\\@evil/":   " may not contain spaces, backslashes or characters beyond ASCII; percent-encode them",
		"https://exämple.com/":          " may not contain spaces, backslashes or characters beyond ASCII; percent-encode them",
		"https://example.com/\n":        " may not contain spaces, backslashes or characters beyond ASCII; percent-encode them",
		"https://example.com/%zz":       " is not a URL",
		"https://example.com:port/":     " is not a URL",
		long:                            " is longer than 2048 bytes",
	} {
		for field, set := range map[string]func(*in){
			"redirectUris[0]": func(i *in) { i.RedirectURIs = []string{address} },
			"returnTo[0]":     func(i *in) { i.ReturnTo = []string{address} },
		} {
			cases = append(cases, struct {
				name   string
				change func(*in)
				want   string
			}{fmt.Sprintf("%s %.40q", field, address), set, field + want + " (" + field + ")"})
		}
	}
	each(t, func(t *testing.T, k *kit) {
		for _, test := range cases {
			in := zoom()
			test.change(&in)
			_, err := k.Create(admin(t, k.one), in)
			if err == nil || !strings.HasPrefix(err.Error(), "BAD_USER_INPUT: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s:\ngot  %v\nwant %s", test.name, err, test.want)
			}
		}
		if got := k.trail(t, k.one); len(got) != 0 {
			t.Errorf("the trail tells of %v", got)
		}
	})
}

func TestUpdateRefuses(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		a := k.create(t, ctx, zoom())
		empty, long := "", []string{strings.Repeat("a", 257)}
		none, line, bad := secret.Text{}, secret.New("a\n"), []string{"http://example.com"}
		for _, test := range []struct {
			in   app.UpdateInput
			want string
		}{
			{app.UpdateInput{Name: &empty}, "name must not be empty (name)"},
			{app.UpdateInput{ClientSecret: &none}, "clientSecret must not be empty: Zoom does not take clients without one (clientSecret)"},
			{app.UpdateInput{ClientSecret: &line}, "clientSecret must not contain spaces or line breaks; copy it again (clientSecret)"},
			{app.UpdateInput{WebhookSecret: &line}, "webhookSecret must not contain spaces or line breaks; copy it again (webhookSecret)"},
			{app.UpdateInput{RedirectURIs: &bad}, "redirectUris[0] must begin with https://; http:// is for localhost only (redirectUris[0])"},
			{app.UpdateInput{ReturnTo: &bad}, "returnTo[0] must begin with https://; http:// is for localhost only (returnTo[0])"},
			{app.UpdateInput{Scopes: &long}, "scopes[0] is longer than 256 bytes (scopes[0])"},
		} {
			test.in.ID = a.ID
			_, err := k.Update(ctx, test.in)
			fails(t, err, "BAD_USER_INPUT: "+test.want)
		}
		key := k.create(t, ctx, app.CreateInput{Provider: "api_key", ClientID: "Weather", ClientSecret: secret.New("x")})
		got, err := k.Update(ctx, app.UpdateInput{ID: key.ID, ClientSecret: &none})
		if err != nil || got.ClientSecret != nil || got.ClientSecretKeyVersion != 0 {
			t.Errorf("removing a secret that need not be: %+v, %v", got, err)
		}
	})
}

func TestCreateTakesWhatIsRight(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		in := zoom()
		in.RedirectURIs = []string{
			"https://example.com", "https://example.com:8443/a?b=c", "http://localhost", "http://LOCALHOST:3000/cb", "http://127.0.0.1:1/",
			"http://127.9.9.9/", "http://[::1]:3000/cb", "https://xn--exmple-cua.com/",
		}
		in.ReturnTo = append(in.RedirectURIs, list(12, "https://example.com/%d")...)
		in.Scopes = list(200, "user:read:user!#$%%&'()*+,-./:;<=>?@[]^_`{|}~%d")
		in.Name = strings.Repeat("ä", 200)
		in.ClientID, in.ClientSecret = strings.Repeat("~", 512), secret.New(strings.Repeat("!", 4096))
		a := k.create(t, admin(t, k.one), in)
		if c, err := k.Credentials(admin(t, k.one), a); err != nil || !c.ClientSecret.Equal(in.ClientSecret) {
			t.Errorf("got %v", err)
		}
	})
}
