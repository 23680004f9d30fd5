package interop_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// TestService drives a running Tokenkeep over HTTP, on each database and with each way to send a client secret.
func TestService(t *testing.T) {
	s := startServer(t)
	servicetest.EachEmptyDatabase(t, func(t *testing.T, databaseURL string) {
		p := startTokenkeep(t, databaseURL, providersFile(t, s))
		for key, client := range styles() {
			t.Run(key, func(t *testing.T) {
				scenarios(t, stage{server: s, operator: p.operator, databaseURL: databaseURL, providerKey: key, client: client, entry: entry(t, s, key)})
			})
		}
		p.stop(t)
		wantNoSecrets(t, s, p, databaseURL)
	})
}

// wantNoSecrets looks for everything that the provider ever issued in what Tokenkeep left behind: its log at the level
// debug, the vault's file, and the database where that is a file.
func wantNoSecrets(t *testing.T, s *server, p *process, databaseURL string) {
	t.Helper()
	left := p.files(t)
	left["log"] = p.log.Bytes()
	if path, ok := strings.CutPrefix(databaseURL, "sqlite://"); ok {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		left["database"] = content
	}
	if len(left["log"]) == 0 || len(left["vault.db"]) == 0 {
		t.Fatalf("got %d bytes of log and %d of vault: there is nothing to look in", len(left["log"]), len(left["vault.db"]))
	}
	escaped := url.QueryEscape(clientSecret)
	basic := base64.StdEncoding.EncodeToString([]byte(headerClient + ":" + escaped))
	secrets := append(s.issued(t), clientSecret, escaped, basic)
	for name, content := range left {
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds something that the provider issued", name)
			}
		}
	}
}

// stage is where scenarios play.
type stage struct {
	server                           *server
	operator                         caller
	databaseURL, providerKey, client string
	entry                            provider.Provider
}

func scenarios(t *testing.T, s stage) {
	for _, sc := range []struct {
		name string
		play func(*testing.T, scene)
	}{
		{"the catalogue", listed},
		{"from consent to deletion", life},
		{"codes that cannot be used", badCodes},
		{"a wrong secret when connecting", wrongSecretAtFirst},
		{"a wrong secret later", wrongSecretLater},
		{"a wrong secret and an expired token", wrongSecretExpired},
		{"revoked by the user", revokedByUser},
		{"ended by a replay", endedByReplay},
		{"a scope that was not granted", missingScope},
		{"a scope taken away", scopeTakenAway},
		{"a grant that two tenants share", sharedGrant},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.play(t, s.scene(t)) })
	}
}

// scene is a scenario's own tenant and person; the connections of another are not in its way.
type scene struct {
	stage
	tenant caller
	app    string
	person *person
}

func (s stage) scene(t *testing.T) scene {
	t.Helper()
	who := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	own := s.operator.newTenant(t, t.Name())
	return scene{stage: s, tenant: own, person: newPerson(t, who), app: own.createApp(t, s.providerKey, s.client, clientSecret)}
}

// code has the person consent to everything but one scope.
func (s scene) code(t *testing.T, p *person, without string) oauth.Code {
	t.Helper()
	return consent(t, p, oauth.App{Provider: s.entry, ClientID: s.client}, allScopes(), without)
}

// connected makes a connection of the scene's person.
func (s scene) connected(t *testing.T, metadata map[string]string) connectionView {
	t.Helper()
	made, failed := s.tenant.connect(t, s.app, s.code(t, s.person, ""), metadata)
	if failed != nil {
		t.Fatalf("connecting: %+v", *failed)
	}
	if !made.Created || made.Connection.State != "CONNECTED" || made.Connection.Failure != nil {
		t.Fatalf("got %+v, want a new connection that is well", made)
	}
	return made.Connection
}

// wantWorking has the credential of that version and shows it to the provider.
func (s scene) wantWorking(t *testing.T, id string, version int) credentialView {
	t.Helper()
	got := s.tenant.credential(t, id)
	if got.Typename != "Credential" || got.Version != version || !strings.EqualFold(got.TokenType, "bearer") {
		t.Fatalf("got %s of version %d and type %q (%s), want a bearer credential of version %d", got.Typename, got.Version, got.TokenType, got.Code, version)
	}
	if subject, status := s.server.userinfo(t, got.AccessToken); subject != s.person.account {
		t.Fatalf("userinfo answered %d for %q, want %q", status, subject, s.person.account)
	}
	return got
}

// listed compares what the API says of the provider with the file.
func listed(t *testing.T, s scene) {
	var got struct {
		Name, TokenEndpoint, RevocationEndpoint string
		GrantTypes                              []string
		SupportsPKCE, RotatesRefreshTokens      bool
		Scopes                                  []provider.Scope
	}
	s.tenant.get(t, &got, "provider", `query($key: String!) { provider(key: $key) {
		name tokenEndpoint revocationEndpoint grantTypes supportsPKCE rotatesRefreshTokens scopes { name description } } }`,
		map[string]any{"key": s.providerKey})
	if got.Name != s.entry.Name || got.TokenEndpoint != s.server.issuer+"/token" || got.RevocationEndpoint != s.server.issuer+"/token/revocation" ||
		!got.SupportsPKCE || !got.RotatesRefreshTokens || !slices.Equal(got.GrantTypes, []string{"AUTHORIZATION_CODE"}) ||
		!slices.Equal(got.Scopes, s.entry.Scopes) {
		t.Errorf("got %+v, want what the file says: %+v", got, s.entry)
	}
}

func life(t *testing.T, s scene) {
	before := s.server.ledger(t).Counts
	code := s.code(t, s.person, "")
	made, failed := s.tenant.connect(t, s.app, code, map[string]string{"team": "red", "seat": "1"})
	if failed != nil {
		t.Fatal(*failed)
	}
	c := made.Connection
	who := s.person.account
	if !made.Created || c.ExternalUserID != who || c.ExternalEmail != who+"@example.com" || c.ExternalDisplayName != "Name of "+who ||
		c.CredentialVersion != 1 || len(c.MissingScopes) != 0 {
		t.Errorf("got %+v, want a new connection of %s", made, who)
	}
	again, failed := s.tenant.connect(t, s.app, code, nil)
	if failed != nil || again.Connection.ID != c.ID || !again.Created {
		t.Errorf("the same code again gave %+v, %+v, want what it gave before", again, failed)
	}
	other := s
	other.person = newPerson(t, who+"-other")
	otherID := other.connected(t, map[string]string{"team": "blue", "seat": "1"}).ID
	if got := s.server.ledger(t).Counts.Exchanges; got != before.Exchanges+2 {
		t.Errorf("the server exchanged %d codes, want 2", got-before.Exchanges)
	}
	s.wantFound(t, map[string]any{"metadata": map[string]string{"team": "red"}}, c.ID)
	s.wantFound(t, map[string]any{"metadata": map[string]string{"team": "red", "seat": "1"}}, c.ID)
	s.wantFound(t, map[string]any{"metadata": map[string]string{"team": "red", "seat": "2"}})
	s.wantFound(t, map[string]any{"metadata": map[string]string{"seat": "1"}, "provider": s.providerKey}, otherID, c.ID)
	s.wantFound(t, map[string]any{"externalUserId": who}, c.ID)
	first := s.wantWorking(t, c.ID, 1)

	s.refreshes(t, c.ID, first)
	s.ends(t, c.ID)
	other.wantWorking(t, otherID, 1)
}

// wantFound asks for connections; want is newest first.
func (s scene) wantFound(t *testing.T, filter map[string]any, want ...string) {
	t.Helper()
	if got, total := s.tenant.connections(t, filter); !slices.Equal(got, want) || total != len(want) {
		t.Errorf("%v found %v (%d), want %v", filter, got, total, want)
	}
}

// refreshes shows that a refresh spends one refresh token, once, however many ask.
func (s scene) refreshes(t *testing.T, id string, first credentialView) {
	_, held := s.server.grantOf(t, s.client, s.person.account)
	s.wantTokens(t, held, 0)
	// The server counts whole seconds, so a token may end one before its time; four leave it past its youth then.
	s.server.setLife(t, 4*time.Second)
	refreshed := s.tenant.refresh(t, id)
	s.server.setLife(t, time.Hour)
	if refreshed.CredentialVersion != 2 || refreshed.Failure != nil {
		t.Fatalf("got %+v, want version 2", refreshed)
	}
	_, held = s.server.grantOf(t, s.client, s.person.account)
	s.wantTokens(t, held, 1)

	before := s.server.ledger(t).Counts
	second := s.tenant.credential(t, id)
	if second.AccessToken == first.AccessToken {
		t.Error("the refresh gave the token that there was")
	}
	eventually(t, "the token expires", func() bool {
		_, status := s.server.userinfo(t, second.AccessToken)
		return status == http.StatusUnauthorized || second.Version > 2
	})
	all := s.tenant.credentials(t, id, 30)
	for _, got := range all {
		if got.Typename != "Credential" || got.Version != 3 || got.AccessToken != all[0].AccessToken {
			t.Errorf("got %s of version %d (%s), want the same credential of version 3 for all", got.Typename, got.Version, got.Code)
		}
	}
	s.wantWorking(t, id, 3)
	after := s.server.ledger(t).Counts
	if after.Refreshes != before.Refreshes+1 || after.Reuses != before.Reuses {
		t.Errorf("the server saw %d refreshes and %d reuses, want 1 and none", after.Refreshes-before.Refreshes, after.Reuses-before.Reuses)
	}
	_, held = s.server.grantOf(t, s.client, s.person.account)
	s.wantTokens(t, held, 2)
}

// wantTokens compares the refresh tokens of a grant: all used but the last.
func (s scene) wantTokens(t *testing.T, held heldGrant, rotations int) {
	t.Helper()
	live := held.live()
	if len(held.RefreshTokens) != rotations+1 || len(live) != 1 || live[0].Rotations != rotations {
		t.Errorf("the server holds %+v, want %d used refresh tokens and one that is live", held.RefreshTokens, rotations)
	}
}

// ends shows that a deletion ends the grant at the provider.
func (s scene) ends(t *testing.T, id string) {
	last := s.tenant.credential(t, id)
	grant, _ := s.server.grantOf(t, s.client, s.person.account)
	s.tenant.delete(t, id)
	if s.tenant.connection(t, id) != nil {
		t.Error("the connection is still there")
	}
	if got := s.tenant.credential(t, id); got.Typename != "NotConnected" {
		t.Errorf("got %s, want NotConnected", got.Typename)
	}
	s.wantEnded(t, grant)
	if _, status := s.server.userinfo(t, last.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("userinfo answered %d for the last token, want 401", status)
	}
}

func (s scene) wantEnded(t *testing.T, grant string) {
	t.Helper()
	eventually(t, "the grant ends at the provider", func() bool {
		_, there := s.server.ledger(t).Grants[grant]
		return !there
	})
}

func badCodes(t *testing.T, s scene) {
	noVerifier, wrongVerifier, elsewhere := s.code(t, s.person, ""), s.code(t, s.person, ""), s.code(t, s.person, "")
	noVerifier.Verifier, wrongVerifier.Verifier = secret.Text{}, oauth.NewVerifier()
	right := elsewhere
	elsewhere.RedirectURI += "/elsewhere"
	unknown := s.code(t, s.person, "")
	unknown.Code = secret.New("no-such-code")
	for name, tt := range map[string]struct {
		code        oauth.Code
		want, field string
	}{
		"no verifier":    {noVerifier, "PROVIDER_REJECTED", "code"},
		"wrong verifier": {wrongVerifier, "PROVIDER_REJECTED", "code"},
		"unknown code":   {unknown, "PROVIDER_REJECTED", "code"},
		"redirect URI":   {elsewhere, "BAD_USER_INPUT", "redirectUri"},
	} {
		t.Run(name, func(t *testing.T) {
			_, failed := s.tenant.connect(t, s.app, tt.code, nil)
			wantError(t, failed, tt.want, tt.field)
		})
	}
	s.wantFound(t, nil)
	if _, failed := s.tenant.connect(t, s.app, right, nil); failed != nil {
		t.Errorf("the code that came with a foreign redirect URI was spent: %+v", *failed)
	}
}

// wantError compares the code and the end of the field of an error.
func wantError(t *testing.T, got *graphQLError, code, field string) {
	t.Helper()
	if got == nil {
		t.Fatalf("got no error, want %s", code)
	}
	if got.Extensions.Code != code || !strings.HasSuffix(got.Extensions.Field, field) || got.Extensions.RequestID == "" {
		t.Errorf("got %+v, want %s on %s, with a request id", *got, code, field)
	}
}

func wrongSecretAtFirst(t *testing.T, s scene) {
	s.tenant.setSecret(t, s.app, "wrong")
	code := s.code(t, s.person, "")
	_, failed := s.tenant.connect(t, s.app, code, nil)
	wantError(t, failed, "APP_MISCONFIGURED", "app")
	s.tenant.setSecret(t, s.app, clientSecret)
	made, failed := s.tenant.connect(t, s.app, code, nil)
	if failed != nil || !made.Created {
		t.Fatalf("got %+v, %+v with the right secret and the same code, want a new connection", made, failed)
	}
	s.wantWorking(t, made.Connection.ID, 1)
}

func wrongSecretLater(t *testing.T, s scene) {
	c := s.connected(t, nil)
	s.tenant.setSecret(t, s.app, "wrong")
	got := s.tenant.refresh(t, c.ID)
	if f := got.Failure; got.State != "CONNECTED" || f == nil || f.Class != "APP_MISCONFIGURED" || f.Reason != "CLIENT_REJECTED" ||
		f.ProviderCode != "invalid_client" || f.HTTPStatus != http.StatusUnauthorized || f.NextAttemptAt == nil {
		t.Errorf("got %s with %+v, want CONNECTED with the app to blame", got.State, got.Failure)
	}
	if a := s.tenant.app(t, s.app); a.State != "MISCONFIGURED" || a.Failure == nil || a.Failure.Reason != "CLIENT_REJECTED" {
		t.Errorf("got an app that is %s with %+v, want it misconfigured", a.State, a.Failure)
	}
	s.wantWorking(t, c.ID, 1)
	s.tenant.setSecret(t, s.app, clientSecret)
	if a := s.tenant.app(t, s.app); a.State != "ACTIVE" || a.Failure != nil {
		t.Errorf("got an app that is %s with %+v, want it active", a.State, a.Failure)
	}
	if got := s.tenant.refresh(t, c.ID); got.Failure != nil || got.CredentialVersion != 2 {
		t.Errorf("got version %d with %+v, want version 2 without failure", got.CredentialVersion, got.Failure)
	}
	s.wantWorking(t, c.ID, 2)
}

// wrongSecretExpired has a token expire while the app's secret is wrong: what callers get meanwhile, and that the
// next reader is served as soon as the secret is right.
func wrongSecretExpired(t *testing.T, s scene) {
	s.server.setLife(t, time.Second)
	c := s.connected(t, nil)
	s.server.setLife(t, time.Hour)
	s.tenant.setSecret(t, s.app, "wrong")
	var got credentialView
	eventually(t, "the token expires", func() bool {
		got = s.tenant.credential(t, c.ID)
		return got.Typename != "Credential"
	})
	if got.Typename != "CredentialUnavailable" || got.Code != "APP_MISCONFIGURED" || got.RetryAfter < 1 {
		t.Errorf("got %s %s for %d s, want to hear that the app is misconfigured", got.Typename, got.Code, got.RetryAfter)
	}
	s.tenant.setSecret(t, s.app, clientSecret)
	s.wantWorking(t, c.ID, 2)
}

func revokedByUser(t *testing.T, s scene) {
	c := s.connected(t, map[string]string{"team": "red"})
	grant, _ := s.server.grantOf(t, s.client, s.person.account)
	s.server.revoke(t, grant)
	s.diesAndComesBack(t, c)
}

// endedByReplay has somebody else send the refresh token that Tokenkeep used before: the server ends the grant.
func endedByReplay(t *testing.T, s scene) {
	c := s.connected(t, map[string]string{"team": "red"})
	s.tenant.refresh(t, c.ID)
	_, held := s.server.grantOf(t, s.client, s.person.account)
	used := slices.DeleteFunc(held.RefreshTokens, func(r heldToken) bool { return !r.Used })
	app := oauth.App{Provider: s.entry, ClientID: s.client, ClientSecret: secret.New(clientSecret)}
	_, err := oauth.New(oauth.Options{}).Refresh(t.Context(), app, secret.New(used[0].Value))
	wantOutcome(t, err, oauth.GrantDead)
	s.diesAndComesBack(t, c)
}

// diesAndComesBack shows what a grant that ended at the provider looks like, and that a new consent mends it.
func (s scene) diesAndComesBack(t *testing.T, c connectionView) {
	got := s.tenant.refresh(t, c.ID)
	if f := got.Failure; got.State != "CONNECTED" || f == nil || f.Class != "REAUTHORIZATION_REQUIRED" || f.Reason != "REVOKED" ||
		f.ProviderCode != "invalid_grant" || f.HTTPStatus != http.StatusBadRequest || f.NextAttemptAt == nil || f.NextAttemptAt.Before(time.Now()) {
		t.Errorf("got %s with %+v, want CONNECTED with REVOKED until that is confirmed", got.State, got.Failure)
	}
	made, failed := s.tenant.connect(t, s.app, s.code(t, s.person, ""), nil)
	if failed != nil {
		t.Fatal(*failed)
	}
	r := made.Connection
	if made.Created || r.ID != c.ID || r.State != "CONNECTED" || r.Failure != nil || r.CredentialVersion <= got.CredentialVersion ||
		r.Metadata["team"] != "red" {
		t.Errorf("got %+v, want connection %s renewed and its metadata as it was", made, c.ID)
	}
	s.wantWorking(t, c.ID, r.CredentialVersion)
	if again := s.tenant.refresh(t, c.ID); again.Failure != nil || again.CredentialVersion != r.CredentialVersion+1 {
		t.Errorf("got version %d with %+v, want a refresh of the new grant", again.CredentialVersion, again.Failure)
	}
}

func missingScope(t *testing.T, s scene) {
	code := s.code(t, s.person, "calendar")
	_, failed := s.tenant.connect(t, s.app, code, nil)
	wantError(t, failed, "REAUTHORIZATION_REQUIRED", "code")
	if !strings.Contains(failed.Message, "calendar") {
		t.Errorf("%q does not name the scope", failed.Message)
	}
	s.wantFound(t, nil)
	eventually(t, "the grant that nobody uses ends at the provider", func() bool { return len(s.server.grantsOf(t, s.client, s.person.account)) == 0 })
}

// scopeTakenAway has a connected user consent anew to less: the connection is renewed first, then the error is told.
func scopeTakenAway(t *testing.T, s scene) {
	c := s.connected(t, nil)
	s.person = newPerson(t, s.person.account) // another browser, which the server asks for every scope
	_, failed := s.tenant.connect(t, s.app, s.code(t, s.person, "calendar"), nil)
	wantError(t, failed, "REAUTHORIZATION_REQUIRED", "code")
	got := s.tenant.connection(t, c.ID)
	if got.State != "CONNECTED" || got.CredentialVersion != 2 || !slices.Equal(got.MissingScopes, []string{"calendar"}) {
		t.Errorf("got %+v, want the connection renewed without calendar", got)
	}
	s.wantWorking(t, c.ID, 2)
}

// sharedGrant connects one person to two tenants by one client. The server keeps both consents of a sign-in as one
// grant, so revoking for the first tenant would end the second one's.
func sharedGrant(t *testing.T, s scene) {
	first := s.connected(t, nil)
	second := s
	second.tenant = s.operator.newTenant(t, t.Name()+" too")
	second.app = second.tenant.createApp(t, s.providerKey, s.client, clientSecret)
	kept := second.connected(t, nil)
	grant, _ := s.server.grantOf(t, s.client, s.person.account)
	s.tenant.delete(t, first.ID)
	s.wantSkipped(t, first.ID)
	second.wantWorking(t, kept.ID, 1)
	if got := second.tenant.refresh(t, kept.ID); got.Failure != nil || got.CredentialVersion != 2 {
		t.Errorf("got %+v, want the other tenant's connection to refresh", got)
	}
	second.tenant.delete(t, kept.ID)
	s.wantEnded(t, grant)
}

// wantSkipped waits until the revocation that a deletion ordered was found to be one that must not be made.
func (s scene) wantSkipped(t *testing.T, connection string) {
	t.Helper()
	u, err := id.Connection.Parse(connection)
	if err != nil {
		t.Fatal(err)
	}
	db := servicetest.OpenDatabase(t, s.databaseURL)
	eventually(t, "the revocation is left out", func() bool {
		job, err := db.Ent.RevocationJob.Query().Where(revocationjob.ConnectionID(u)).Only(tenant.System(t.Context(), uuid.Nil))
		return err == nil && job.State == revocationjob.StateSKIPPED
	})
}

// eventually waits until a condition holds, and not for long.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
