package grant_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

// next is what a connection does after a failed refresh.
type next string

const (
	confirmsDeath next = "stays connected for a minute; refused again, the user must authorize"
	blamesApp     next = "stays connected, the app is flagged"
	triesAgain    next = "stays connected, tried again with back-off"
)

// TestZoomRowsAtARefresh has the rows of Zoom's error list that a token endpoint can answer a refresh with: what each
// means, and what the connection does next. Rows that speak of codes or redirects are there because nothing may die of
// them.
func TestZoomRowsAtARefresh(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		body   string
		reason string
		next   next
	}{
		{"4700, no text", 400, `{"code":4700,"message":""}`, "PROVIDER_ERROR", triesAgain},
		{"4700, no token", 401, `{"reason":"Token cannot be empty."}`, "PROVIDER_ERROR", triesAgain},
		{"4700, catch-all", 500, `{"reason":"java.lang.NullPointerException","error":"server_error"}`, "PROVIDER_ERROR", triesAgain},
		{"4700, redirect", 400, `{"status":false,"errorCode":4700,"errorMessage":"Invalid redirect url","result":null}`, "PROVIDER_ERROR", triesAgain},
		{"4702", 400, `{"reason":"Invalid client.","error":"invalid_client"}`, "CLIENT_REJECTED", blamesApp},
		{"4702 by number", 400, `{"status":false,"errorCode":4702,"errorMessage":"Invalid client_id: abc","result":null}`, "CLIENT_REJECTED", blamesApp},
		{"4704", 400, `{"reason":"Invalid client secret.","error":"invalid_client"}`, "CLIENT_REJECTED", blamesApp},
		{"4705", 400, `{"reason":"Grant type is not supported from token endpoint.","error":"unsupported_grant_type"}`, "CLIENT_REJECTED", blamesApp},
		{"4706, credentials", 400, `{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`, "CLIENT_REJECTED", blamesApp},
		{"4706, grant type", 400, `{"reason":"Missing grant type.","error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"4709", 400, `{"reason":"Redirect URI mismatch.","error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"4711", 400, `{"reason":"Refresh token invalid.","error":"invalid_grant"}`, "SCOPES_CHANGED", confirmsDeath},
		{"4717", 400, `{"reason":"The app has been disabled","error":"unauthorized_client"}`, "APP_DISABLED", blamesApp},
		{"4724", 401, `{"code":4724,"message":"JWT strings must contain exactly 2 period characters","error":"invalid_token"}`, "PROVIDER_ERROR", triesAgain},
		{"4732", 500, `{"reason":"Creating authorization code error.","error":"server_error"}`, "PROVIDER_ERROR", triesAgain},
		{"4733", 400, `{"reason":"Code is expired","error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"4734", 400, `{"reason":"Invalid authorization code.","error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"4735", 400, `{"reason":"The owner of the token does not exist.","error":"invalid_grant"}`, "USER_DEACTIVATED", confirmsDeath},
		{"4737", 400, `{"reason":"Can not find the authentication for the access token.","error":"invalid_grant"}`, "REVOKED", confirmsDeath},
		{"4738", 400, `{"reason":"The token is disabled by admin.","error":"invalid_grant"}`, "APPROVAL_WITHDRAWN", confirmsDeath},
		{"4740", 400, `{"reason":"The token ID is out of the token tolerance range.","error":"invalid_grant"}`, "REVOKED", confirmsDeath},
		{"4741", 400, `{"reason":"The token has been revoked.","error":"invalid_grant"}`, "SUPERSEDED", confirmsDeath},
		{"dead, today", 400, `{"reason":"Invalid Token!","error":"invalid_grant"}`, "REVOKED", confirmsDeath},
		{"dead, until 2022", 401, `{"reason":"Invalid Token!","error":"invalid_request"}`, "REVOKED", confirmsDeath},
		{"wrong pair", 400, `{"reason":"Invalid client_id or client_secret","error":"invalid_client"}`, "CLIENT_REJECTED", blamesApp},
		{"grant type", 400, `{"reason":"unsupported grant type","error":"unsupported_grant_type"}`, "CLIENT_REJECTED", blamesApp},
		{"code, until 2020", 400, `{"reason":"Invalid authorization code abc","error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"PKCE", 400, `{"error":"invalid_grant"}`, "REVOKED", confirmsDeath},
		{"a parameter", 400, `{"error":"invalid_request"}`, "PROVIDER_ERROR", triesAgain},
		{"throttled", 429, ``, "RATE_LIMITED", triesAgain},
		{"throttled, HTML", 429, `<html>`, "RATE_LIMITED", triesAgain},
		{"500", 500, ``, "PROVIDER_ERROR", triesAgain},
		{"502", 502, `<html>`, "PROVIDER_ERROR", triesAgain},
		{"503", 503, `<html>`, "PROVIDER_ERROR", triesAgain},
		{"503 that names death", 503, `{"reason":"Invalid Token!","error":"invalid_grant"}`, "PROVIDER_ERROR", triesAgain},
		{"pending device", 400, `{"error":"authorization_pending"}`, "PROVIDER_ERROR", triesAgain},
		{"polling too fast", 400, `{"error":"slow_down"}`, "RATE_LIMITED", triesAgain},
		{"device code expired", 400, `{"error":"expired_token"}`, "PROVIDER_ERROR", triesAgain},
		{"declined", 400, `{"error":"access_denied"}`, "PROVIDER_ERROR", triesAgain},
	} {
		t.Run(row.name, func(t *testing.T) {
			failure := oauth.Classify(oauth.CallRefresh, row.status, http.Header{}, []byte(row.body), noon)
			first := grant.Judge(grant.FailedSpend{Err: failure, Now: noon})
			later := grant.Judge(grant.FailedSpend{Err: failure, Now: noon.Add(time.Hour), RefusedSince: noon, Attempts: 9})
			if got := nextOf(first, later); got != row.next || first.Reason != row.reason || first.HTTPStatus != row.status || first.Message == "" {
				t.Errorf("got %s %q: the connection %s; want %s: it %s", first.Reason, first.Message, got, row.reason, row.next)
			}
		})
	}
}

// nextOf names what two verdicts on the same failure, the second an hour later, do to a connection.
func nextOf(first, later grant.Verdict) next {
	switch {
	case first.Disconnect:
		return "is over at once"
	case first.BlameApp && later.BlameApp && !later.Disconnect && first.Class == grant.ClassMisconfigured:
		return blamesApp
	case later.Disconnect && first.Class == grant.ClassReauthorize && first.NextAttemptAt.Equal(noon.Add(grant.ConfirmDeath)):
		return confirmsDeath
	case !later.Disconnect && first.Class == grant.ClassUnavailable && first.NextAttemptAt.After(noon):
		return triesAgain
	}
	return "does something else"
}

// TestZoomRowsAtARevocation: a token that Zoom does not know any more is as good as revoked, and nothing else is.
func TestZoomRowsAtARevocation(t *testing.T) {
	for _, row := range []struct {
		status int
		body   string
		want   oauth.Outcome
	}{
		{400, `{"reason":"Invalid Token!","error":"invalid_request"}`, oauth.GrantDead},
		{400, `{"reason":"The token has been revoked.","error":"invalid_grant"}`, oauth.GrantDead},
		{400, `{"reason":"Invalid client.","error":"invalid_client"}`, oauth.AppMisconfigured},
		{400, `{"reason":"The app has been disabled","error":"unauthorized_client"}`, oauth.AppMisconfigured},
		{401, `{"reason":"Token cannot be empty."}`, oauth.Rejected},
		{401, `{"code":4724,"error":"invalid_token"}`, oauth.Rejected},
		{400, `{"code":4700,"message":""}`, oauth.Unavailable},
		{500, `{"error":"server_error"}`, oauth.Unavailable},
		{429, ``, oauth.RateLimited},
	} {
		if got := oauth.Classify(oauth.CallRevoke, row.status, http.Header{}, []byte(row.body), noon); got.Outcome != row.want {
			t.Errorf("%d %s: got %s, want %s", row.status, row.body, got.Outcome, row.want)
		}
	}
}
