package server_test

import (
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

func TestCallers(t *testing.T) {
	url, log := start(t)
	here, elsewhere := id.Tenant.Format(home), id.Tenant.Format(otherHome)
	tests := []struct {
		name    string
		headers []string
		actor   string
	}{
		{"nobody", nil, "nobody"},
		{"nobody who names a tenant", []string{"Tokenkeep-Tenant", here}, "nobody"},
		{"a key", []string{"Authorization", "Bearer " + goodKey}, "key:" + keyID.String()},
		{"the scheme in any case", []string{"Authorization", "bEARER " + goodKey}, "key:" + keyID.String()},
		{"the scheme Token", []string{"Authorization", "token " + goodKey}, "key:" + keyID.String()},
		{"spaces around", []string{"Authorization", "  Bearer   " + goodKey + " "}, "key:" + keyID.String()},
		{"a key that names its tenant", []string{"Authorization", "Bearer " + goodKey, "Tokenkeep-Tenant", here}, "key:" + keyID.String()},
		{"the operator", []string{"Authorization", "Bearer " + operatorKey}, "operator"},
		{"the operator in a tenant", []string{"Authorization", "Bearer " + operatorKey, "Tokenkeep-Tenant", here}, "operator in " + here},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, "POST", url+"/graphql", tt.headers...)
			if got.status != 202 || got.header.Get("X-Actor") != tt.actor {
				t.Errorf("got %d as %q, want 202 as %q", got.status, got.header.Get("X-Actor"), tt.actor)
			}
		})
	}

	refusals := []struct {
		name    string
		headers []string
		status  int
		code    string
		field   string
	}{
		{"an unknown key", []string{"Authorization", "Bearer tk_unknown"}, 401, "UNAUTHENTICATED", ""},
		{"no scheme", []string{"Authorization", goodKey}, 401, "UNAUTHENTICATED", ""},
		{"another scheme", []string{"Authorization", "Basic " + goodKey}, 401, "UNAUTHENTICATED", ""},
		{"nothing behind the scheme", []string{"Authorization", "Bearer "}, 401, "UNAUTHENTICATED", ""},
		{"an empty header", []string{"Authorization", ""}, 401, "UNAUTHENTICATED", ""},
		{"two words", []string{"Authorization", "Bearer " + goodKey + " " + goodKey}, 401, "UNAUTHENTICATED", ""},
		{"two headers", []string{"Authorization", "Bearer " + goodKey, "Authorization", "Bearer " + operatorKey}, 401, "UNAUTHENTICATED", ""},
		{"not an id", []string{"Authorization", "Bearer " + operatorKey, "Tokenkeep-Tenant", "acme"}, 400, "BAD_USER_INPUT", "Tokenkeep-Tenant"},
		{"an id of something else", []string{"Authorization", "Bearer " + operatorKey, "Tokenkeep-Tenant", id.App.Format(home)}, 400, "BAD_USER_INPUT", "Tokenkeep-Tenant"},
		{"two tenants", []string{"Authorization", "Bearer " + operatorKey, "Tokenkeep-Tenant", here, "Tokenkeep-Tenant", here}, 400, "BAD_USER_INPUT", "Tokenkeep-Tenant"},
		{"no such tenant", []string{"Authorization", "Bearer " + operatorKey, "Tokenkeep-Tenant", elsewhere}, 404, "NOT_FOUND", ""},
		{"another tenant's", []string{"Authorization", "Bearer " + goodKey, "Tokenkeep-Tenant", elsewhere}, 404, "NOT_FOUND", ""},
		{"the vault is away", []string{"Authorization", "Bearer " + noVaultKey}, 503, "VAULT_UNAVAILABLE", ""},
		{"a fault of ours", []string{"Authorization", "Bearer " + brokenKey}, 500, "INTERNAL", ""},
	}
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, "POST", url+"/graphql", tt.headers...)
			f := got.failure(t)
			if got.status != tt.status || f.Extensions.Code != tt.code || f.Extensions.Field != tt.field {
				t.Errorf("got %d %+v, want %d %s on %q", got.status, f, tt.status, tt.code, tt.field)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (tt.status == 401) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("got WWW-Authenticate %q with %d", challenge, got.status)
			}
			if got.header.Get("X-Actor") != "" {
				t.Error("the request went on")
			}
			if strings.Contains(got.body, "relation") || strings.Contains(got.body, "tk_") {
				t.Errorf("got %q, which tells more than it may", got.body)
			}
			if tt.status == 503 && (got.header.Get("Retry-After") != "5" || f.Extensions.RetryAfter != 5) {
				t.Errorf("got Retry-After %q and %d, want 5 and 5", got.header.Get("Retry-After"), f.Extensions.RetryAfter)
			}
		})
	}
	if text := log.String(); strings.Contains(text, "tk_") || strings.Contains(text, "tko_") {
		t.Errorf("a key is in the log: %s", text)
	}
	if text := log.String(); !strings.Contains(text, "relation api_keys") {
		t.Error("the cause of a fault of ours is not in the log")
	}
}

func TestKeysInAddressesAreNotRead(t *testing.T) {
	url, log := start(t)
	for _, query := range []string{"access_token=", "api_key=", "key=", "token=", "authorization=Bearer+"} {
		if got := send(t, "POST", url+"/graphql?"+query+goodKey).header.Get("X-Actor"); got != "nobody" {
			t.Errorf("%s: got %q, want nobody", query, got)
		}
	}
	if strings.Contains(log.String(), goodKey) {
		t.Error("a query is in the log")
	}
}
