package model

import (
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// The types below are written by hand because of the secrets in them: the generator would make them strings.

// AuthorizationCodeGrant is a code that came back through a browser.
type AuthorizationCodeGrant struct {
	Code         secret.Text
	RedirectURI  string
	CodeVerifier *secret.Text
}

// APIKeyGrant is a secret that is kept and handed out like any other credential.
type APIKeyGrant struct {
	APIKey   secret.Text
	Username *string
}

// CreateOAuthAppInput is a client as registered with its provider.
type CreateOAuthAppInput struct {
	Shared        *bool
	Provider      string
	Name          *string
	ClientID      string
	ClientSecret  *secret.Text
	RedirectUris  []string
	ReturnTo      []string
	Scopes        []string
	WebhookSecret *secret.Text
}

// UpdateOAuthAppInput changes what is set in it.
type UpdateOAuthAppInput struct {
	ID            string
	Name          graphql.Omittable[*string]
	ClientSecret  graphql.Omittable[*secret.Text]
	RedirectUris  graphql.Omittable[[]string]
	ReturnTo      graphql.Omittable[[]string]
	Scopes        graphql.Omittable[[]string]
	WebhookSecret graphql.Omittable[*secret.Text]
}

// Credential is a token that is valid now.
type Credential struct {
	Connection      *Connection
	Version         int64
	TokenType       string
	AccessToken     secret.Text
	ExpiresAt       *time.Time
	Scopes          []string
	APIURL          *string
	RevalidateAfter time.Time
}

// IsCredentialResult makes Credential a member of the union.
func (*Credential) IsCredentialResult() {}

// CreateAPIKeyPayload carries a new key's secret, which is shown this once.
type CreateAPIKeyPayload struct {
	APIKey *APIKey
	Secret secret.Text
}

// CreateTenantPayload carries the secret of the tenant's first key, which is shown this once.
type CreateTenantPayload struct {
	Tenant *Tenant
	APIKey secret.Text
}
