package oauth

// clientVerdict judges `error` values that speak of the client: RFC 6749 5.2, then GitHub's, Google's and Slack's.
func clientVerdict(call Call, said refusal) (verdict, bool) {
	if said.word == "unauthorized_client" && said.description == "refresh_token is invalid" {
		// Atlassian says so of one user's token; every other user of the app would be stopped with that user.
		return dead(call, ReasonRevoked, deadMessage), true
	}
	switch said.word {
	case "invalid_client", "unauthorized_client",
		"incorrect_client_credentials", "bad_client_secret", "invalid_client_id", "invalid_client_secret":
		return badClient, true
	case "unsupported_grant_type":
		return badGrantType, true
	case "application_suspended", "disabled_client", "deleted_client":
		return appDisabled, true
	}
	return verdict{}, false
}

const deadMessage = "The provider does not accept the refresh token any more: the user withdrew the app, consented anew elsewhere, or it has expired. The user must authorize again."

// wordVerdict judges all other `error` values: RFC 6749 5.2 and OIDC Core 3.1.2.6, then what providers say in their
// place. A word about codes means nothing to a refresh, and the other way round.
func wordVerdict(call Call, said refusal) (verdict, bool) {
	switch said.word {
	case "invalid_grant":
		return dead(call, ReasonRevoked, deadMessage), true
	case "temporarily_unavailable", "service_unavailable":
		return unavailable, true
	case "server_error", "internal_error", "fatal_error":
		return brokenDown(call), true
	case "slow_down", "rate_limited", "ratelimited", "rate_limit_exceeded":
		return rateLimited, true
	case "redirect_uri_mismatch", "bad_redirect_uri":
		return badRedirect, true
	}
	switch call {
	case CallExchange:
		return codeWord(said.word)
	default:
		return tokenWord(call, said.word)
	}
}

// codeWord knows GitHub's and Slack's words for a code that is not valid.
func codeWord(word string) (verdict, bool) {
	switch word {
	case "bad_verification_code", "invalid_code", "code_already_used", "code_expired":
		return dead(CallExchange, ReasonExpired, ""), true
	}
	return verdict{}, false
}

// tokenWord knows the words for a token or a user that is not valid: RFC 6750's, which many servers use for refresh tokens too,
// OIDC's for a user who must be asked again, GitHub's and Slack's.
func tokenWord(call Call, word string) (verdict, bool) {
	switch word {
	case "invalid_token", "bad_refresh_token", "invalid_refresh_token", "token_revoked", "invalid_auth",
		"interaction_required", "login_required", "consent_required":
		return dead(call, ReasonRevoked, deadMessage), true
	case "token_expired":
		return dead(call, ReasonExpired, deadMessage), true
	case "account_inactive", "inactive_user": // Slack's and Salesforce's
		return dead(call, ReasonUserDeactivated, "The user's account at the provider is not active. Activate it there, then the user must authorize again."), true
	}
	return verdict{}, false
}
