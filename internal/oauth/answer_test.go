package oauth_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

var asJSON = http.Header{"Content-Type": {"application/json"}}

func TestDecodeAnswer(t *testing.T) {
	body := `{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":3599,
		"scope":"user:read:token user:read:user","api_url":"https://api-eu.zoom.us/","id_token":"x","team":{"id":7}}`
	set, err := oauth.DecodeAnswer(provider.Zoom(), asJSON, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if set.AccessToken.Reveal() != "a" || set.RefreshToken.Reveal() != "r" || set.TokenType != "bearer" || set.ExpiresIn != 3599*time.Second {
		t.Errorf("got %q %q %q %v", set.AccessToken.Reveal(), set.RefreshToken.Reveal(), set.TokenType, set.ExpiresIn)
	}
	if want := []string{"user:read:token", "user:read:user"}; !slices.Equal(set.Scopes, want) || !set.HasScopes {
		t.Errorf("scopes = %v (%v), want %v", set.Scopes, set.HasScopes, want)
	}
	if got, want := set.APIURL, "https://api-eu.zoom.us"; got != want {
		t.Errorf("api_url = %q, want %q", got, want)
	}
	if len(set.Extra) != 2 || string(set.Extra["id_token"]) != `"x"` || string(set.Extra["team"]) != `{"id":7}` {
		t.Errorf("extra = %s", set.Extra)
	}
}

func TestDecodeAnswerFields(t *testing.T) {
	for _, tc := range []struct {
		name, more string
		life       time.Duration
		scopes     []string
		refresh    string
		apiURL     string
	}{
		{name: "nothing more"},
		{name: "life as a string", more: `,"expires_in":"3600"`, life: time.Hour},
		{name: "life as a fraction", more: `,"expires_in":1.5`, life: 1500 * time.Millisecond},
		{name: "life as an exponent", more: `,"expires_in":36e2`, life: time.Hour},
		{name: "no life", more: `,"expires_in":0`},
		{name: "negative life", more: `,"expires_in":-5`},
		{name: "null life", more: `,"expires_in":null`},
		{name: "life in words", more: `,"expires_in":"an hour"`},
		{name: "endless life", more: `,"expires_in":1e30`, life: 100 * 365 * 24 * time.Hour},
		{name: "commas", more: `,"scope":"repo, gist"`, scopes: []string{"repo", "gist"}},
		{name: "array", more: `,"scope":["chat:read","chat:edit"]`, scopes: []string{"chat:read", "chat:edit"}},
		{name: "empty scope", more: `,"scope":""`},
		{name: "odd scope", more: `,"scope":{"a":1}`},
		{name: "odd refresh token", more: `,"refresh_token":null`},
		{name: "refresh token", more: `,"refresh_token":"r2"`, refresh: "r2"},
		{name: "foreign api_url", more: `,"api_url":"https://api.zoom.us.evil.example"`},
		{name: "api_url", more: `,"api_url":"https://api-us.zoom.us"`, apiURL: "https://api-us.zoom.us"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := oauth.DecodeAnswer(provider.Zoom(), asJSON, []byte(`{"access_token":"a"`+tc.more+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if set.ExpiresIn != tc.life || !slices.Equal(set.Scopes, tc.scopes) || set.HasScopes != (tc.scopes != nil) {
				t.Errorf("got life %v, scopes %v (%v)", set.ExpiresIn, set.Scopes, set.HasScopes)
			}
			if set.RefreshToken.Reveal() != tc.refresh || set.APIURL != tc.apiURL || set.TokenType != "bearer" || set.Extra != nil {
				t.Errorf("got refresh token %q, api_url %q, type %q, extra %s", set.RefreshToken.Reveal(), set.APIURL, set.TokenType, set.Extra)
			}
		})
	}
}

func TestDecodeAnswerForm(t *testing.T) {
	header := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	set, err := oauth.DecodeAnswer(provider.Provider{}, header, []byte("access_token=a%2Bb&expires=86400&scope=x,y\n"))
	if err != nil {
		t.Fatal(err)
	}
	if set.AccessToken.Reveal() != "a+b" || !slices.Equal(set.Scopes, []string{"x", "y"}) || string(set.Extra["expires"]) != `"86400"` {
		t.Errorf("got %q, scopes %v, extra %s", set.AccessToken.Reveal(), set.Scopes, set.Extra)
	}
}

func TestDecodeAnswerRefuses(t *testing.T) {
	for _, body := range []string{"", "{}", "[]", "null", html, `{"access_token":""}`, `{"access_token":7}`, `{"access_token":null}`,
		`{"access_token":"a"`, `{"access_token":"a"} trailing`, "access_token=a",
		`{"access_token":"a","refresh_token":"r`, `{"access_token":"a","refresh_token":7`, `["access_token","refresh_token"`} {
		if set, err := oauth.DecodeAnswer(provider.Zoom(), asJSON, []byte(body)); err == nil {
			t.Errorf("DecodeAnswer(%q) = %+v, want an error", body, set)
		}
	}
}

// TestDecodeAnswerCutOff: what arrived of an answer behind both tokens is a grant in hand.
func TestDecodeAnswerCutOff(t *testing.T) {
	whole := `{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":3600,"scope":"x y","more":{"n":1}}`
	tokens := len(`{"access_token":"a","token_type":"bearer","refresh_token":"r"`)
	for cut := range len(whole) {
		set, err := oauth.DecodeAnswer(provider.Zoom(), asJSON, []byte(whole[:cut]))
		if (err == nil) != (cut >= tokens) {
			t.Errorf("%s: got %v", whole[:cut], err)
		}
		if err == nil && (set.AccessToken.Reveal() != "a" || set.RefreshToken.Reveal() != "r" || set.ExpiresIn != 0 && set.ExpiresIn != time.Hour) {
			t.Errorf("%s: got life %v", whole[:cut], set.ExpiresIn)
		}
	}
	for _, body := range []string{whole + " trailing", "\xef\xbb\xbf" + whole, "\xef\xbb\xbf" + whole + "<"} {
		set, err := oauth.DecodeAnswer(provider.Zoom(), http.Header{"Content-Type": {"text/html"}}, []byte(body))
		if err != nil || set.RefreshToken.Reveal() != "r" || set.ExpiresIn != time.Hour || len(set.Extra) != 1 {
			t.Errorf("%s: got %+v, %v", body, set, err)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add("application/json", []byte(`{"access_token":"a","expires_in":"3600","scope":["x"],"api_url":"https://api.zoom.us"}`))
	f.Add("text/plain", []byte("access_token=a&expires_in=3600"))
	f.Add("", []byte(html))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		set, err := oauth.DecodeAnswer(provider.Zoom(), http.Header{"Content-Type": {kind}}, body)
		if err != nil {
			return
		}
		if set.AccessToken.IsZero() || set.TokenType == "" || set.ExpiresIn < 0 || set.HasScopes != (len(set.Scopes) > 0) {
			t.Errorf("got %+v", set)
		}
		if set.APIURL != "" && provider.Zoom().AllowedAPIURL(set.APIURL) != set.APIURL {
			t.Errorf("api_url %q is not allowed or not in its final form", set.APIURL)
		}
		if _, err := json.Marshal(set.Extra); err != nil {
			t.Errorf("extra cannot be stored: %v", err)
		}
	})
}

func FuzzClassify(f *testing.F) {
	f.Add("refresh", 400, "application/json", []byte(`{"reason":"Invalid Token!","error":"invalid_grant"}`))
	f.Add("exchange", 200, "text/plain", []byte("error=bad_verification_code"))
	f.Add("userinfo", 502, "text/html", []byte(html))
	f.Fuzz(func(t *testing.T, call string, status int, kind string, body []byte) {
		header := http.Header{"Content-Type": {kind}, "Retry-After": {string(body)}}
		e := oauth.Classify(oauth.Call(call), status, header, body, now)
		if e.Outcome == "" || e.Reason == "" || e.Message == "" || e.RetryAfter < 0 || len(e.ProviderCode) > 48 {
			t.Errorf("got %+v", e)
		}
		if status >= 500 && (e.Outcome == oauth.GrantDead || e.Outcome == oauth.CodeRejected) {
			t.Errorf("status %d counts as death", status)
		}
	})
}
