// Package interop_test drives Tokenkeep against an OAuth server that this project did not write, npm's oidc-provider:
// what our own emulator takes for granted may be our own misreading of the protocol.
//
// Mechanism: the server runs on loopback (server.mjs), with refresh rotation, reuse detection, revocation and PKCE
// required; people consent over plain HTTP; Tokenkeep knows the server by a providers file alone, which is the example in
// docs/providers.md. What happened is judged by the server's own ledger.
//
// Limit: only a server on this machine, without TLS.
package interop_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// allScopes are the scopes that the apps ask for.
func allScopes() []string {
	return []string{"openid", "offline_access", "profile", "email", "calendar"}
}

// consent has somebody consent to what the app asks for, except for the scope without, and returns the code.
func consent(t *testing.T, p *person, app oauth.App, scopes []string, without string) oauth.Code {
	t.Helper()
	code := oauth.Code{RedirectURI: redirectURI, Verifier: oauth.NewVerifier()}
	address, err := oauth.AuthorizeURL(app, oauth.AuthorizeParams{
		RedirectURI: redirectURI, State: "state-1", Challenge: oauth.Challenge(code.Verifier), Scopes: scopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	came := p.authorize(t, address, without)
	if came.Get("code") == "" || came.Get("state") != "state-1" {
		t.Fatalf("got %v at the redirect URI, want a code and the state", came)
	}
	code.Code = secret.New(came.Get("code"))
	return code
}
