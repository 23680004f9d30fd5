package oauth

import (
	"errors"
	"time"
)

// Outcome says what a failed call means for the grant.
type Outcome string

// The outcomes.
const (
	// Unsent: the request was not written; nothing can have happened at the provider.
	Unsent Outcome = "UNSENT"
	// Unknown: the request may have taken effect: timeout, cut, 5xx after sending, unreadable or incomplete answer.
	Unknown Outcome = "UNKNOWN"
	// GrantDead: the provider says the refresh token is not valid; only a new consent helps.
	GrantDead Outcome = "GRANT_DEAD"
	// CodeRejected: the authorization code is not valid (used, expired, unknown, other client, PKCE mismatch).
	CodeRejected Outcome = "CODE_REJECTED"
	// AppMisconfigured: the client id, its secret or its registration is refused; no user is to blame.
	AppMisconfigured Outcome = "APP_MISCONFIGURED"
	// Unavailable: the provider did not deal with the request; the token was not spent.
	Unavailable Outcome = "UNAVAILABLE"
	// RateLimited: as Unavailable, and RetryAfter says when to come back, if the provider did.
	RateLimited Outcome = "RATE_LIMITED"
	// Rejected: the provider refused the request itself, a fault of ours or of the caller's input. Never a reason to
	// end a connection.
	Rejected Outcome = "REJECTED"
	// Unauthorized: an access token was refused (UserInfo only). A refresh may help.
	Unauthorized Outcome = "UNAUTHORIZED"
)

// Reason says more about an outcome. Its text is the contract's FailureReason.
type Reason string

// The reasons that a provider's answer can give.
const (
	ReasonRevoked           Reason = "REVOKED"
	ReasonExpired           Reason = "EXPIRED"
	ReasonUserDeactivated   Reason = "USER_DEACTIVATED"
	ReasonSuperseded        Reason = "SUPERSEDED"
	ReasonScopesChanged     Reason = "SCOPES_CHANGED"
	ReasonDenied            Reason = "DENIED"
	ReasonApprovalWithdrawn Reason = "APPROVAL_WITHDRAWN"
	ReasonClientRejected    Reason = "CLIENT_REJECTED"
	ReasonAppDisabled       Reason = "APP_DISABLED"
	ReasonRateLimited       Reason = "RATE_LIMITED"
	ReasonProviderError     Reason = "PROVIDER_ERROR"
	ReasonNetwork           Reason = "NETWORK"
)

// Error is a failed call, classified.
type Error struct {
	Outcome Outcome
	// Reason says more, in the contract's words.
	Reason Reason
	// Status is the HTTP status; zero where no answer came.
	Status int
	// ProviderCode is the provider's number or its `error` value, checked to be a short plain word; else empty.
	ProviderCode string
	// RetryAfter is what the provider asked for; zero where it did not.
	RetryAfter time.Duration
	// Message is a sentence of ours that is safe to show and says what to do.
	Message string
	// Cause is for logs; it never contains a code, a token or a provider's free text.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Outcome) + ": " + e.Message
	if e.ProviderCode != "" {
		text += " (" + e.ProviderCode + ")"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// OutcomeOf returns the outcome of the first *Error in err's chain, Unknown where there is none (nobody knows, so the
// careful path is taken), and "" for nil.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}
