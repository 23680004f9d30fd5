package connection_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/ent"
	domain "github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// odd is a token endpoint that answers what the test tells it to.
type odd struct {
	*kit
	mu sync.Mutex
	// answers are the next ones; sent are the refresh tokens that came.
	answers, sent []string
	// before runs ahead of an answer.
	before func()
	app    *ent.OAuthApp
	codes  int
}

// eachOdd runs the test on every database, each with an endpoint of its own. Neither the provider's entry nor its answers
// say more than the test has them say.
func eachOdd(t *testing.T, change func(*provider.Provider), test func(t *testing.T, o *odd)) {
	t.Helper()
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		o := &odd{}
		server := httptest.NewServer(o)
		t.Cleanup(server.Close)
		entry := provider.Provider{Key: "odd", Name: "Odd", GrantTypes: []provider.GrantType{provider.AuthorizationCode},
			AuthorizationEndpoint: server.URL + "/authorize", TokenEndpoint: server.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader, RotatesRefreshTokens: true}
		if change != nil {
			change(&entry)
		}
		s := servicetest.New(t, url, servicetest.Options{Providers: []provider.Provider{entry}})
		o.kit = &kit{Service: s, t: t, one: s.Tenant(t, "one"), other: s.Tenant(t, "other")}
		o.app = s.App(t, o.one, "odd")
		test(t, o)
	})
}

func (o *odd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if token := r.PostFormValue("refresh_token"); token != "" {
		o.sent = append(o.sent, token)
	}
	answer := `{"error":"invalid_grant"}`
	if len(o.answers) > 0 {
		answer, o.answers = o.answers[0], o.answers[1:]
	}
	if o.before != nil {
		o.before()
	}
	if strings.Contains(answer, `"error"`) {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, answer)
}

// says sets the next answers.
func (o *odd) says(answers ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = answers
}

// code is one that was not used yet.
func (o *odd) code() string {
	o.codes++
	return fmt.Sprintf("code-%d", o.codes)
}

// connected connects with the answer and lets a minute pass.
func (o *odd) connected(answer string) *ent.Connection {
	o.t.Helper()
	o.says(answer)
	c, _, err := o.create(o.code(), func(in *domain.CreateInput) { in.App = &o.app.ID })
	if err != nil {
		o.t.Fatal(err)
	}
	o.Clock.Advance(time.Minute)
	return c
}

// refreshedBy refreshes with the answer and returns the row.
func (o *odd) refreshedBy(c *ent.Connection, answer string) *ent.Connection {
	o.t.Helper()
	o.says(answer)
	before := o.Row(o.t, c.ID).Generation
	row, err := o.Connections.Refresh(o.one.Ctx, c.ID)
	if err != nil || row.Generation != before+1 {
		o.t.Fatalf("got %+v, %v", row, err)
	}
	return row
}

// lifeOf is how long the token lives that was just obtained; zero where it does not expire.
func (o *odd) lifeOf(row *ent.Connection) time.Duration {
	if row.AccessTokenExpiresAt == nil {
		return 0
	}
	return row.AccessTokenExpiresAt.Sub(o.Clock.Now())
}

// TestOddLives: what an answer says of a token's life, in all the forms that are seen.
func TestOddLives(t *testing.T) {
	const hour, half = time.Hour, 30 * time.Minute // the provider's default, and what the exchange said
	for _, test := range []struct {
		name, more   string
		with, nobody time.Duration // with the default of the provider's entry, and without
	}{
		{"a number", `,"expires_in":1200`, 20 * time.Minute, 20 * time.Minute},
		{"a string", `,"expires_in":"1200"`, 20 * time.Minute, 20 * time.Minute},
		{"a fraction", `,"expires_in":1200.5`, 1200500 * time.Millisecond, 1200500 * time.Millisecond},
		{"nothing", ``, hour, half},
		{"null", `,"expires_in":null`, hour, half},
		{"zero", `,"expires_in":0`, hour, half},
		{"negative", `,"expires_in":-60`, hour, half},
		{"words", `,"expires_in":"an hour"`, hour, half},
		{"for ever", `,"expires_in":1e30`, 100 * 365 * 24 * hour, 100 * 365 * 24 * hour},
	} {
		for _, defaults := range []time.Duration{hour, 0} {
			t.Run(test.name+" "+defaults.String(), func(t *testing.T) {
				eachOdd(t, func(p *provider.Provider) { p.AccessTokenLife = defaults }, func(t *testing.T, o *odd) {
					c := o.connected(`{"access_token":"a1","refresh_token":"r1","expires_in":1800}`)
					row := o.refreshedBy(c, `{"access_token":"a2","refresh_token":"r2"`+test.more+`}`)
					want := test.with
					if defaults == 0 {
						want = test.nobody
					}
					if got := o.lifeOf(row); got != want {
						t.Errorf("got a life of %v, want %v", got, want)
					}
					if r := o.read(c.ID); r.Credential == nil || r.Credential.Version != 2 {
						t.Errorf("got %+v", r)
					}
				})
			})
		}
	}
}

// TestLastObservedLife survives a token that does not expire and a new consent whose answer says nothing.
func TestLastObservedLife(t *testing.T) {
	identity := func(p *provider.Provider) {
		p.Identity = provider.Identity{Kind: provider.IdentityUserInfo, Endpoint: p.TokenEndpoint}
	}
	eachOdd(t, identity, func(t *testing.T, o *odd) {
		who := `{"sub":"u1"}`
		consent := func(answer string) *ent.Connection {
			o.says(answer, who, who, who)
			c, _, err := o.create(o.code(), func(in *domain.CreateInput) { in.App = &o.app.ID })
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		silent := consent(`{"access_token":"a0","refresh_token":"r0"}`)
		if got := o.lifeOf(silent); got != 0 {
			t.Errorf("nothing is known: got a life of %v", got)
		}
		o.Clock.Advance(time.Hour)
		if got := o.lifeOf(consent(`{"access_token":"a1","refresh_token":"r1","expires_in":1800}`)); got != 30*time.Minute {
			t.Errorf("got a life of %v, want what was told", got)
		}
		o.Clock.Advance(time.Hour)
		renewed := consent(`{"access_token":"a2","refresh_token":"r2"}`)
		if got := o.lifeOf(renewed); renewed.ID != silent.ID || got != 30*time.Minute {
			t.Errorf("got a life of %v, want the last one observed", got)
		}
		o.Clock.Advance(time.Hour)
		alone := consent(`{"access_token":"a3"}`)
		if got := o.lifeOf(alone); got != 0 || alone.AccessTokenLife != 1800 {
			t.Errorf("without a refresh token: got a life of %v and %d s in the row", got, alone.AccessTokenLife)
		}
	})
}

// TestOddRefreshTokens: one that is not replaced is kept, and sent again.
func TestOddRefreshTokens(t *testing.T) {
	eachOdd(t, nil, func(t *testing.T, o *odd) {
		c := o.connected(`{"access_token":"a1","refresh_token":"r1","expires_in":1800}`)
		for _, answer := range []string{`{"access_token":"a2"}`, `{"access_token":"a3","refresh_token":""}`, `{"access_token":"a4","refresh_token":null}`,
			`{"access_token":"a5","refresh_token":7}`, `{"access_token":"a6","refresh_token":"r2"}`, `{"access_token":"a7"}`} {
			o.refreshedBy(c, answer)
			o.Clock.Advance(time.Minute)
		}
		if want := []string{"r1", "r1", "r1", "r1", "r1", "r2"}; !slices.Equal(o.sent, want) {
			t.Errorf("sent %v, want %v", o.sent, want)
		}
	})
}

// TestOddMembers: what an answer has beyond OAuth is kept under the seal, through refreshes, and shows nowhere.
func TestOddMembers(t *testing.T) {
	eachOdd(t, nil, func(t *testing.T, o *odd) {
		c := o.connected(`{"access_token":"a1","refresh_token":"r1","token_type":"BEARER","id_token":"h.p.s","team":{"id":"T1"}}`)
		o.refreshedBy(c, `{"access_token":"a2","team":{"id":"T2"},"token_type":"DPoP"}`)
		opened, err := o.Connections.Keeper().Open(o.one.Ctx, o.Row(t, c.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(opened.Set.Extra["id_token"]) + string(opened.Set.Extra["team"]); got != `"h.p.s"{"id":"T2"}` {
			t.Errorf("got %s", got)
		}
		r := o.read(c.ID)
		if r.Credential == nil || r.Credential.TokenType != "bearer" {
			t.Errorf("got %+v", r.Credential)
		}
		o.refreshedBy(c, `{"access_token":"a3","much":"`+strings.Repeat("m", 17<<10)+`"}`)
		if opened, err = o.Connections.Keeper().Open(o.one.Ctx, o.Row(t, c.ID)); err != nil || len(opened.Set.Extra) != 1 {
			t.Errorf("got %d members, %v; want the newest answer's only", len(opened.Set.Extra), err)
		}
	})
}

// TestOddScopes: a change is stored and told, silence changes nothing.
func TestOddScopes(t *testing.T) {
	all := strings.Join(servicetest.Scopes, " ")
	eachOdd(t, nil, func(t *testing.T, o *odd) {
		c := o.connected(`{"access_token":"a1","refresh_token":"r1","scope":"` + all + `"}`)
		events := []string{"CREATED"}
		for _, step := range []struct {
			scope string
			want  []string
			told  bool
		}{
			{``, servicetest.Scopes, false},
			{`,"scope":""`, servicetest.Scopes, false},
			{`,"scope":null`, servicetest.Scopes, false},
			{`,"scope":"` + strings.Join(slices.Sorted(slices.Values(servicetest.Scopes)), ",") + `"`, servicetest.Scopes, false},
			{`,"scope":["one","two"]`, []string{"one", "two"}, true},
			{`,"scope":"one,two"`, []string{"one", "two"}, false},
			{`,"scope":"one two three"`, []string{"one", "two", "three"}, true},
		} {
			row := o.refreshedBy(c, `{"access_token":"a"`+step.scope+`}`)
			got, want := slices.Sorted(slices.Values(row.Scopes)), slices.Sorted(slices.Values(step.want))
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", step.scope, got, want)
			}
			if step.told {
				events = append(events, "UPDATED")
			}
			o.wantEvents(c.ID, slices.Clone(events)...)
		}
	})
}

// TestAnswerOnItsWay: a life counts from when the token was asked for. One that is over on arrival is not handed out, is
// not asked for again with each read, and the refresh token that came with it is kept.
func TestAnswerOnItsWay(t *testing.T) {
	eachOdd(t, nil, func(t *testing.T, o *odd) {
		c := o.connected(`{"access_token":"a1","refresh_token":"r1","expires_in":1800}`)
		o.Clock.Advance(time.Hour)
		o.says(`{"access_token":"a2","refresh_token":"r2","expires_in":10}`, `{"access_token":"a3","refresh_token":"r3","expires_in":10}`)
		o.before = func() { o.Clock.Advance(15 * time.Second) }
		for range 5 {
			o.unavailable(o.read(c.ID), "PROVIDER_UNAVAILABLE")
		}
		if len(o.sent) != 1 {
			t.Errorf("sent %v", o.sent)
		}
		o.before = func() { o.Clock.Advance(8 * time.Second) }
		o.Clock.Advance(5 * time.Second)
		for range 5 {
			if r := o.read(c.ID); r.Credential == nil || r.Credential.Version != 3 {
				t.Errorf("two seconds are left: got %+v, %+v", r.Credential, r.Unavailable)
			}
		}
		if want := []string{"r1", "r2"}; !slices.Equal(o.sent, want) {
			t.Errorf("sent %v, want %v", o.sent, want)
		}
	})
}
