package isolation_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// shows fails where an answer has something of the party's.
func (a answer) shows(t *testing.T, p *party) {
	t.Helper()
	for _, mark := range p.marks {
		if strings.Contains(a.comparable(), mark) {
			t.Errorf("the answer has %q of another tenant:\n%s", mark, a.body)
		}
	}
}

// TestForeignBesideOwn asks for one's own and another's in one list and in one document.
func TestForeignBesideOwn(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a, b := w.party(t, "amber"), w.party(t, "birch")
		ids := []string{a.values["connection"], b.values["connection"], absent("connection", a.values["connection"]), a.values["key connection"], b.values["connection"]}
		w.must(t, a.all, document(t, "credentials", args{"connections": nil}), args{"connections": []string{ids[0], ids[3]}}, nil) // into the memory
		got := w.post(t, b.all, document(t, "credentials", args{"connections": nil}), args{"connections": ids})
		got.shows(t, a)
		if diff := cmp.Diff([]string{"NotConnected", "Credential", "NotConnected", "NotConnected", "Credential"}, typenames(t, got, "credentials")); diff != "" {
			t.Errorf("credentials (-want +got):\n%s", diff)
		}
		kinds := []string{"connection", "app", "key", "tenant", "key connection", "key app"}
		var both []string
		var want []string
		for _, kind := range kinds {
			both = append(both, a.values[kind], b.values[kind])
			want = append(want, "", map[string]string{"connection": "Connection", "key connection": "Connection", "app": "OAuthApp", "key app": "OAuthApp", "key": "APIKey", "tenant": "Tenant"}[kind])
		}
		got = w.post(t, b.admin, document(t, "nodes", args{"ids": nil}), args{"ids": both})
		got.shows(t, a)
		if diff := cmp.Diff(want, typenames(t, got, "nodes")); diff != "" {
			t.Errorf("nodes (-want +got):\n%s", diff)
		}
		got = w.post(t, b.all, `query($a: ID!, $b: ID!) { mine: connection(id: $b) { id } theirs: connection(id: $a) { id metadata } again: node(id: $a) { id } }`,
			args{"a": a.values["connection"], "b": b.values["connection"]})
		got.shows(t, a)
		if string(got.Data["theirs"]) != "null" || string(got.Data["again"]) != "null" || !strings.Contains(got.body, b.values["connection"]) {
			t.Errorf("one's own beside another's: got %s", got.body)
		}
	})
}

// typenames are those of a list's members, empty for null.
func typenames(t *testing.T, a answer, field string) []string {
	t.Helper()
	var list []*struct {
		Typename string `json:"__typename"`
	}
	if err := json.Unmarshal(a.Data[field], &list); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	names := make([]string, len(list))
	for i, m := range list {
		if m != nil {
			names[i] = m.Typename
		}
	}
	return names
}

// TestTheSameClientInTwoTenants: two tenants have apps of one client, and one user of it. Nobody learns of the other, and
// each is told of his own connection what the provider did to it.
func TestTheSameClientInTwoTenants(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a, b := w.party(t, "amber"), w.party(t, "birch")
		twin := w.app(t, b, args{"provider": "zoom", "name": "twin", "clientId": a.values["client"], "clientSecret": a.clientSecret, "redirectUris": []string{a.values["redirect"]}})
		w.app(t, b, args{"provider": "zoom", "name": "wrong", "clientId": "unheard-of-client", "clientSecret": "unheard-of-secret"})
		inputOf := func(code string) args {
			return args{"in": args{"app": twin, "grant": args{"authorizationCode": args{"code": code, "redirectUri": a.values["redirect"]}}}}
		}
		calls := len(w.wire.tokens())
		if got := w.post(t, b.all, createConnection, inputOf(a.code)); got.code() != "PROVIDER_REJECTED" || strings.Contains(got.body, a.word) {
			t.Errorf("another tenant's code again: got %s", got.body)
		}
		if len(w.wire.tokens()) != calls {
			t.Error("the code was sent again")
		}
		w.Clock.Advance(time.Second) // a consent is newer than another where its time is
		var made createdConnection
		w.must(t, b.all, createConnection, inputOf(w.consent(t, a, a.word+"@example.com", nil)), &made)
		if !made.CreateConnection.Created || made.CreateConnection.Connection.ID == a.values["connection"] {
			t.Errorf("got %+v, want a connection of one's own", made)
		}
		got := w.post(t, a.all, document(t, "connection", args{"id": nil}), args{"id": a.values["connection"]})
		if !strings.Contains(got.body, `"reason":"SUPERSEDED"`) {
			t.Errorf("the older connection: got %s, want it superseded", got.body)
		}
		for _, theirs := range append(b.marks, made.CreateConnection.Connection.ID, twin) {
			if strings.Contains(got.body, theirs) {
				t.Errorf("the older connection tells %q of the newer one's tenant", theirs)
			}
		}
	})
}

// TestSharedApps: an app of the operator's serves all tenants, and tells none of another.
func TestSharedApps(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a, b := w.party(t, "amber"), w.party(t, "birch")
		shared := w.sharedApp(t)
		code := w.consent(t, &party{values: map[string]string{"client": "shared-client", "redirect": sharedRedirect}}, "someone@shared.example.com", nil)
		in := args{"in": args{"app": shared, "subject": a.word + "-shared", "grant": args{"authorizationCode": args{"code": code, "redirectUri": sharedRedirect}}}}
		var made createdConnection
		w.must(t, a.all, createConnection, in, &made)
		a.set("shared connection", made.CreateConnection.Connection.ID)
		a.marks = append(a.marks, "someone@shared.example.com", a.word)
		got := w.post(t, b.all, createConnection, in)
		got.shows(t, a)
		if got.code() != "PROVIDER_REJECTED" {
			t.Errorf("the code of another tenant's connection: got %s", got.body)
		}
		w.must(t, a.all, createConnection, in, &made)
		if made.CreateConnection.Connection.ID != a.values["shared connection"] {
			t.Errorf("the same code again: got %+v, want the same connection", made)
		}
		for _, filter := range []args{{"app": shared}, {"externalEmail": "someone@shared.example.com"}} {
			got = w.post(t, b.all, document(t, "connections", args{"filter": nil}), args{"filter": filter})
			got.shows(t, a)
			if o := got.outcome("connections", a); o != emptyPage {
				t.Errorf("connections of %v: got %s", filter, got.body)
			}
		}
		got = w.post(t, b.all, document(t, "app", args{"id": nil}), args{"id": shared})
		got.shows(t, a)
		w.checkSharedIsTheOperators(t, shared, b)
		w.checkOperatorOutside(t, a)
	})
}

const sharedRedirect = "https://shared.example.com/callback"

func (w *world) sharedApp(t *testing.T) string {
	t.Helper()
	err := w.Zoom.PutClient(zoomsim.Client{ID: "shared-client", Secret: "shared-client-secret", RedirectURIs: []string{sharedRedirect}, Scopes: []string{"user:read:user"}})
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		CreateOAuthApp struct{ App struct{ ID string } }
	}
	w.must(t, w.operatorIdentity(), `mutation($in: CreateOAuthAppInput!) { createOAuthApp(input: $in) { app { id } } }`, args{"in": args{
		"shared": true, "provider": "zoom", "clientId": "shared-client", "clientSecret": "shared-client-secret", "redirectUris": []string{sharedRedirect},
	}}, &made)
	return made.CreateOAuthApp.App.ID
}

// checkSharedIsTheOperators: a tenant uses the app and does not change it.
func (w *world) checkSharedIsTheOperators(t *testing.T, shared string, b *party) {
	t.Helper()
	for _, call := range []struct {
		operation string
		given     args
	}{
		{"updateOAuthApp", args{"input": args{"id": shared, "clientSecret": "of-a-tenant"}}}, {"deleteOAuthApp", args{"id": shared}},
		{"createOAuthApp", args{"input": args{"shared": true, "provider": "zoom", "clientId": "a-tenants", "clientSecret": "of-a-tenant"}}},
	} {
		if got := w.post(t, b.admin, document(t, call.operation, call.given), call.given); got.code() != "FORBIDDEN" {
			t.Errorf("%s of a shared app by a tenant: got %s", call.operation, got.body)
		}
	}
}

// checkOperatorOutside: the operator in no tenant does not reach a tenant's app.
func (w *world) checkOperatorOutside(t *testing.T, a *party) {
	t.Helper()
	before := w.snapshot(t, a)
	for operation, given := range map[string]args{"updateOAuthApp": {"input": args{"id": a.values["app"], "name": "the operator's"}}, "deleteOAuthApp": {"id": a.values["spare app"]}} {
		if got := w.post(t, w.operatorIdentity(), document(t, operation, given), given); got.code() != "NOT_FOUND" {
			t.Errorf("%s by the operator in no tenant: got %s", operation, got.body)
		}
	}
	if diff := cmp.Diff(before, w.snapshot(t, a)); diff != "" {
		t.Errorf("the operator in no tenant changed a tenant's app:\n%s", diff)
	}
}
