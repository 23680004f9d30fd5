package oauth

import "strings"

// The codes 4700 to 4741 of Zoom's page "OAuth error messages". Zoom documents a number, a text and a cause for each;
// the token endpoint mostly sends the text without the number, so both lead to the same verdict.

// invalidToken is "Invalid Token!", Zoom's usual text for a dead refresh token, as normal leaves it.
const invalidToken = "invalid token"

func isZoomNumber(n int) bool { return n >= 4700 && n <= 4741 }

// zoomNumber returns the number that Zoom documents for a text; zero for any other text.
func zoomNumber(reason string) int {
	switch reason {
	case "token cannot be empty", "invalid redirect url":
		return 4700
	case "invalid client":
		return 4702
	case "invalid client secret", "client id does not match authenticated client":
		return 4704
	case "grant type is not supported from token endpoint":
		return 4705
	case "client id or client secret is missing", "missing grant type":
		return 4706
	case "redirect uri mismatch":
		return 4709
	case "refresh token invalid":
		return 4711
	case "the app has been disabled":
		return 4717
	case "creating authorization code error":
		return 4732
	case "code is expired":
		return 4733
	case "invalid authorization code":
		return 4734
	case "the owner of the token does not exist":
		return 4735
	case "can not find the authentication for the access token":
		return 4737
	case "the token is disabled by admin":
		return 4738
	case "the token id is out of the token tolerance range":
		return 4740
	case "the token has been revoked":
		return 4741
	}
	return 0
}

// zoomVerdict judges by Zoom's number, as sent or as documented for the text.
func zoomVerdict(call Call, said refusal) (verdict, bool) {
	number := said.number
	if !isZoomNumber(number) {
		number = zoomNumber(said.reason)
	}
	switch number {
	case 4702, 4704:
		return badClient, true
	case 4705:
		return badGrantType, true
	case 4709:
		return badRedirect, true
	case 4717:
		return appDisabled, true
	case 4724:
		return verdict{Rejected, ReasonProviderError, "Zoom could not read the request's own credentials. The connection is left as it is."}, true
	case 4732:
		return unavailable, true
	case 4706:
		return zoomMissing(said.reason), true
	case 4700:
		return zoomCatchAll(said.reason), true
	}
	return zoomDead(call, number)
}

func zoomMissing(reason string) verdict {
	if strings.Contains(reason, "grant type") {
		return verdict{Rejected, ReasonProviderError, "The request named no kind of grant. The connection is left as it is."}
	}
	return badClient
}

func zoomCatchAll(reason string) verdict {
	switch reason {
	case "token cannot be empty":
		return verdict{Rejected, ReasonProviderError, "The request carried no token. The connection is left as it is."}
	case "invalid redirect url":
		return badRedirect
	}
	return verdict{Unavailable, ReasonProviderError, "Zoom names no cause. Try again later; if it stays, give Zoom the time and the client id."}
}

// zoomDead judges the numbers that speak of the token or code.
func zoomDead(call Call, number int) (verdict, bool) {
	switch number {
	case 4711:
		return dead(call, ReasonScopesChanged, "The app's scopes changed and the grant does not match them any more. The user must authorize again."), true
	case 4733:
		return dead(call, ReasonExpired, deadMessage), call == CallExchange
	case 4734:
		return dead(call, ReasonRevoked, deadMessage), call == CallExchange
	case 4735:
		return dead(call, ReasonUserDeactivated, "The user does not belong to the Zoom account any more. Connect another user."), true
	case 4738:
		return dead(call, ReasonApprovalWithdrawn, "An admin of the Zoom account withdrew the app's approval. The admin must approve it again, then the user must authorize again."), true
	case 4737, 4740:
		return dead(call, ReasonRevoked, deadMessage), true
	case 4741:
		return dead(call, ReasonSuperseded, "The same user authorized the app again, which ended this grant. Use the newer connection, or authorize again."), true
	}
	return verdict{}, false
}

// zoomText judges the two texts that are seen on the wire and have no number of their own. "Invalid Token!" came with 401
// and invalid_request until 2022 and with 400 and invalid_grant since; the text about the code repeats the code.
func zoomText(call Call, said refusal) (verdict, bool) {
	switch {
	case said.reason == invalidToken:
		return dead(call, ReasonRevoked, deadMessage), true
	case call == CallExchange && strings.HasPrefix(said.reason, "invalid authorization code"):
		return dead(call, ReasonExpired, ""), true
	}
	return verdict{}, false
}
