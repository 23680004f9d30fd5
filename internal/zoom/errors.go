package zoom

import (
	"errors"
	"strconv"
	"time"
)

// Kind says what a failed REST call means.
type Kind string

// The kinds.
const (
	// KindInactive: the user is deactivated, pending, or gone from the account.
	KindInactive Kind = "INACTIVE"
	// KindScopeMissing: the grant lacks a scope; Scopes lists the alternatives, any one of which would do.
	KindScopeMissing Kind = "SCOPE_MISSING"
	// KindUnauthorized: the access token was refused; one refresh may help.
	KindUnauthorized Kind = "UNAUTHORIZED"
	// KindUnavailable: Zoom did not answer, or asked to come back later (RetryAfter).
	KindUnavailable Kind = "UNAVAILABLE"
	// KindRejected: Zoom refused the request for another reason.
	KindRejected Kind = "REJECTED"
)

// Error is a failed REST call, classified.
type Error struct {
	Kind Kind
	// Status is the HTTP status; zero where no answer came.
	Status int
	// Code is Zoom's number; zero where the body had none.
	Code int
	// Scopes are those that Zoom listed as missing; any one of them is enough.
	Scopes []string
	// RetryAfter is what Zoom asked for; zero where it did not.
	RetryAfter time.Duration
	// TrackingID is Zoom's x-zm-trackingid, to be quoted to Zoom's support; may be empty.
	TrackingID string
	// Message is a sentence of ours that is safe to show.
	Message string
	// Cause is for logs; it never contains a token.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Kind) + ": " + e.Message
	if e.Code != 0 {
		text += " (" + strconv.Itoa(e.Code) + ")"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first *Error in err's chain, KindUnavailable where there is none, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindUnavailable
}
