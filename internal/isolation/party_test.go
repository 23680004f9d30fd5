package isolation_test

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// party is a tenant with something of everything. Its texts occur nowhere else.
type party struct {
	// word is in every text of the party's.
	word string
	// admin holds TENANT_ADMIN, all holds the other scopes one by one.
	admin, all identity
	id         uuid.UUID
	// values are what others may try, by kind: "connection", "app", "subject", "cursor of apps".
	values map[string]string
	// marks are the texts that nobody else may ever see.
	marks []string
	// clientSecret, code and verifier are secrets that the party used.
	clientSecret, code string
}

// operatorIdentity is the operator, in no tenant.
func (w *world) operatorIdentity() identity {
	who := bearer("the operator", w.operator)
	who.operator = true
	return who
}

// party makes a tenant through the API.
func (w *world) party(t *testing.T, name string) *party {
	t.Helper()
	p := &party{word: name + strings.ToLower(rand.Text()[:8]), values: map[string]string{}}
	var made struct {
		CreateTenant struct {
			Tenant struct{ ID string }
			APIKey string
		}
	}
	w.must(t, w.operatorIdentity(), `mutation($name: String!, $m: Metadata) { createTenant(input: {name: $name, metadata: $m}) { tenant { id } apiKey } }`,
		map[string]any{"name": p.word + " Ltd", "m": map[string]string{p.word + "TenantKey": p.word + "TenantValue"}}, &made)
	p.admin = bearer(name+"'s first key", made.CreateTenant.APIKey, tenantAdmin)
	p.set("tenant", made.CreateTenant.Tenant.ID)
	p.id, _ = id.Tenant.Parse(made.CreateTenant.Tenant.ID)
	p.marks = append(p.marks, made.CreateTenant.APIKey)
	w.hoard.add(t, "API key", made.CreateTenant.APIKey)
	var seen struct {
		Viewer struct{ APIKey struct{ ID string } }
	}
	w.must(t, p.admin, "{ viewer { apiKey { id } } }", nil, &seen)
	p.set("first key", seen.Viewer.APIKey.ID)
	keyID, key := w.key(t, p, name+"'s key of all scopes", read, write, credentials, appsWrite)
	p.set("key", keyID)
	p.all = key
	spare, _ := w.key(t, p, name+"'s key to spare", read)
	p.set("spare key", spare)
	var daughter struct {
		CreateTenant struct{ Tenant struct{ ID string } }
	}
	w.must(t, w.operatorIdentity(), `mutation($name: String!) { createTenant(input: {name: $name}) { tenant { id } } }`, map[string]any{"name": p.word + " to delete"}, &daughter)
	p.values["spare tenant"] = daughter.CreateTenant.Tenant.ID
	w.furnish(t, p)
	p.set("hold", w.raiseHold(t))
	p.set("other hold", w.raiseHold(t))
	return p
}

// raiseHold raises a hold of an app, as many refusals at once would.
func (w *world) raiseHold(t *testing.T) string {
	t.Helper()
	now := w.Clock.Now()
	h, err := w.DB.Ent.Hold.Create().SetSubject(id.New().String()).SetReason("REVOKED").SetStopped(1).SetRaisedAt(now).SetLastHeldAt(now).
		Save(tenant.System(t.Context(), uuid.Nil))
	if err != nil {
		t.Fatal(err)
	}
	return id.Hold.Format(h.ID)
}

// set keeps a value as one to try and to look for, ids also in the database's form.
func (p *party) set(kind, value string) {
	p.values[kind] = value
	p.marks = append(p.marks, value)
	if _, u, err := id.Split(value); err == nil {
		p.marks = append(p.marks, u.String())
	}
}

// key makes a key of the party's.
func (w *world) key(t *testing.T, p *party, name string, scopes ...string) (keyID string, who identity) {
	t.Helper()
	var made struct {
		CreateAPIKey struct {
			APIKey struct{ ID, Prefix string }
			Secret string
		}
	}
	w.must(t, p.admin, `mutation($name: String!, $scopes: [Scope!]!) { createAPIKey(input: {name: $name, scopes: $scopes}) { apiKey { id prefix } secret } }`,
		map[string]any{"name": p.word + " " + name, "scopes": scopes}, &made)
	key := made.CreateAPIKey
	p.marks = append(p.marks, key.APIKey.ID, key.APIKey.Prefix, key.Secret)
	w.hoard.add(t, "API key", key.Secret)
	return key.APIKey.ID, bearer(name, key.Secret, scopes...)
}

// furnish makes apps, a connection of each but one, and cursors of all lists.
func (w *world) furnish(t *testing.T, p *party) {
	t.Helper()
	p.clientSecret = w.newSecret(t, "client secret")
	clientID, redirect := p.word+"-client", "https://"+p.word+".example.com/callback"
	err := w.Zoom.PutClient(zoomsim.Client{ID: clientID, Secret: p.clientSecret, RedirectURIs: []string{redirect}, Scopes: []string{"user:read:user", "user:read:zak"}})
	if err != nil {
		t.Fatal(err)
	}
	p.set("client", clientID)
	p.values["redirect"] = redirect
	p.set("app", w.app(t, p, map[string]any{
		"provider": "zoom", "name": p.word + " app", "clientId": clientID, "clientSecret": p.clientSecret, "redirectUris": []string{redirect},
		"webhookSecret": w.newSecret(t, "webhook secret"), "returnTo": []string{redirect},
	}))
	p.set("key app", w.app(t, p, map[string]any{"provider": "api_key", "name": p.word + " key app", "clientId": p.word + "-keys"}))
	p.set("spare app", w.app(t, p, map[string]any{"provider": "api_key", "name": p.word + " spare app", "clientId": p.word + "-spare"}))
	p.set("metadata key", p.word+"Key")
	p.set("metadata value", p.word+"Value")
	p.set("subject", p.word+"-subject")
	w.connect(t, p)
	p.set("key connection", w.connectKey(t, p, w.newSecret(t, "stored API key")))
	w.cursors(t, p)
}

func (w *world) app(t *testing.T, p *party, input map[string]any) string {
	t.Helper()
	var made struct {
		CreateOAuthApp struct{ App struct{ ID string } }
	}
	w.must(t, p.admin, `mutation($in: CreateOAuthAppInput!) { createOAuthApp(input: $in) { app { id } } }`, map[string]any{"in": input}, &made)
	return made.CreateOAuthApp.App.ID
}

// consent has a user of the emulator consent to the party's client.
func (w *world) consent(t *testing.T, p *party, user string, extra url.Values) string {
	t.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {p.values["client"]}, "redirect_uri": {p.values["redirect"]}, "login_hint": {user}}
	for k, v := range extra {
		q[k] = v
	}
	code, _, err := zoomsim.Consent(t.Context(), w.HTTP, w.ZoomURL+"/oauth/authorize?"+q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	w.hoard.add(t, "authorization code", code)
	return code
}

// newSecret makes a secret of the kind.
func (w *world) newSecret(t *testing.T, kind string) string {
	t.Helper()
	special := "/+&%"
	if kind == "client secret" { // the emulator, as far as Zoom is known, takes none of these
		special = "-"
	}
	value := strings.ReplaceAll(kind, " ", "-") + "-" + rand.Text() + special + rand.Text()
	w.hoard.add(t, kind, value)
	return value
}

const createConnection = `mutation($in: CreateConnectionInput!) { createConnection(input: $in) { created connection { id externalUserId externalAccountId externalEmail externalDisplayName } } }`

type createdConnection struct {
	CreateConnection struct {
		Created    bool
		Connection struct{ ID, ExternalUserID, ExternalAccountID, ExternalEmail, ExternalDisplayName string }
	}
}

// user makes the party's user of the emulator, in an account of its own.
func (p *party) user(t *testing.T, w *world) {
	t.Helper()
	_, err := w.Zoom.PutUser(zoomsim.User{Email: p.word + "@example.com", DisplayName: p.word + " Person", AccountID: p.word + "-account"})
	if err != nil {
		t.Fatal(err)
	}
}

// connect connects a user of the party's by a code.
func (w *world) connect(t *testing.T, p *party) {
	t.Helper()
	p.user(t, w)
	p.code = w.consent(t, p, p.word+"@example.com", nil)
	var made createdConnection
	w.must(t, p.all, createConnection, map[string]any{"in": map[string]any{
		"app": p.values["app"], "subject": p.values["subject"], "metadata": map[string]string{p.values["metadata key"]: p.values["metadata value"]},
		"grant": map[string]any{"authorizationCode": map[string]any{"code": p.code, "redirectUri": p.values["redirect"]}},
	}}, &made)
	c := made.CreateConnection.Connection
	p.set("connection", c.ID)
	p.set("external user", c.ExternalUserID)
	p.set("external account", c.ExternalAccountID)
	p.set("external email", c.ExternalEmail)
	p.marks = append(p.marks, c.ExternalDisplayName, p.code, p.clientSecret)
	p.marks = append(p.marks, w.wire.tokens()...)
	p.values["code"] = p.code
}

// connectKey keeps an API key for the party.
func (w *world) connectKey(t *testing.T, p *party, key string) string {
	t.Helper()
	var made createdConnection
	w.must(t, p.all, createConnection, map[string]any{"in": map[string]any{
		"app": p.values["key app"], "grant": map[string]any{"apiKey": map[string]any{"apiKey": key}}, "subject": p.word + "-keys",
	}}, &made)
	p.marks = append(p.marks, key)
	return made.CreateConnection.Connection.ID
}

// tokens are all tokens that the provider gave so far.
func (w *wire) tokens() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, body := range w.answers {
		var a struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
		if json.Unmarshal(body, &a) == nil {
			for _, token := range []string{a.AccessToken, a.RefreshToken} {
				if token != "" {
					all = append(all, token)
				}
			}
		}
	}
	return all
}

// cursors keeps a cursor of each list of the party's.
func (w *world) cursors(t *testing.T, p *party) {
	t.Helper()
	for _, list := range []string{"connections", "apps", "apiKeys"} {
		var page map[string]struct{ PageInfo struct{ EndCursor string } }
		w.must(t, p.admin, "{ "+list+"(first: 1) { pageInfo { endCursor } } }", nil, &page)
		p.values["cursor of "+list] = page[list].PageInfo.EndCursor
	}
}
