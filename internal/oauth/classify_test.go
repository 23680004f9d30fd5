package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const html = "<html><body><h1>502 Bad Gateway</h1></body></html>"

// TestClassifyZoomRows has the rows of Zoom's error list that a token endpoint can send, by number, by text and as
// captured. Columns of outcomes: what it means to an exchange and to a refresh.
func TestClassifyZoomRows(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   int
		body     string
		exchange oauth.Outcome
		refresh  oauth.Outcome
		reason   oauth.Reason
		code     string
	}{
		{"4700 catch-all", 500, `{"reason":"oops","error":"server_error"}`, oauth.Unknown, oauth.Unknown, oauth.ReasonProviderError, "server_error"},
		{"4700 number only", 400, `{"code":4700,"message":""}`, oauth.Unavailable, oauth.Unavailable, oauth.ReasonProviderError, "4700"},
		{"4700 no token", 401, `{"reason":"Token cannot be empty."}`, oauth.Rejected, oauth.Rejected, oauth.ReasonProviderError, "4700"},
		{"4700 redirect", 400, `{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`, oauth.Rejected, oauth.Rejected, oauth.ReasonProviderError, "4700"},
		{"4702", 400, `{"reason":"Invalid client.","error":"invalid_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "4702"},
		{"4702 number", 400, `{"errorCode":4702,"errorMessage":"Invalid client_id: abc"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "4702"},
		{"4704", 400, `{"reason":"Invalid client secret.","error":"invalid_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "4704"},
		{"4705", 400, `{"reason":"Grant type is not supported from token endpoint.","error":"unsupported_grant_type"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "4705"},
		{"4706 client", 400, `{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "4706"},
		{"4706 grant type", 400, `{"reason":"Missing grant type.","error":"invalid_request"}`, oauth.Rejected, oauth.Rejected, oauth.ReasonProviderError, "4706"},
		{"4709", 400, `{"reason":"Redirect URI mismatch.","error":"invalid_request"}`, oauth.Rejected, oauth.Rejected, oauth.ReasonProviderError, "4709"},
		{"4711", 400, `{"reason":"Refresh token invalid.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonScopesChanged, "4711"},
		{"4717", 400, `{"reason":"The app has been disabled","error":"unauthorized_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonAppDisabled, "4717"},
		{"4732", 500, `{"reason":"Creating authorization code error.","error":"server_error"}`, oauth.Unknown, oauth.Unknown, oauth.ReasonProviderError, "4732"},
		{"4735", 400, `{"reason":"The owner of the token does not exist.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonUserDeactivated, "4735"},
		{"4737", 400, `{"reason":"Can not find the authentication for the access token.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonRevoked, "4737"},
		{"4738", 400, `{"reason":"The token is disabled by admin.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonApprovalWithdrawn, "4738"},
		{"4740", 400, `{"reason":"The token ID is out of the token tolerance range.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonRevoked, "4740"},
		{"4741", 400, `{"reason":"The token has been revoked.","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonSuperseded, "4741"},
		{"4741 number", 400, `{"code":4741,"message":"anything"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonSuperseded, "4741"},
		{"dead 400", 400, `{"reason":"Invalid Token!","error":"invalid_grant"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonRevoked, "invalid_grant"},
		{"dead 401", 401, `{"reason":"Invalid Token!","error":"invalid_request"}`, oauth.CodeRejected, oauth.GrantDead, oauth.ReasonRevoked, "invalid_request"},
		{"bad pair", 400, `{"reason":"Invalid client_id or client_secret","error":"invalid_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "invalid_client"},
		{"bad pair 401", 401, `{"error":"invalid_client"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "invalid_client"},
		{"grant type", 400, `{"reason":"unsupported grant type","error":"unsupported_grant_type"}`, oauth.AppMisconfigured, oauth.AppMisconfigured, oauth.ReasonClientRejected, "unsupported_grant_type"},
		{"invalid_request", 400, `{"reason":"something","error":"invalid_request"}`, oauth.Rejected, oauth.Rejected, oauth.ReasonProviderError, "invalid_request"},
		{"429", 429, `{"reason":"slow"}`, oauth.RateLimited, oauth.RateLimited, oauth.ReasonRateLimited, ""},
		{"429 HTML", 429, html, oauth.RateLimited, oauth.RateLimited, oauth.ReasonRateLimited, ""},
		{"500", 500, ``, oauth.Unknown, oauth.Unknown, oauth.ReasonProviderError, ""},
		{"502 HTML", 502, html, oauth.Unknown, oauth.Unknown, oauth.ReasonProviderError, ""},
		{"503 that names death", 503, `{"reason":"Invalid Token!","error":"invalid_grant"}`, oauth.Unknown, oauth.Unknown, oauth.ReasonProviderError, "invalid_grant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for call, want := range map[oauth.Call]oauth.Outcome{oauth.CallExchange: tc.exchange, oauth.CallRefresh: tc.refresh} {
				e := oauth.Classify(call, tc.status, http.Header{}, []byte(tc.body), now)
				if e.Outcome != want || e.Reason != tc.reason || e.ProviderCode != tc.code || e.Status != tc.status || e.Message == "" {
					t.Errorf("%s = %s %s %q (%d) %q, want %s %s %q", call, e.Outcome, e.Reason, e.ProviderCode, e.Status, e.Message, want, tc.reason, tc.code)
				}
			}
		})
	}
}

// TestClassifyOneCall has what depends on the call.
func TestClassifyOneCall(t *testing.T) {
	for _, tc := range []struct {
		name   string
		call   oauth.Call
		status int
		body   string
		want   oauth.Outcome
		code   string
	}{
		{"4733", oauth.CallExchange, 400, `{"reason":"Code is expired","error":"invalid_grant"}`, oauth.CodeRejected, "4733"},
		{"4734", oauth.CallExchange, 400, `{"reason":"Invalid authorization code.","error":"invalid_grant"}`, oauth.CodeRejected, "4734"},
		{"code repeated", oauth.CallExchange, 400, `{"reason":"Invalid authorization code aBc_9","error":"invalid_grant"}`, oauth.CodeRejected, "invalid_grant"},
		{"code repeated, 2020", oauth.CallExchange, 400, `{"reason":"Invalid authorization code aBc_9","error":"invalid_request"}`, oauth.CodeRejected, "invalid_request"},
		{"PKCE mismatch", oauth.CallExchange, 400, `{"error":"invalid_grant"}`, oauth.CodeRejected, "invalid_grant"},
		{"code text at a refresh", oauth.CallRefresh, 400, `{"reason":"Invalid authorization code aBc_9","error":"invalid_request"}`, oauth.Rejected, "invalid_request"},
		{"GitHub's 200", oauth.CallExchange, 200, `{"error":"bad_verification_code"}`, oauth.CodeRejected, "bad_verification_code"},
		{"GitHub's 200 at a refresh", oauth.CallRefresh, 200, `{"error":"bad_refresh_token"}`, oauth.GrantDead, "bad_refresh_token"},
		{"GitHub's client", oauth.CallRefresh, 200, `{"error":"incorrect_client_credentials"}`, oauth.AppMisconfigured, "incorrect_client_credentials"},
		{"code word at a refresh", oauth.CallRefresh, 400, `{"error":"bad_verification_code"}`, oauth.Rejected, "bad_verification_code"},
		{"token word at an exchange", oauth.CallExchange, 400, `{"error":"bad_refresh_token"}`, oauth.Rejected, "bad_refresh_token"},
		{"Spring's", oauth.CallRefresh, 401, `{"error":"invalid_token"}`, oauth.GrantDead, "invalid_token"},
		{"Slack's 200", oauth.CallExchange, 200, `{"ok":false,"error":"invalid_code"}`, oauth.CodeRejected, "invalid_code"},
		{"Slack's limit", oauth.CallRefresh, 200, `{"ok":false,"error":"ratelimited"}`, oauth.RateLimited, "ratelimited"},
		{"server error with 400", oauth.CallRefresh, 400, `{"error":"server_error"}`, oauth.Unknown, "server_error"},
		{"for now", oauth.CallRefresh, 400, `{"error":"temporarily_unavailable"}`, oauth.Unavailable, "temporarily_unavailable"},
		{"unknown word", oauth.CallRefresh, 400, `{"error":"surprise"}`, oauth.Rejected, "surprise"},
		{"unknown word with 200", oauth.CallRefresh, 200, `{"error":"surprise"}`, oauth.Rejected, "surprise"},
		{"access denied", oauth.CallRefresh, 403, `{"error":"access_denied"}`, oauth.Rejected, "access_denied"},
		{"both token and client", oauth.CallRefresh, 400, `{"reason":"Invalid Token!","error":"invalid_client"}`, oauth.AppMisconfigured, "invalid_client"},
		{"error object", oauth.CallExchange, 400, `{"error":{"message":"used","type":"OAuthException","code":100}}`, oauth.Rejected, "OAuthException"},
		{"gateway", oauth.CallRefresh, 403, `{"message":"Forbidden"}`, oauth.Unavailable, ""},
		{"firewall", oauth.CallRefresh, 403, html, oauth.Unavailable, ""},
		{"HTML 400", oauth.CallRefresh, 400, html, oauth.Unavailable, ""},
		{"HTML 401", oauth.CallRefresh, 401, html, oauth.Unavailable, ""},
		{"404", oauth.CallRefresh, 404, ``, oauth.Unavailable, ""},
		{"425", oauth.CallRefresh, 425, ``, oauth.Unavailable, ""},
		{"425 that names death", oauth.CallRefresh, 425, `{"error":"invalid_grant"}`, oauth.Unavailable, "invalid_grant"},
		{"4724 number", oauth.CallRefresh, 401, `{"code":4724,"message":"x","error":"invalid_token"}`, oauth.Rejected, "4724"},
		{"4724 number at a revocation", oauth.CallRevoke, 401, `{"code":4724,"error":"invalid_token"}`, oauth.Rejected, "4724"},
		{"Atlassian's dead token", oauth.CallRefresh, 403, `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`, oauth.GrantDead, "unauthorized_client"},
		{"an unauthorized client", oauth.CallRefresh, 403, `{"error":"unauthorized_client","error_description":"no"}`, oauth.AppMisconfigured, "unauthorized_client"},
		{"Slack's user", oauth.CallRefresh, 200, `{"ok":false,"error":"account_inactive"}`, oauth.GrantDead, "account_inactive"},
		{"pending device", oauth.CallRefresh, 400, `{"error":"authorization_pending"}`, oauth.Rejected, "authorization_pending"},
		{"polling too fast", oauth.CallExchange, 400, `{"error":"slow_down"}`, oauth.RateLimited, "slow_down"},
		{"device code expired", oauth.CallRefresh, 400, `{"error":"expired_token"}`, oauth.Rejected, "expired_token"},
		{"invalid scope", oauth.CallRefresh, 400, `{"error":"invalid_scope"}`, oauth.Rejected, "invalid_scope"},
		{"cut refusal", oauth.CallRefresh, 400, `{"error":"invalid_gr`, oauth.Unavailable, ""},
		{"refusal behind a byte order mark", oauth.CallRefresh, 400, "\xef\xbb\xbf" + `{"error":"invalid_grant"}`, oauth.GrantDead, "invalid_grant"},
		{"refusal under text/html", oauth.CallRefresh, 400, ` {"error":"invalid_grant"}`, oauth.GrantDead, "invalid_grant"},
		{"408", oauth.CallRefresh, 408, ``, oauth.Unknown, ""},
		{"redirect", oauth.CallRefresh, 302, ``, oauth.Unavailable, ""},
		{"HTML 200", oauth.CallRefresh, 200, html, oauth.Unknown, ""},
		{"empty 200", oauth.CallRefresh, 200, ``, oauth.Unknown, ""},
		{"truncated 200", oauth.CallRefresh, 200, `{"access_token":"abc","refr`, oauth.Unknown, ""},
		{"200 without a token", oauth.CallRefresh, 200, `{"token_type":"bearer"}`, oauth.Unknown, ""},
		{"200 with an envelope", oauth.CallRefresh, 200, `{"code":200,"data":{"access_token":"abc"}}`, oauth.Unknown, "200"},
		{"204", oauth.CallExchange, 204, ``, oauth.Unknown, ""},
		{"form", oauth.CallRefresh, 400, `error=invalid_grant`, oauth.Unavailable, ""},
		{"odd word", oauth.CallRefresh, 400, `{"error":"<script>alert(1)</script>"}`, oauth.Rejected, ""},
		{"long word", oauth.CallRefresh, 400, `{"error":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`, oauth.Rejected, ""},
		{"revocation of a dead token", oauth.CallRevoke, 400, `{"reason":"Invalid Token!","error":"invalid_request"}`, oauth.GrantDead, "invalid_request"},
		{"revocation, 503", oauth.CallRevoke, 503, html, oauth.Unavailable, ""},
		{"revocation, bad client", oauth.CallRevoke, 400, `{"error":"invalid_client"}`, oauth.AppMisconfigured, "invalid_client"},
		{"userinfo 401", oauth.CallUserInfo, 401, `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`, oauth.Unauthorized, "UNAUTHENTICATED"},
		{"userinfo 403", oauth.CallUserInfo, 403, `{"message":"scope"}`, oauth.Rejected, ""},
		{"userinfo, Slack's", oauth.CallUserInfo, 200, `{"ok":false,"error":"invalid_auth"}`, oauth.Unauthorized, "invalid_auth"},
		{"userinfo HTML", oauth.CallUserInfo, 200, html, oauth.Unavailable, ""},
		{"userinfo 500", oauth.CallUserInfo, 500, html, oauth.Unavailable, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := oauth.Classify(tc.call, tc.status, http.Header{}, []byte(tc.body), now)
			if e.Outcome != tc.want || e.ProviderCode != tc.code || e.Message == "" {
				t.Errorf("got %s %q %q, want %s %q", e.Outcome, e.ProviderCode, e.Message, tc.want, tc.code)
			}
		})
	}
}

func TestClassifyForm(t *testing.T) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	e := oauth.Classify(oauth.CallRefresh, 400, header, []byte("error=invalid_grant&error_description=x"), now)
	if e.Outcome != oauth.GrantDead {
		t.Errorf("got %s, want %s", e.Outcome, oauth.GrantDead)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"seconds", "17", "", 17 * time.Second},
		{"half a second", "0.5", "", 500 * time.Millisecond},
		{"HTTP date", "Sat, 21 Nov 2026 12:00:30 GMT", "", 30 * time.Second},
		{"ISO 8601", "2026-11-21T12:01:00Z", "", time.Minute},
		{"ISO 8601 with a zone", "2026-11-21T14:01:00+02:00", "", time.Minute},
		{"our clock is five minutes slow", "Sat, 21 Nov 2026 12:05:30 GMT", "Sat, 21 Nov 2026 12:05:00 GMT", 30 * time.Second},
		{"past", "Sat, 21 Nov 2026 11:00:00 GMT", "", 0},
		{"negative", "-3", "", 0},
		{"far", "1e300", "", 24 * time.Hour},
		{"not a number", "NaN", "", 0},
		{"unreadable", "soon", "", 0},
		{"absent", "", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := http.Header{"Retry-After": {tc.value}, "Date": {tc.date}}
			for _, status := range []int{429, 503} {
				if got := oauth.Classify(oauth.CallRefresh, status, header, nil, now).RetryAfter; got != tc.want {
					t.Errorf("with %d: got %v, want %v", status, got, tc.want)
				}
			}
		})
	}
}
