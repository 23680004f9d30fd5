package provider

import (
	"time"

	"golang.org/x/oauth2/endpoints"
)

func tableAtoG() []Provider {
	return []Provider{
		at(endpoints.Amazon, Provider{Key: "amazon", Name: "Amazon", AuthStyle: inParams, SupportsPKCE: true, AccessTokenLife: time.Hour,
			Identity: userInfo("https://api.amazon.com/user/profile", "user_id", "email", "name")}),
		at(endpoints.Asana, Provider{Key: "asana", Name: "Asana", AuthStyle: inParams, SupportsPKCE: true, AccessTokenLife: time.Hour,
			APIBase: "https://app.asana.com/api/1.0", RevocationEndpoint: "https://app.asana.com/-/oauth_revoke", RevokeWith: RefreshToken,
			Identity: userInfo("https://app.asana.com/api/1.0/users/me", "data.gid", "data.email", "data.name")}),
		at(endpoints.Badgr, Provider{Key: "badgr", Name: "Canvas Badges (Badgr)", AuthStyle: inParams, RotatesRefreshTokens: true,
			AccessTokenLife: day, APIBase: "https://api.badgr.io"}),
		// No refresh tokens; an access token lives a day.
		at(endpoints.Battlenet, Provider{Key: "battlenet", Name: "Battle.net", AuthStyle: inHeader, AccessTokenLife: day,
			Identity: userInfo("https://oauth.battle.net/userinfo", "sub", "email", "battletag")}),
		at(endpoints.Bitbucket, Provider{Key: "bitbucket", Name: "Bitbucket", AuthStyle: inHeader, AccessTokenLife: 2 * time.Hour,
			APIBase: "https://api.bitbucket.org/2.0", Identity: userInfo("https://api.bitbucket.org/2.0/user", "uuid", "email", "display_name")}),
		at(endpoints.Cern, Provider{Key: "cern", Name: "CERN", AuthStyle: inParams, AccessTokenLife: time.Hour}),
		// A refresh token is good for one use; scope offline_access asks for it.
		at(endpoints.Coinbase, Provider{Key: "coinbase", Name: "Coinbase", AuthStyle: inParams, SupportsPKCE: true,
			RotatesRefreshTokens: true, AccessTokenLife: time.Hour, APIBase: "https://api.coinbase.com",
			RevocationEndpoint: "https://login.coinbase.com/oauth2/revoke", RevokeWith: AccessToken,
			Identity: userInfo("https://api.coinbase.com/v2/user", "data.id", "data.email", "data.name")}),
		// Revoking any token ends the user's whole authorization of the application.
		at(endpoints.Discord, Provider{Key: "discord", Name: "Discord", AuthStyle: inHeader, SupportsPKCE: true,
			RotatesRefreshTokens: true, AccessTokenLife: 7 * day, APIBase: "https://discord.com/api",
			RevocationEndpoint: "https://discord.com/api/oauth2/token/revoke", RevokeWith: RefreshToken, RevocationEndsGrant: true,
			Identity: userInfo("https://discord.com/api/users/@me", "id", "email", "username")}),
		// token_access_type=offline: without it there is no refresh token.
		at(endpoints.Dropbox, Provider{Key: "dropbox", Name: "Dropbox", AuthStyle: inParams, SupportsPKCE: true,
			AccessTokenLife: 4 * time.Hour, APIBase: "https://api.dropboxapi.com/2",
			AuthorizeParams: map[string]string{"token_access_type": "offline"}}),
		// The redirect URI is eBay's RuName, a name and not a URL.
		at(endpoints.Endpoint, Provider{Key: "ebay", Name: "eBay", AuthStyle: inHeader, AccessTokenLife: 2 * time.Hour,
			RefreshTokenLife: 540 * day, APIBase: "https://api.ebay.com",
			Identity: userInfo("https://apiz.ebay.com/commerce/identity/v1/user/", "userId", "individualAccount.email", "username")}),
		// No refresh tokens; a user's token lives up to sixty days.
		at(endpoints.Facebook, Provider{Key: "facebook", Name: "Facebook", AuthStyle: inParams, ScopeSeparator: ",",
			AccessTokenLife: 60 * day, APIBase: "https://graph.facebook.com/v22.0",
			Identity: userInfo("https://graph.facebook.com/v22.0/me?fields=id,name,email", "id", "email", "name")}),
		// Tokens do not expire.
		at(endpoints.Foursquare, Provider{Key: "foursquare", Name: "Foursquare", AuthStyle: inParams,
			APIBase: "https://api.foursquare.com/v2"}),
		// For two minutes the same refresh gets the same answer.
		at(endpoints.Fitbit, Provider{Key: "fitbit", Name: "Fitbit", AuthStyle: inHeader, SupportsPKCE: true,
			RotatesRefreshTokens: true, Reuse: ReuseWindow, AccessTokenLife: 8 * time.Hour, APIBase: "https://api.fitbit.com",
			RevocationEndpoint: "https://api.fitbit.com/oauth2/revoke", RevokeWith: RefreshToken, RevocationEndsGrant: true,
			Identity: userInfo("https://api.fitbit.com/1/user/-/profile.json", "user.encodedId", "user.email", "user.displayName")}),
		// An OAuth app's tokens do not expire; a GitHub App's answer names its eight hours.
		at(endpoints.GitHub, Provider{Key: "github", Name: "GitHub", AuthStyle: inParams, SupportsPKCE: true, RotatesRefreshTokens: true,
			RefreshTokenLife: 180 * day, APIBase: "https://api.github.com",
			Identity: userInfo("https://api.github.com/user", "id", "email", "login")}),
		at(endpoints.GitLab, Provider{Key: "gitlab", Name: "GitLab", AuthStyle: inParams, SupportsPKCE: true,
			RotatesRefreshTokens: true, AccessTokenLife: 2 * time.Hour, APIBase: "https://gitlab.com/api/v4",
			RevocationEndpoint: "https://gitlab.com/oauth/revoke", RevokeWith: RefreshToken,
			Identity: userInfo("https://gitlab.com/oauth/userinfo")}),
		// access_type=offline and prompt=consent: without both, a second consent brings no refresh token.
		at(endpoints.Google, Provider{Key: "google", Name: "Google", AuthStyle: inParams, SupportsPKCE: true,
			AccessTokenLife: time.Hour, RevocationEndpoint: "https://oauth2.googleapis.com/revoke", RevokeWith: RefreshToken,
			RevocationEndsGrant: true, Identity: userInfo("https://openidconnect.googleapis.com/v1/userinfo"),
			AuthorizeParams: map[string]string{"access_type": "offline", "prompt": "consent"}}),
	}
}
