package provider

import (
	"time"

	"golang.org/x/oauth2/endpoints"
)

func tableHtoP() []Provider {
	return []Provider{
		at(endpoints.Heroku, Provider{Key: "heroku", Name: "Heroku", AuthStyle: inParams, AccessTokenLife: 8 * time.Hour,
			APIBase: "https://api.heroku.com"}),
		// A refresh answers with a new refresh token only in the old one's last month.
		at(endpoints.KaKao, Provider{Key: "kakao", Name: "Kakao", AuthStyle: inParams, SupportsPKCE: true, AccessTokenLife: 6 * time.Hour,
			RefreshTokenLife: 60 * day, ScopeSeparator: ",", APIBase: "https://kapi.kakao.com",
			Identity: userInfo("https://kapi.kakao.com/v2/user/me", "id", "kakao_account.email", "kakao_account.profile.nickname")}),
		at(endpoints.Line, Provider{Key: "line", Name: "LINE", AuthStyle: inParams, SupportsPKCE: true, AccessTokenLife: 30 * day,
			APIBase: "https://api.line.me", RevocationEndpoint: "https://api.line.me/oauth2/v2.1/revoke", RevokeWith: AccessToken,
			Identity: userInfo("https://api.line.me/oauth2/v2.1/userinfo")}),
		at(endpoints.LinkedIn, Provider{Key: "linkedin", Name: "LinkedIn", AuthStyle: inParams, AccessTokenLife: 60 * day,
			RefreshTokenLife: 365 * day, APIBase: "https://api.linkedin.com", Identity: userInfo("https://api.linkedin.com/v2/userinfo")}),
		// Tokens do not expire.
		at(endpoints.Mailchimp, Provider{Key: "mailchimp", Name: "Mailchimp", AuthStyle: inParams,
			Identity: userInfo("https://login.mailchimp.com/oauth2/metadata", "user_id", "login.email", "accountname")}),
		at(endpoints.Mailru, Provider{Key: "mailru", Name: "Mail.ru", AuthStyle: inParams, AccessTokenLife: time.Hour}),
		at(endpoints.MediaMath, Provider{Key: "mediamath", Name: "MediaMath", AuthStyle: inParams, AccessTokenLife: time.Hour,
			APIBase: "https://api.mediamath.com"}),
		at(endpoints.MediaMathSandbox, Provider{Key: "mediamath_sandbox", Name: "MediaMath Sandbox", AuthStyle: inParams,
			AccessTokenLife: time.Hour, APIBase: "https://t1sandbox.mediamath.com"}),
		// Personal accounts only. Work and school accounts have a tenant in the URL: an entry in the operator's file.
		at(endpoints.Microsoft, Provider{Key: "microsoft", Name: "Microsoft account", AuthStyle: inParams, SupportsPKCE: true,
			AccessTokenLife: time.Hour}),
		at(endpoints.Naver, Provider{Key: "naver", Name: "Naver", AuthStyle: inParams, AccessTokenLife: time.Hour,
			APIBase: "https://openapi.naver.com", Identity: userInfo("https://openapi.naver.com/v1/nid/me", "response.id", "response.email", "response.name")}),
		at(endpoints.Odnoklassniki, Provider{Key: "odnoklassniki", Name: "Odnoklassniki", AuthStyle: inParams, ScopeSeparator: ";",
			AccessTokenLife: 30 * time.Minute, RefreshTokenLife: 30 * day, APIBase: "https://api.ok.ru"}),
		// Tokens do not expire.
		at(endpoints.OpenStreetMap, Provider{Key: "openstreetmap", Name: "OpenStreetMap", AuthStyle: inParams, SupportsPKCE: true,
			APIBase: "https://api.openstreetmap.org", RevocationEndpoint: "https://www.openstreetmap.org/oauth2/revoke", RevokeWith: AccessToken,
			Identity: userInfo("https://api.openstreetmap.org/api/0.6/user/details.json", "user.id", "user.email", "user.display_name")}),
		at(endpoints.Patreon, Provider{Key: "patreon", Name: "Patreon", AuthStyle: inParams, RotatesRefreshTokens: true,
			AccessTokenLife: 31 * day, APIBase: "https://www.patreon.com/api/oauth2/v2",
			Identity: userInfo("https://www.patreon.com/api/oauth2/v2/identity?fields%5Buser%5D=email,full_name",
				"data.id", "data.attributes.email", "data.attributes.full_name")}),
		at(endpoints.PayPal, Provider{Key: "paypal", Name: "PayPal", AuthStyle: inHeader, AccessTokenLife: 8 * time.Hour,
			APIBase:  "https://api.paypal.com",
			Identity: userInfo("https://api.paypal.com/v1/identity/openidconnect/userinfo?schema=openid", "user_id", "email", "name")}),
		at(endpoints.PayPalSandbox, Provider{Key: "paypal_sandbox", Name: "PayPal Sandbox", AuthStyle: inHeader,
			AccessTokenLife: 8 * time.Hour, APIBase: "https://api.sandbox.paypal.com",
			Identity: userInfo("https://api.sandbox.paypal.com/v1/identity/openidconnect/userinfo?schema=openid", "user_id", "email", "name")}),
		at(endpoints.Pinterest, Provider{Key: "pinterest", Name: "Pinterest", AuthStyle: inHeader, ScopeSeparator: ",",
			RotatesRefreshTokens: true, AccessTokenLife: 30 * day, RefreshTokenLife: 60 * day, APIBase: "https://api.pinterest.com/v5",
			Identity: userInfo("https://api.pinterest.com/v5/user_account", "id", "email", "username")}),
		// The answer's api_domain names the company's own host; it is kept among the extra fields.
		at(endpoints.Pipedrive, Provider{Key: "pipedrive", Name: "Pipedrive", AuthStyle: inHeader, AccessTokenLife: time.Hour,
			RefreshTokenLife: 60 * day, RevocationEndpoint: "https://oauth.pipedrive.com/oauth/revoke", RevokeWith: RefreshToken,
			RevocationEndsGrant: true, Identity: pipedriveIdentity()}),
	}
}

func pipedriveIdentity() Identity {
	id := userInfo("https://api.pipedrive.com/v1/users/me", "data.id", "data.email", "data.name")
	id.AccountIDField = "data.company_id"
	return id
}
