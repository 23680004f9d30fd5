package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

func TestRevoke(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   oauth.Outcome
	}{
		{"Zoom's success", 200, `{"status":"success"}`, ""},
		{"RFC 7009's success", 200, ``, ""},
		{"204", 204, ``, ""},
		{"unknown token", 400, `{"reason":"Invalid Token!","error":"invalid_request"}`, oauth.GrantDead},
		{"bad client", 400, `{"error":"invalid_client"}`, oauth.AppMisconfigured},
		{"refusal with 200", 200, `{"ok":false,"error":"invalid_auth"}`, oauth.GrantDead},
		{"outage", 503, html, oauth.Unavailable},
		{"limit", 429, ``, oauth.RateLimited},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _, basic := r.BasicAuth()
				_ = r.ParseForm()
				want := url.Values{"token": {"tok"}, "token_type_hint": {"access_token"}}
				if r.URL.Path != "/oauth/revoke" || r.PostForm.Encode() != want.Encode() || !basic {
					t.Errorf("got %s %v, basic %v", r.URL, r.PostForm, basic)
				}
				if tc.status == 204 {
					w.WriteHeader(204)
					return
				}
				answer(w, tc.status, tc.body)
			})
			err := newClient(oauth.Options{}).Revoke(t.Context(), app, secret.New("tok"), provider.AccessToken)
			if got := oauth.OutcomeOf(err); got != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestUserInfo(t *testing.T) {
	nested := provider.Identity{UserIDField: "data.id", EmailField: "data.mail", NameField: "data.names.full", AccountIDField: "org"}
	for _, tc := range []struct {
		name   string
		rule   provider.Identity
		status int
		body   string
		want   oauth.Identity
		err    oauth.Outcome
	}{
		{"OIDC", provider.Identity{}, 200, `{"sub":"u1","email":"a@example.com","name":"Ann"}`,
			oauth.Identity{UserID: "u1", Email: "a@example.com", DisplayName: "Ann", Active: true}, ""},
		{"nested", nested, 200, `{"org":12345678901234567890,"data":{"id":42,"mail":"b@example.com","names":{"full":"Bo"}}}`,
			oauth.Identity{UserID: "42", AccountID: "12345678901234567890", Email: "b@example.com", DisplayName: "Bo", Active: true}, ""},
		{"optional fields in odd forms", provider.Identity{}, 200, `{"sub":"u1","email":null,"name":["x"]}`, oauth.Identity{UserID: "u1", Active: true}, ""},
		{"nobody", provider.Identity{}, 200, `{"email":"a@example.com"}`, oauth.Identity{}, oauth.Unavailable},
		{"a list", provider.Identity{}, 200, `[]`, oauth.Identity{}, oauth.Unavailable},
		{"unauthorized", provider.Identity{}, 401, ``, oauth.Identity{}, oauth.Unauthorized},
		{"forbidden", provider.Identity{}, 403, `{"message":"scope"}`, oauth.Identity{}, oauth.Rejected},
		{"outage", provider.Identity{}, 502, html, oauth.Identity{}, oauth.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Method+" "+r.Header.Get("Authorization"), "GET Bearer tok"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				answer(w, tc.status, tc.body)
			})
			tc.rule.Kind, tc.rule.Endpoint = provider.IdentityUserInfo, app.Provider.APIBase+"/me"
			app.Provider.Identity = tc.rule
			got, err := newClient(oauth.Options{}).UserInfo(t.Context(), app.Provider, secret.New("tok"))
			if got != tc.want || oauth.OutcomeOf(err) != tc.err {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestUserInfoWithoutEndpoint(t *testing.T) {
	c := newClient(oauth.Options{})
	if id, err := c.UserInfo(t.Context(), provider.Provider{}, secret.New("tok")); err != nil || !id.Active {
		t.Errorf("no identity: got %+v, %v", id, err)
	}
	if _, err := c.UserInfo(t.Context(), provider.Zoom(), secret.New("tok")); oauth.OutcomeOf(err) != oauth.Rejected {
		t.Errorf("Zoom's identity is not asked here: got %v", err)
	}
}

func TestAuthorizeURL(t *testing.T) {
	google, _ := provider.Builtin().Get("google")
	strava, _ := provider.Builtin().Get("strava")
	for _, tc := range []struct {
		name string
		p    provider.Provider
		in   oauth.AuthorizeParams
		want string
	}{
		{"Zoom omits scopes", provider.Zoom(), oauth.AuthorizeParams{RedirectURI: "https://a.example/cb?x=1", State: "s", Challenge: "c", Scopes: []string{"user:read:user"}, LoginHint: "ann"},
			"https://zoom.us/oauth/authorize?client_id=id&code_challenge=c&code_challenge_method=S256&login_hint=ann&redirect_uri=https%3A%2F%2Fa.example%2Fcb%3Fx%3D1&response_type=code&state=s"},
		{"extra wins", google, oauth.AuthorizeParams{State: "s", Scopes: []string{"openid", "email"}, Extra: map[string]string{"prompt": "none"}},
			"https://accounts.google.com/o/oauth2/auth?access_type=offline&client_id=id&prompt=none&response_type=code&scope=openid+email&state=s"},
		{"commas", strava, oauth.AuthorizeParams{State: "s", Scopes: []string{"read", "write"}},
			"https://www.strava.com/oauth/authorize?client_id=id&response_type=code&scope=read%2Cwrite&state=s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := oauth.AuthorizeURL(oauth.App{Provider: tc.p, ClientID: "id", ClientSecret: secret.New("never")}, tc.in)
			if err != nil || got != tc.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
	if _, err := oauth.AuthorizeURL(oauth.App{}, oauth.AuthorizeParams{}); !errors.Is(err, oauth.ErrNoAuthorize) {
		t.Errorf("without endpoint: got %v, want %v", err, oauth.ErrNoAuthorize)
	}
}

func TestPKCE(t *testing.T) {
	// RFC 7636, appendix B.
	if got, want := oauth.Challenge(secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; got != want {
		t.Errorf("challenge = %q, want %q", got, want)
	}
	a, b := oauth.NewVerifier(), oauth.NewVerifier()
	if len(a.Reveal()) < 43 || a.Equal(b) {
		t.Errorf("verifiers of %d characters, equal: %v", len(a.Reveal()), a.Equal(b))
	}
}
