package oauth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// ErrNoAuthorize is returned for a provider without an authorize endpoint.
var ErrNoAuthorize = errors.New("provider has no authorization endpoint")

// AuthorizeParams is what an authorize URL carries besides the app's own facts.
type AuthorizeParams struct {
	RedirectURI string
	// State comes back unchanged with the code.
	State string
	// Challenge is the S256 challenge of a PKCE verifier; empty for none.
	Challenge string
	// Scopes are asked for, unless the provider takes them from the app's registration.
	Scopes []string
	// LoginHint names the user who is expected; empty for none (OIDC Core 3.1.2.1).
	LoginHint string
	// Extra parameters; they win over the provider's own.
	Extra map[string]string
}

// AuthorizeURL returns the URL to send a user's browser to (RFC 6749 4.1.1, RFC 7636 4.3).
func AuthorizeURL(app App, p AuthorizeParams) (string, error) {
	if app.Provider.AuthorizationEndpoint == "" {
		return "", fmt.Errorf("building authorize URL for %s: %w", app.Provider.Key, ErrNoAuthorize)
	}
	cfg := oauth2.Config{
		ClientID:    app.ClientID,
		Endpoint:    oauth2.Endpoint{AuthURL: app.Provider.AuthorizationEndpoint},
		RedirectURL: p.RedirectURI,
	}
	if len(p.Scopes) > 0 && !app.Provider.OmitsScope {
		cfg.Scopes = []string{strings.Join(p.Scopes, app.Provider.Separator())}
	}
	return cfg.AuthCodeURL(p.State, authorizeOptions(app, p)...), nil
}

func authorizeOptions(app App, p AuthorizeParams) []oauth2.AuthCodeOption {
	params := map[string]string{}
	maps.Copy(params, app.Provider.AuthorizeParams)
	if p.LoginHint != "" {
		params["login_hint"] = p.LoginHint
	}
	maps.Copy(params, p.Extra)
	if p.Challenge != "" {
		params["code_challenge"] = p.Challenge
		params["code_challenge_method"] = "S256"
	}
	var opts []oauth2.AuthCodeOption
	for _, k := range slices.Sorted(maps.Keys(params)) {
		opts = append(opts, oauth2.SetAuthURLParam(k, params[k]))
	}
	return opts
}

// NewVerifier returns a fresh PKCE verifier of 256 random bits (RFC 7636 4.1).
func NewVerifier() secret.Text { return secret.New(oauth2.GenerateVerifier()) }

// Challenge returns the S256 challenge of a verifier (RFC 7636 4.2).
func Challenge(v secret.Text) string { return oauth2.S256ChallengeFromVerifier(v.Reveal()) }
