package isolation_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// breaks makes each request to the provider fail with the error; nil ends it.
func (w *wire) breaks(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// errWire is a failure below HTTP.
var errWire = errors.New("connection reset")

// failing refreshes in every way that fails.
func (f *flows) failing(t *testing.T) {
	t.Helper()
	for i, fault := range f.faults(f.hoardLast(t)) {
		one := f.connected(t, fmt.Sprintf("failing%d", i))
		f.fault(t, fault)
		f.as(t, refresh, args{"id": one})
		f.as(t, readCredential, args{"of": args{"connection": one}, "ttl": 1000})
		f.Zoom.ClearFaults()
		f.Clock.Advance(time.Hour)
		f.as(t, readCredential, of(one))
	}
	one := f.connected(t, "cut")
	for _, err := range []error{context.DeadlineExceeded, errWire} {
		f.wire.breaks(err)
		f.as(t, refresh, args{"id": one})
		f.as(t, createConnection, f.codeInput(f.consent(t, f.party, "unlucky@example.com", nil), ""))
		f.wire.breaks(nil)
		f.Clock.Advance(time.Hour)
	}
	dead := f.connected(t, "dead")
	if _, err := f.Zoom.EndGrants("dead@"+f.party.word+".example.com", "", ""); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a death is confirmed
		f.as(t, refresh, args{"id": dead})
		f.Clock.Advance(2 * time.Hour)
		f.has(t, "ReauthorizationRequired", of(dead))
	}
	f.fault(t, zoomsim.Fault{Status: 401, Body: `{"error":"invalid_client","reason":"Invalid client_id or client_secret"}`})
	f.as(t, refresh, args{"id": f.party.values["connection"]})
	f.Zoom.ClearFaults()
	f.as(t, "{ apps(first: 5) { nodes { state failure { reason message providerCode } } } connections(first: 20) { nodes { id state failure { reason message providerCode httpStatus } } } }", nil)
}

// keys makes and ends keys, and keeps secrets of others'.
func (f *flows) keys(t *testing.T) {
	t.Helper()
	keyID, who := f.key(t, f.party, "leaving", read)
	f.must(t, who, "{ viewer { apiKey { id prefix } scopes } }", nil, nil)
	f.post(t, who, readCredential, of(f.party.values["connection"])) // refused
	f.must(t, f.party.admin, document(t, "revokeAPIKey", args{"id": nil}), args{"id": keyID}, nil)
	f.post(t, who, "{ viewer { isOperator } }", nil)
	f.post(t, f.party.all, "mutation($in: CreateAPIKeyInput!) { createAPIKey(input: $in) { secret } }", args{"in": args{"name": "beyond", "scopes": []string{tenantAdmin}}})
	f.post(t, f.party.admin, "{ apiKeys(first: 20) { nodes { id name prefix } } }", nil)
	var made createdConnection
	f.must(t, f.party.all, createConnection, args{"in": args{"app": f.party.values["key app"], "grant": args{"apiKey": args{
		"apiKey": f.newSecret(t, "stored API key"), "username": "robot",
	}}}}, &made)
	f.has(t, "Credential", of(made.CreateConnection.Connection.ID))
	f.wants(t, "", remove, args{"id": made.CreateConnection.Connection.ID})
	f.wants(t, "BAD_USER_INPUT", createConnection, args{"in": args{"app": f.party.values["app"], "grant": args{"apiKey": args{"apiKey": f.newSecret(t, "stored API key")}}}})
	f.wants(t, "BAD_USER_INPUT", createConnection, args{"in": args{"app": f.party.values["key app"], "grant": args{"apiKey": args{"apiKey": f.newSecret(t, "stored API key") + "\n"}}}})
}

const updateApp = `mutation($in: UpdateOAuthAppInput!) { updateOAuthApp(input: $in) { app { id name clientId state webhookUrl } } }`

// apps gives apps new secrets, good ones and bad ones.
func (f *flows) apps(t *testing.T) {
	t.Helper()
	app := f.party.values["app"]
	wrong := f.newSecret(t, "client secret")
	f.must(t, f.party.all, updateApp, args{"in": args{"id": app, "clientSecret": wrong, "webhookSecret": f.newSecret(t, "webhook secret")}}, nil)
	f.wants(t, "APP_MISCONFIGURED", createConnection, f.codeInput(f.consent(t, f.party, "early@example.com", nil), ""))
	f.must(t, f.party.all, updateApp, args{"in": args{"id": app, "clientSecret": f.party.clientSecret}}, nil)
	f.wants(t, "", refresh, args{"id": f.party.values["connection"]})
	f.wants(t, "BAD_USER_INPUT", updateApp, args{"in": args{"id": app, "clientSecret": f.newSecret(t, "client secret") + strings.Repeat("x", 5000)}})
	f.wants(t, "BAD_USER_INPUT", updateApp, args{"in": args{"id": app, "webhookSecret": f.newSecret(t, "webhook secret") + "\x00"}})
	f.wants(t, "BAD_USER_INPUT", updateApp, args{"in": args{"id": app, "redirectUris": []string{"https://user:" + f.newSecret(t, "misplaced secret") + "@example.com/"}}})
	f.wants(t, "CONFLICT", document(t, "createOAuthApp", args{"input": nil}), args{"input": args{
		"provider": "zoom", "clientId": f.party.values["client"], "clientSecret": f.newSecret(t, "client secret"), "webhookSecret": f.newSecret(t, "webhook secret"),
	}})
	other := f.app(t, f.party, args{"provider": "zoom", "clientId": "passing-" + f.party.word, "clientSecret": f.newSecret(t, "client secret")})
	f.wants(t, "", document(t, "deleteOAuthApp", args{"id": nil}), args{"id": other})
}

// panics has the domain fail in the middle, with a value that holds a secret.
func (f *flows) panics(t *testing.T) {
	t.Helper()
	secret := f.newSecret(t, "panicking secret")
	values := []any{secret, errors.New(secret), fmt.Errorf("wrapped: %w", errors.New(secret)), []byte(secret), struct{ Token string }{secret}, map[string]string{"token": secret}}
	for _, value := range values {
		f.breaker.update = func(connection.UpdateInput) error { panic(value) }
		f.wants(t, "INTERNAL", document(t, "updateConnection", args{"input": nil}), args{"input": args{"id": f.party.values["connection"], "subject": f.newSecret(t, "misplaced secret")}})
	}
	f.breaker.update = nil
}

// ending deletes what is left, with and without the provider's help.
func (f *flows) ending(t *testing.T) {
	t.Helper()
	refused := f.connected(t, "refused")
	f.fault(t, zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, Status: 500, Body: "upstream: " + f.hoardLast(t)})
	f.wants(t, "", remove, args{"id": refused})
	f.Zoom.ClearFaults()
	f.wants(t, "", remove, args{"id": f.party.values["connection"]})
	f.wants(t, "NOT_FOUND", remove, args{"id": f.party.values["connection"]})
	f.wants(t, "", remove, args{"id": f.party.values["key connection"]})
}

// mistakes send keys where none belong.
func (f *flows) mistakes(t *testing.T) {
	t.Helper()
	bare := strings.TrimPrefix(f.party.all.headers[0][1], "Bearer ")
	for _, who := range append(f.malformed(f.party), identity{name: "a key in other headers", headers: [][2]string{
		{"X-Api-Key", bare}, {"Cookie", "key=" + bare}, {"Referer", "https://example.com/?key=" + bare}, {"User-Agent", bare}, {"X-Request-Id", bare},
		{"X-Forwarded-For", bare}, {"Tokenkeep-Tenant", bare}, {"Accept-Language", bare},
	}}, f.party.all.inside(bare)) {
		f.post(t, who, "{ viewer { isOperator } }", nil)
	}
	for _, path := range []string{"/graphql?access_token=", "/graphql?query=%7Bviewer%7BisOperator%7D%7D&key=", "/graphql/", "/", "/healthz?key=", "/playground/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			for _, key := range []string{bare, f.operator} {
				r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(f.address, "/graphql")+path+key, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(path, "/healthz") || method != http.MethodGet {
					f.do(t, nobody, r)
				}
			}
		}
	}
	text := "tk_" + rand.Text() + rand.Text() // an error shows its sender what he sent
	f.hoard.add(t, "misplaced secret", text)
	for _, body := range []string{text, `{"query": "` + text + `"}`, `["` + text + `"]`, `{"query": {"` + text + `": 1}}`, `{"` + text + `": "{ viewer }"}`, `{"query": "{ viewer { isOperator } }", "extensions": "` + text + `"}`} {
		f.send(t, nobody, []byte(body))
		f.send(t, f.party.all, []byte(body))
	}
}
