package model

import (
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// OAuthApp is an app without its secrets and without what other rows say about it.
type OAuthApp struct {
	ID                      string
	Name                    string
	ClientID                string
	RedirectUris            []string
	ReturnTo                []string
	Scopes                  []string
	State                   OAuthAppState
	Failure                 *ConnectionFailure
	LastVerifiedWebhookAt   *time.Time
	LastUnverifiedWebhookAt *time.Time
	CreatedAt               time.Time
	UpdatedAt               time.Time

	// Row is what the resolvers go on from; the schema has no such field.
	Row *ent.OAuthApp
}

// IsNode says that an app has an id of its own.
func (*OAuthApp) IsNode() {}

// OAuthAppOf makes an app of its row; nil stays nil.
func OAuthAppOf(a *ent.OAuthApp) *OAuthApp {
	if a == nil {
		return nil
	}
	return &OAuthApp{
		ID:                      id.App.Format(a.ID),
		Name:                    a.Name,
		ClientID:                a.ClientID,
		RedirectUris:            List(a.RedirectUris),
		ReturnTo:                List(a.ReturnTo),
		Scopes:                  List(a.Scopes),
		State:                   OAuthAppState(a.State),
		Failure:                 FailureOf(connection.AppFailureOf(a)),
		LastVerifiedWebhookAt:   a.LastVerifiedWebhookAt,
		LastUnverifiedWebhookAt: a.LastUnverifiedWebhookAt,
		CreatedAt:               a.CreatedAt,
		UpdatedAt:               a.UpdatedAt,
		Row:                     a,
	}
}

// ProviderOf makes a provider of its catalogue entry.
func ProviderOf(p provider.Provider) *Provider {
	return &Provider{
		Key:                         p.Key,
		Name:                        p.Name,
		GrantTypes:                  each(p.GrantTypes, func(g provider.GrantType) GrantType { return GrantType(g) }),
		Scopes:                      each(p.Scopes, scopeOf),
		AuthorizationEndpoint:       text(p.AuthorizationEndpoint),
		TokenEndpoint:               text(p.TokenEndpoint),
		RevocationEndpoint:          text(p.RevocationEndpoint),
		DeviceAuthorizationEndpoint: text(p.DeviceAuthorizationEndpoint),
		SupportsPkce:                p.SupportsPKCE,
		RotatesRefreshTokens:        p.RotatesRefreshTokens,
	}
}

func scopeOf(s provider.Scope) *ProviderScope {
	return &ProviderScope{Name: s.Name, Description: s.Description}
}

// ProvidersOf makes providers of their catalogue entries.
func ProvidersOf(ps []provider.Provider) []*Provider { return each(ps, ProviderOf) }
