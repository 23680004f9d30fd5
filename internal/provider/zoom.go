package provider

import (
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"
)

// Zoom returns the entry for Zoom.
//
// Facts: Zoom's OAuth page and error list (codes 4700 to 4741); the support articles on token expiry; the changelog
// entries on api_url and regional clusters. Refresh tokens rotate, the old one is dead at once, and a lost answer
// cannot be fetched again. No page states the ninety days; older ones say fifteen years. Ninety days is the safe side.
func Zoom() Provider {
	return Provider{
		Key:                         "zoom",
		Name:                        "Zoom",
		GrantTypes:                  []GrantType{AuthorizationCode, DeviceCode, AccountCredentials, ClientCredentials},
		Scopes:                      zoomScopes(),
		AuthorizationEndpoint:       endpoints.Zoom.AuthURL,
		TokenEndpoint:               endpoints.Zoom.TokenURL,
		RevocationEndpoint:          "https://zoom.us/oauth/revoke",
		DeviceAuthorizationEndpoint: "https://zoom.us/oauth/devicecode",
		APIBase:                     "https://api.zoom.us",
		APIHosts:                    []string{"*.zoom.us"},
		AuthStyle:                   oauth2.AuthStyleInHeader,
		SupportsPKCE:                true,
		RotatesRefreshTokens:        true,
		ConsentEndsOlderGrant:       true,
		RevocationEndsGrant:         true,
		RevokeWith:                  AccessToken,
		Reuse:                       ReuseDead,
		AccessTokenLife:             time.Hour,
		RefreshTokenLife:            90 * 24 * time.Hour,
		Identity:                    Identity{Kind: IdentityZoom},
		OmitsScope:                  true,
	}
}
