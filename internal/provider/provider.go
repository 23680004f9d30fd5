// Package provider is the catalogue of OAuth providers as values.
//
// Mechanism: a Provider says where a provider's endpoints are and how its tokens behave (rotation, reuse, lifetimes,
// what a second consent or a revocation does to a grant); nothing in here talks to anybody. The built-in entries are
// explicit lists of values, one file for each provider that needs more than a line; an operator's file adds entries or
// overrides single fields of built-in ones.
//
// Reason: what differs between providers is data. Code that asks "is this Zoom?" is wrong in every other package; it
// asks for the behaviour instead.
//
// Limit: a provider whose token endpoint leaves RFC 6749 behind (other parameter names, answers inside an envelope)
// cannot be described here; excluded.go names those of x/oauth2/endpoints for which this holds, with the reason.
package provider

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// GrantType is a way to come by a token set. Its text is the contract's enum value.
type GrantType string

// The grant types of the public contract.
const (
	AuthorizationCode  GrantType = "AUTHORIZATION_CODE"
	DeviceCode         GrantType = "DEVICE_CODE"
	AccountCredentials GrantType = "ACCOUNT_CREDENTIALS"
	ClientCredentials  GrantType = "CLIENT_CREDENTIALS"
	APIKey             GrantType = "API_KEY"
)

// GrantTypes lists all grant types in the contract's order.
func GrantTypes() []GrantType {
	return []GrantType{AuthorizationCode, DeviceCode, AccountCredentials, ClientCredentials, APIKey}
}

// Scope is a permission that the provider's users may grant.
type Scope struct {
	Name string
	// Description says in one sentence what an app may do with it.
	Description string
}

// IdentityKind is the way to learn whose grant it is.
type IdentityKind string

// The identity kinds. The zero value means the same as IdentityNone.
const (
	// IdentityNone: nothing is known of the user; connections of this provider have no external ids.
	IdentityNone IdentityKind = "none"
	// IdentityZoom: GET {api}/v2/users/me, by internal/zoom.
	IdentityZoom IdentityKind = "zoom"
	// IdentityUserInfo: GET Endpoint with the access token as bearer; a JSON object in answer (OIDC Core 5.3).
	IdentityUserInfo IdentityKind = "userinfo"
)

// Identity says how to learn whose grant it is.
type Identity struct {
	Kind IdentityKind
	// Endpoint is asked where Kind is IdentityUserInfo.
	Endpoint string
	// The fields of the answer. A dot steps into an object ("data.id"). Where empty, OIDC's names are used for user
	// ("sub"), e-mail ("email") and name ("name"); there is no account then.
	UserIDField, EmailField, NameField, AccountIDField string
}

// ReuseBehaviour says what a provider does when a refresh token that was rotated away comes again.
type ReuseBehaviour string

// The reuse behaviours. The zero value means the same as ReuseDead.
const (
	// ReuseDead: the old token is refused and nothing else happens.
	ReuseDead ReuseBehaviour = "dead"
	// ReuseWindow: within a window the old token answers again, so an answer that was lost can be fetched once more.
	ReuseWindow ReuseBehaviour = "window"
	// ReuseRevokesFamily: the whole grant is revoked (RFC 9700 4.14.2); a late send must never be made.
	ReuseRevokesFamily ReuseBehaviour = "revokes-family"
)

// TokenKind names a kind of token by its RFC 7009 token_type_hint.
type TokenKind string

// The token kinds.
const (
	AccessToken  TokenKind = "access_token"
	RefreshToken TokenKind = "refresh_token"
)

// Provider is one entry of the catalogue. It is a value: copy it freely, but do not change what its slices and maps
// hold, for copies share them.
type Provider struct {
	// Key names the provider in the API ("zoom"); lower-case letters, digits, "_" and "-".
	Key string
	// Name is for people ("Zoom").
	Name string
	// GrantTypes are the ways to connect that the provider knows.
	GrantTypes []GrantType
	// Scopes are those worth naming; a provider may know more.
	Scopes []Scope

	AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint, DeviceAuthorizationEndpoint string

	// APIBase is where the provider's API lives, without a trailing slash; empty where it is not one place.
	APIBase string
	// APIHosts are the hosts that an api_url in a token answer may name, besides the host of APIBase. "*.zoom.us"
	// stands for every name below zoom.us. The list exists because api_url steers where a bearer token is sent.
	APIHosts []string

	// AuthStyle says where a client secret travels: oauth2.AuthStyleInHeader or oauth2.AuthStyleInParams. Never
	// detected, because detecting sends a single-use code twice.
	AuthStyle oauth2.AuthStyle
	// SupportsPKCE: the authorize endpoint takes an S256 code_challenge (RFC 7636).
	SupportsPKCE bool
	// RotatesRefreshTokens: a refresh usually answers with a new refresh token and the old one ends. Where it is
	// false a new one is stored all the same if the answer carries it.
	RotatesRefreshTokens bool
	// ConsentEndsOlderGrant: a new consent of the same user and client ends the older grant (Zoom, code 4741).
	ConsentEndsOlderGrant bool
	// RevocationEndsGrant: revoking any token ends the user's whole grant for this client.
	RevocationEndsGrant bool
	// RevokeWith is the token to send to RevocationEndpoint; empty where there is no such endpoint.
	RevokeWith TokenKind
	// Reuse says what happens when an old refresh token comes again.
	Reuse ReuseBehaviour
	// ScopeSeparator joins scopes in the authorize URL; empty means one space (RFC 6749 3.3).
	ScopeSeparator string
	// AccessTokenLife is taken where a token answer has no expires_in. Zero means that nothing is known: what was last
	// observed holds, and a token that came without a refresh token is taken not to expire.
	AccessTokenLife time.Duration
	// RefreshTokenLife is how long an unused refresh token lives; zero means unknown.
	RefreshTokenLife time.Duration
	// KeepAlive is how long a refresh token may rest before it is used to keep it alive; zero means two thirds of
	// RefreshTokenLife, or the operator's default where that is unknown.
	KeepAlive time.Duration
	// Identity says how to learn whose grant it is.
	Identity Identity

	// OmitsScope: the authorize URL carries no scope; the app's registration decides (Zoom's Marketplace). Scope names
	// of an older generation in the URL can be refused.
	OmitsScope bool
	// AuthorizeParams are added to the authorize URL (Google's access_type=offline, without which there is no refresh
	// token).
	AuthorizeParams map[string]string
}

// Supports reports whether connections of the grant type can be made.
func (p Provider) Supports(g GrantType) bool { return slices.Contains(p.GrantTypes, g) }

// Separator returns what joins scopes in the authorize URL.
func (p Provider) Separator() string {
	if p.ScopeSeparator == "" {
		return " "
	}
	return p.ScopeSeparator
}

// AtBase returns the provider with its OAuth endpoints moved to issuerBase and its API to apiBase, paths kept: the
// emulator's addresses in place of the provider's own.
func (p Provider) AtBase(issuerBase, apiBase string) Provider {
	p.AuthorizationEndpoint = rebase(p.AuthorizationEndpoint, issuerBase)
	p.TokenEndpoint = rebase(p.TokenEndpoint, issuerBase)
	p.RevocationEndpoint = rebase(p.RevocationEndpoint, issuerBase)
	p.DeviceAuthorizationEndpoint = rebase(p.DeviceAuthorizationEndpoint, issuerBase)
	p.Identity.Endpoint = rebase(p.Identity.Endpoint, apiBase)
	p.APIBase = strings.TrimRight(apiBase, "/")
	return p
}

// rebase puts the path and query of endpoint behind base. An empty endpoint stays empty.
func rebase(endpoint, base string) string {
	u, err := url.Parse(endpoint)
	if endpoint == "" || err != nil {
		return endpoint
	}
	return strings.TrimRight(base, "/") + u.RequestURI()
}
