package provider

import (
	"time"

	"golang.org/x/oauth2/endpoints"
)

func tableQtoZ() []Provider {
	return []Provider{
		at(endpoints.Rakuten, Provider{Key: "rakuten", Name: "Rakuten", AuthStyle: inParams, AccessTokenLife: time.Hour}),
		// A workspace's bot token, which does not expire unless the app has token rotation on. Failures come with 200.
		at(endpoints.Slack, Provider{Key: "slack", Name: "Slack", AuthStyle: inHeader, ScopeSeparator: ",", RotatesRefreshTokens: true,
			APIBase: "https://slack.com/api", Identity: slackIdentity()}),
		// Tokens do not expire.
		at(endpoints.Splitwise, Provider{Key: "splitwise", Name: "Splitwise", AuthStyle: inParams, APIBase: "https://secure.splitwise.com/api/v3.0",
			Identity: userInfo("https://secure.splitwise.com/api/v3.0/get_current_user", "user.id", "user.email", "user.first_name")}),
		at(endpoints.Spotify, Provider{Key: "spotify", Name: "Spotify", AuthStyle: inHeader, SupportsPKCE: true, AccessTokenLife: time.Hour,
			APIBase: "https://api.spotify.com/v1", Identity: userInfo("https://api.spotify.com/v1/me", "id", "email", "display_name")}),
		// Answers as a form, with "expires" in place of "expires_in". Without scope no_expiry a token lives a day.
		at(endpoints.StackOverflow, Provider{Key: "stackoverflow", Name: "Stack Overflow", AuthStyle: inParams, ScopeSeparator: ",",
			AccessTokenLife: day, APIBase: "https://api.stackexchange.com/2.3"}),
		at(endpoints.Strava, Provider{Key: "strava", Name: "Strava", AuthStyle: inParams, ScopeSeparator: ",", RotatesRefreshTokens: true,
			AccessTokenLife: 6 * time.Hour, APIBase: "https://www.strava.com/api/v3",
			Identity: userInfo("https://www.strava.com/api/v3/athlete", "id", "email", "username")}),
		at(endpoints.Twitch, Provider{Key: "twitch", Name: "Twitch", AuthStyle: inParams, AccessTokenLife: 4 * time.Hour,
			APIBase: "https://api.twitch.tv/helix", RevocationEndpoint: "https://id.twitch.tv/oauth2/revoke", RevokeWith: AccessToken,
			Identity: userInfo("https://id.twitch.tv/oauth2/userinfo", "sub", "email", "preferred_username")}),
		at(endpoints.Uber, Provider{Key: "uber", Name: "Uber", AuthStyle: inParams, AccessTokenLife: 30 * day, APIBase: "https://api.uber.com",
			Identity: userInfo("https://api.uber.com/v1.2/me", "uuid", "email", "first_name")}),
		at(endpoints.Vk, Provider{Key: "vk", Name: "VK", AuthStyle: inParams, ScopeSeparator: ",", AccessTokenLife: day}),
		// The authorize endpoint insists on PKCE; scope offline.access asks for a refresh token.
		at(endpoints.X, Provider{Key: "x", Name: "X", AuthStyle: inHeader, SupportsPKCE: true, RotatesRefreshTokens: true,
			AccessTokenLife: 2 * time.Hour, APIBase: "https://api.x.com/2", RevocationEndpoint: "https://api.x.com/2/oauth2/revoke",
			RevokeWith: RefreshToken, Identity: userInfo("https://api.x.com/2/users/me", "data.id", "data.confirmed_email", "data.username")}),
		at(endpoints.Yahoo, Provider{Key: "yahoo", Name: "Yahoo", AuthStyle: inHeader, SupportsPKCE: true, AccessTokenLife: time.Hour,
			Identity: userInfo("https://api.login.yahoo.com/openid/v1/userinfo")}),
		at(endpoints.Yandex, Provider{Key: "yandex", Name: "Yandex", AuthStyle: inParams, SupportsPKCE: true, AccessTokenLife: 365 * day,
			Identity: userInfo("https://login.yandex.ru/info", "id", "default_email", "real_name")}),
	}
}

// slackIdentity names the bot user; the workspace is the account.
func slackIdentity() Identity {
	id := userInfo("https://slack.com/api/auth.test", "user_id", "email", "user")
	id.AccountIDField = "team_id"
	return id
}
