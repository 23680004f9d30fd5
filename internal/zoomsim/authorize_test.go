package zoomsim_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestConsentCarriesCodeAndState(t *testing.T) {
	z := newZoom(t)
	for _, tc := range []struct{ name, state string }{
		{"plain state", "s-1"},
		{"state with markup", `{"a":"<b>&\"'"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, state, err := zoomsim.Consent(t.Context(), http.DefaultClient, z.authorizeURL("state", tc.state))
			if err != nil || !strings.HasPrefix(code, "zsim_ac_") || state != tc.state {
				t.Errorf("got code %q, state %q, error %v; want state %q", code, state, err, tc.state)
			}
		})
	}
}

func TestRedirectHasStateOnlyWhenGiven(t *testing.T) {
	z := newZoom(t)
	form := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback},
		"login_hint": {"ada"}, "decision": {"grant"}}
	for _, tc := range []struct {
		name string
		set  func(url.Values)
		want bool
	}{
		{"absent", func(url.Values) {}, false},
		{"empty", func(v url.Values) { v.Set("state", "") }, true},
		{"given", func(v url.Values) { v.Set("state", "x") }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form.Del("state")
			tc.set(form)
			r := z.post("/oauth/authorize", form)
			to, err := url.Parse(r.header.Get("Location"))
			if err != nil || r.status != 302 || !strings.HasPrefix(to.String(), callback+"?code=") {
				t.Fatalf("got %d to %q", r.status, to)
			}
			if got := to.Query().Has("state"); got != tc.want {
				t.Errorf("state on the redirect: got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	z := newZoom(t)
	for _, tc := range []struct {
		name  string
		extra []string
		want  string
	}{
		{"unknown client", []string{"client_id", "nobody"},
			`{"status":false,"errorCode":4702,"errorMessage":"Invalid client_id: nobody","result":null}`},
		{"foreign redirect", []string{"redirect_uri", "https://evil.test/"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`},
		{"redirect in other case", []string{"redirect_uri", "https://app.test/OAuth/callback"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`},
		{"origin in the user part", []string{"client_id", otherID, "redirect_uri", "https://other.test@evil.test/"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`},
		{"no redirect", []string{"redirect_uri", ""},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`},
		{"implicit flow", []string{"response_type", "token"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid response_type","result":null}`},
		{"unknown challenge method", []string{"code_challenge", "x", "code_challenge_method", "S512"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid code_challenge_method","result":null}`},
		{"method without challenge", []string{"code_challenge_method", "S256"},
			`{"status":false,"errorCode":4700,"errorMessage":"Missing code_challenge","result":null}`},
		{"unusable login", []string{"login_hint", "a@b@c"},
			`{"status":false,"errorCode":4700,"errorMessage":"Invalid login_hint","result":null}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := z.get(strings.TrimPrefix(z.authorizeURL(tc.extra...), z.url))
			z.wantReply(r, 400, tc.want)
			if got := r.header.Get("Location"); got != "" {
				t.Errorf("Location: got %q, want none", got)
			}
		})
	}
}

func TestBareOriginAllowsItsURLs(t *testing.T) {
	z := newZoom(t)
	_, _, err := zoomsim.Consent(t.Context(), nil, z.authorizeURL("client_id", otherID, "redirect_uri", "https://other.test/a?b=c"))
	if err != nil {
		t.Error(err)
	}
}

func TestConsentPage(t *testing.T) {
	z := newZoom(t)
	r := z.get(strings.TrimPrefix(z.authorizeURL("login_hint", "ada@acme.test", "scope", "anything:at:all"), z.url))
	for name, want := range map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{"Minutes &amp; More", "ada@acme.test", "user:read:token", `name="allow:user:read:zak" value="on" checked`} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "style=", "anything:at:all"} {
		if strings.Contains(r.body, never) {
			t.Errorf("the page contains %q", never)
		}
	}
	if css := z.get("/oauth/consent.css"); css.status != 200 || css.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("stylesheet: got %d %q", css.status, css.header.Get("Content-Type"))
	}
	if got := len(z.Users()); got != 0 {
		t.Errorf("users after looking at the page: got %d, want 0", got)
	}
}

func TestUntickedScopesAreNotGranted(t *testing.T) {
	z := newZoom(t)
	form := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback},
		"login_hint": {"ada"}, "decision": {"grant"}, "allow:user:read:email": {"on"}, "allow:not:in:the:app": {"on"}}
	to, err := url.Parse(z.post("/oauth/authorize", form).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	got := z.exchange(to.Query().Get("code")).Scope
	if want := "user:read:user user:read:token user:read:email"; got != want {
		t.Errorf("scope: got %q, want %q", got, want)
	}
}

func TestDecline(t *testing.T) {
	z := newZoom(t)
	form := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback},
		"state": {"s"}, "decision": {"decline"}}
	r := z.post("/oauth/authorize", form)
	if got, want := r.header.Get("Location"), callback+"?error=access_denied&state=s"; r.status != 302 || got != want {
		t.Errorf("got %d to %q, want 302 to %q", r.status, got, want)
	}
}

func TestLoginHintNamesStableUsers(t *testing.T) {
	first, second := newZoom(t), newZoom(t)
	for login, email := range map[string]string{
		"ada": "ada@example.com", "Ada Lovelace": "ada.lovelace@example.com", "Grace@Acme.test": "grace@acme.test",
	} {
		first.connect(login)
		second.connect(login)
		a, _ := first.User(login)
		b, _ := second.User(login)
		if a.Email != email || a.ID != b.ID || len(a.ID) != 22 || len(a.AccountID) != 22 || a.Status != zoomsim.UserActive {
			t.Errorf("%s: got %+v and id %s in another run, want address %s", login, a, b.ID, email)
		}
	}
	ada, _ := first.User("ada")
	lovelace, _ := first.User("ada.lovelace@example.com")
	grace, _ := first.User(mustID(t, first, "grace@acme.test"))
	if ada.AccountID != lovelace.AccountID || ada.AccountID == grace.AccountID {
		t.Error("users share an account exactly when they share a domain")
	}
}

func mustID(t *testing.T, z *zoom, login string) string {
	t.Helper()
	u, ok := z.User(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	return u.ID
}

func TestConsentHelper(t *testing.T) {
	for _, tc := range []struct {
		name, page, wantForm, wantErr string
	}{
		{
			name: "first form, all kinds of inputs",
			page: `<p>x<FORM method='POST' action=/submit?x=1><input name=a value="1 &amp; 2>"><input type=checkbox name=b checked>` +
				`<input type=checkbox name=c><input name=d value='q' disabled><input type=submit name=e value=go></FORM><form><input name=f></form>`,
			wantForm: "a=1+%26+2%3E&b=on&x=1",
		},
		{name: "no form", page: `<p>hello`, wantErr: "the page has no form"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got string
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "GET" {
					_, _ = w.Write([]byte(tc.page))
					return
				}
				_ = r.ParseForm()
				got = r.Form.Encode()
				http.Redirect(w, r, "https://app.test/?code=c&state=s", http.StatusFound)
			}))
			defer ts.Close()
			_, _, err := zoomsim.Consent(t.Context(), nil, ts.URL)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error: got %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.wantForm {
				t.Errorf("submitted %q, error %v; want %q", got, err, tc.wantForm)
			}
		})
	}
}

func TestConsentHelperReportsRefusals(t *testing.T) {
	z := newZoom(t)
	_, _, err := zoomsim.Consent(t.Context(), nil, z.authorizeURL("client_id", "nobody"))
	if err == nil || !strings.Contains(err.Error(), "fetching the consent page: unexpected answer 400") {
		t.Errorf("unknown client: got %v", err)
	}
	if _, err := z.PutUser(zoomsim.User{}); !errors.Is(err, zoomsim.ErrInvalid) {
		t.Errorf("a user without address: got %v, want ErrInvalid", err)
	}
}
