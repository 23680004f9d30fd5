package zoomsim_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestExchangeShape(t *testing.T) {
	z := newZoom(t)
	r := z.post("/oauth/token", codeForm(z.consent("ada")))
	got := r.fields(t)
	for name, want := range map[string]any{
		"token_type": "bearer", "expires_in": 3599.0, "api_url": z.url,
		"scope": "user:read:user user:read:token user:read:zak user:read:email",
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	for name, prefix := range map[string]string{"access_token": "zsim_at_", "refresh_token": "zsim_rt_"} {
		if s, _ := got[name].(string); !strings.HasPrefix(s, prefix) || len(s) != len(prefix)+43 {
			t.Errorf("%s: got %v", name, got[name])
		}
	}
	if len(got) != 6 {
		t.Errorf("members: got %d, want 6: %v", len(got), got)
	}
	if r.header.Get("X-Zm-Trackingid") == "" || r.header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("headers: got %v", r.header)
	}
}

func TestTokenParametersInQuery(t *testing.T) {
	z := newZoom(t)
	r := z.post("/oauth/token?"+codeForm(z.consent("ada")).Encode(), nil)
	if r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestTokenRefusals(t *testing.T) {
	noAuth := func(r *http.Request) { r.Header.Del("Authorization") }
	auth := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, secret) }
	}
	z := newZoom(t)
	valid := z.consent("ada")
	for _, tc := range []struct {
		name string
		form url.Values
		edit func(*http.Request)
		want string
	}{
		{"no credentials", codeForm(valid), noAuth, `{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`},
		{"bearer instead of basic", codeForm(valid), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
			`{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`},
		{"wrong secret", codeForm(valid), auth(clientID, "no"), `{"reason":"Invalid client_id or client_secret","error":"invalid_client"}`},
		{"unknown client", codeForm(valid), auth("no", "no"), `{"reason":"Invalid client_id or client_secret","error":"invalid_client"}`},
		{"no grant type", nil, nil, `{"reason":"Missing grant type.","error":"invalid_request"}`},
		{"grant type of another kind of app", url.Values{"grant_type": {"account_credentials"}}, nil,
			`{"reason":"unsupported grant type","error":"unsupported_grant_type"}`},
		{"no code", codeForm(""), nil, `{"reason":"Missing authorization code.","error":"invalid_request"}`},
		{"unknown code", codeForm("zzz"), nil, `{"reason":"Invalid authorization code zzz","error":"invalid_grant"}`},
		{"code of another client", codeForm(valid), auth(otherID, otherSecret),
			`{"reason":"Invalid authorization code ` + valid + `","error":"invalid_grant"}`},
		{"other redirect", url.Values{"grant_type": {"authorization_code"}, "code": {valid}, "redirect_uri": {callback + "/"}}, nil,
			`{"reason":"Redirect URI mismatch.","error":"invalid_request"}`},
		{"no refresh token", refreshForm(""), nil, `{"reason":"Token cannot be empty.","error":"invalid_request"}`},
		{"unknown refresh token", refreshForm("zzz"), nil, `{"reason":"Invalid Token!","error":"invalid_grant"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			edit := tc.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			z.wantReply(z.post("/oauth/token", tc.form, edit), 400, tc.want)
		})
	}
	z.exchange(valid) // no refusal spent it
}

func TestBodyCredentials(t *testing.T) {
	z := newZoom(t)
	inBody := func(form url.Values) reply {
		form.Set("client_id", clientID)
		form.Set("client_secret", clientSecret)
		return z.post("/oauth/token", form, func(r *http.Request) { r.Header.Del("Authorization") })
	}
	if r := inBody(codeForm(z.consent("ada"))); r.status != 200 {
		t.Errorf("by default: got %d %s", r.status, r.body)
	}
	if err := z.SetSwitches(zoomsim.Switches{BasicOnly: true}); err != nil {
		t.Fatal(err)
	}
	z.wantReply(inBody(codeForm(z.consent("ada"))), 400, `{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`)
}

func TestPKCE(t *testing.T) {
	const ( // RFC 7636, appendix B
		verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
		challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	)
	for _, tc := range []struct {
		name, challenge, method, verifier string
		want                              int
	}{
		{"S256", challenge, "S256", verifier, 200},
		{"S256, wrong verifier", challenge, "S256", verifier + "x", 400},
		{"S256, challenge as verifier", challenge, "S256", challenge, 400},
		{"S256, no verifier", challenge, "S256", "", 400},
		{"plain", verifier, "plain", verifier, 200},
		{"absent method is plain", verifier, "", verifier, 200},
		{"absent method is not S256", challenge, "", verifier, 400},
		{"verifier nobody asked for", "", "", verifier, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZoom(t)
			form := codeForm(z.consent("ada", params("code_challenge", tc.challenge, "code_challenge_method", tc.method)...))
			if tc.verifier != "" {
				form.Set("code_verifier", tc.verifier)
			}
			r := z.post("/oauth/token", form)
			if r.status != tc.want {
				t.Errorf("got %d %s, want %d", r.status, r.body, tc.want)
			}
			if tc.want == 400 && r.fields(t)["error"] != "invalid_grant" {
				t.Errorf("error: got %s, want invalid_grant", r.body)
			}
		})
	}
}

// params drops the pairs whose value is empty.
func params(pairs ...string) []string {
	var kept []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			kept = append(kept, pairs[i], pairs[i+1])
		}
	}
	return kept
}

func TestCodeIsSingleUseAndLivesFiveMinutes(t *testing.T) {
	z := newZoom(t)
	spent := z.consent("ada")
	tk := z.exchange(spent)
	refused := func(code string) {
		t.Helper()
		z.wantReply(z.post("/oauth/token", codeForm(code)), 400, `{"reason":"Invalid authorization code `+code+`","error":"invalid_grant"}`)
	}
	refused(spent)
	if got := z.Ledger().Totals.Duplicates; got != 1 {
		t.Errorf("duplicates: got %d, want 1", got)
	}
	z.refresh(tk.Refresh) // the second use did not harm the grant

	young, old := z.consent("bob"), z.consent("eve")
	z.advance(5*time.Minute - time.Second)
	z.exchange(young)
	z.advance(time.Second)
	refused(old)
}

func TestRotation(t *testing.T) {
	z := newZoom(t)
	first := z.connect("ada")
	second := z.refresh(first.Refresh)
	if second.Refresh == first.Refresh || second.Access == first.Access || second.Scope != first.Scope {
		t.Errorf("got %+v after %+v", second, first)
	}
	z.wantDead(first.Refresh)
	if r := z.me(first.Access); r.status != 200 {
		t.Errorf("earlier access token: got %d %s", r.status, r.body)
	}
	other := z.post("/oauth/token", refreshForm(second.Refresh), func(r *http.Request) { r.SetBasicAuth(otherID, otherSecret) })
	z.wantReply(other, 400, `{"reason":"Invalid Token!","error":"invalid_grant"}`)

	if err := z.SetSwitches(zoomsim.Switches{RefreshEndsAccessToken: true}); err != nil {
		t.Fatal(err)
	}
	third := z.refresh(second.Refresh)
	z.wantReply(z.me(second.Access), 401, `{"code":124,"message":"Invalid access token."}`)
	if r := z.me(third.Access); r.status != 200 {
		t.Errorf("newest access token: got %d %s", r.status, r.body)
	}
}

func TestOneOfManyRefreshesWins(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r, err := z.try("/oauth/token", refreshForm(tk.Refresh)); err == nil && r.status == 200 {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	l := z.Ledger()
	if won.Load() != 1 || l.Totals.Rotations != 1 || l.Totals.RefusedRefreshes != 19 || l.Grants[0].Generation != 2 {
		t.Errorf("winners %d, ledger %+v", won.Load(), l)
	}
}

func TestRefreshLife(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name     string
		switches zoomsim.Switches
		steps    []time.Duration // a refresh after each
		alive    bool            // after the last
	}{
		{"inside 90 days", zoomsim.Switches{}, []time.Duration{90*day - time.Second}, true},
		{"after 90 days", zoomsim.Switches{}, []time.Duration{90 * day}, false},
		{"sliding", zoomsim.Switches{}, []time.Duration{60 * day, 60 * day}, true},
		{"absolute", zoomsim.Switches{RefreshLifeAbsolute: true}, []time.Duration{60 * day, 60 * day}, false},
		{"shorter", zoomsim.Switches{RefreshLifeSeconds: 10}, []time.Duration{10 * time.Second}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZoom(t)
			if err := z.SetSwitches(tc.switches); err != nil {
				t.Fatal(err)
			}
			tk := z.connect("ada")
			last := len(tc.steps) - 1
			for _, d := range tc.steps[:last] {
				z.advance(d)
				tk = z.refresh(tk.Refresh)
			}
			z.advance(tc.steps[last])
			g := z.Ledger().Grants[0]
			if got := g.Status == zoomsim.GrantLive; got != tc.alive {
				t.Errorf("live: got %v, want %v", got, tc.alive)
			}
			if tc.alive {
				z.refresh(tk.Refresh)
				return
			}
			z.wantDead(tk.Refresh)
			if g.EndedReason != zoomsim.EndedByExpiry {
				t.Errorf("reason: got %q", g.EndedReason)
			}
		})
	}
}

func TestNewerConsentEndsOlderGrants(t *testing.T) {
	z := newZoom(t)
	older, bystander := z.connect("ada"), z.connect("bob")
	code := z.consent("ada")
	older = z.refresh(older.Refresh) // the consent alone ends nothing, the exchange does
	newer := z.exchange(code)
	z.wantDead(older.Refresh)
	z.wantReply(z.me(older.Access), 401, `{"code":124,"message":"Invalid access token."}`)
	z.refresh(newer.Refresh)
	z.refresh(bystander.Refresh)
	if g := z.Ledger().Grants[0]; g.Status != zoomsim.GrantEnded || g.EndedReason != zoomsim.EndedByConsent || g.Generation != 2 {
		t.Errorf("older grant: got %+v", g)
	}

	if err := z.SetSwitches(zoomsim.Switches{ConsentKeepsEarlierGrants: true}); err != nil {
		t.Fatal(err)
	}
	kept := z.connect("eve")
	z.connect("eve")
	z.refresh(kept.Refresh)
}
