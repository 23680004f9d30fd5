package oauth

import (
	"net/http"
	"time"
)

// Call is what was asked of the provider.
type Call string

// The calls. Exchange and refresh spend something: after them an answer that nobody can read leaves an unknown outcome.
const (
	CallExchange Call = "exchange"
	CallRefresh  Call = "refresh"
	CallRevoke   Call = "revoke"
	CallUserInfo Call = "userinfo"
)

func (c Call) spends() bool { return c == CallExchange || c == CallRefresh }

// verdict is the part of an *Error that depends on what the provider said.
type verdict struct {
	outcome Outcome
	reason  Reason
	message string
}

// Classify turns an answer that is no success into an *Error: a pure function over the call, the status, the headers,
// the body and the time (for Retry-After dates where the answer itself has no Date).
//
// In doubt it errs away from death: GrantDead and CodeRejected come from words that say just that, never from a status
// or a page.
func Classify(call Call, status int, header http.Header, body []byte, now time.Time) *Error {
	said := decodeRefusal(header, body)
	v := judge(call, status, said)
	return &Error{
		Outcome: v.outcome, Reason: v.reason, Message: v.message, Status: status,
		ProviderCode: said.code(), RetryAfter: retryAfter(header, now),
	}
}

func judge(call Call, status int, said refusal) verdict {
	switch {
	case status == http.StatusTooManyRequests:
		return rateLimited
	case status >= 500 || status == http.StatusRequestTimeout:
		return brokenDown(call)
	case status == http.StatusTooEarly:
		return unavailable // RFC 8470 5.2: it was not processed
	case status/100 == 3:
		return verdict{Unavailable, ReasonProviderError, "The provider sent the request elsewhere; redirects are not followed. Check the endpoint's address."}
	case call == CallUserInfo && status == http.StatusUnauthorized:
		return unauthorized
	case said.refuses() || status/100 == 4 && said.isSet():
		return judgeWords(call, said)
	case status/100 == 2:
		return unreadable(call)
	case call == CallUserInfo:
		return withheld
	}
	return verdict{Unavailable, ReasonProviderError, "The provider refused the request without saying why, as a proxy in front of it may. Try again later."}
}

// judgeWords judges what a provider that dealt with the request says. Words about the client win over words about the
// token: a wrong client secret says nothing about a user's grant.
func judgeWords(call Call, said refusal) verdict {
	for _, by := range []func(Call, refusal) (verdict, bool){zoomVerdict, clientVerdict, zoomText, wordVerdict} {
		if v, ok := by(call, said); ok {
			return v
		}
	}
	if call == CallUserInfo {
		return withheld
	}
	return verdict{Rejected, ReasonProviderError, "The provider refused the request itself. The connection is left as it is."}
}

var (
	rateLimited  = verdict{RateLimited, ReasonRateLimited, "The provider asks for fewer requests. Try again later."}
	unavailable  = verdict{Unavailable, ReasonProviderError, "The provider is not available. Try again later."}
	unauthorized = verdict{Unauthorized, ReasonRevoked, "The provider does not accept the access token."}
	withheld     = verdict{Rejected, ReasonProviderError, "The provider refused to say whose token this is. Check that the granted scopes allow it."}
	badClient    = verdict{AppMisconfigured, ReasonClientRejected, "The provider refuses the app's client id or secret. Check both, and that they are for the same environment."}
	badGrantType = verdict{AppMisconfigured, ReasonClientRejected, "The provider does not let this app use this kind of grant. Check the app's type in its registration."}
	appDisabled  = verdict{AppMisconfigured, ReasonAppDisabled, "The provider has disabled the app. Only the provider can enable it again."}
	badRedirect  = verdict{Rejected, ReasonProviderError, "The redirect URI differs from the one that the authorization began with, or is not registered. Send it byte for byte."}
)

// brokenDown is for an answer that does not tell whether the request took effect.
func brokenDown(call Call) verdict {
	if !call.spends() {
		return unavailable
	}
	return verdict{Unknown, ReasonProviderError, "The provider broke down while it dealt with the request, so it is not known whether the request took effect."}
}

func unreadable(call Call) verdict {
	if !call.spends() {
		return verdict{Unavailable, ReasonProviderError, "The provider's answer could not be read. Try again later."}
	}
	return verdict{Unknown, ReasonProviderError, "The provider's answer could not be read, so it is not known whether the request took effect."}
}

// dead is for words that say that what was spent is not valid.
func dead(call Call, reason Reason, message string) verdict {
	switch call {
	case CallExchange:
		return verdict{CodeRejected, reason, "The provider does not accept the authorization code: it was used before, has expired, or belongs to another app or PKCE verifier. Start the authorization again."}
	case CallUserInfo:
		return unauthorized
	}
	return verdict{GrantDead, reason, message}
}
