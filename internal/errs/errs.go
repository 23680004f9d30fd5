// Package errs has the kinds of error that cross package borders.
//
// Mechanism: a domain package returns an *Error that carries a Kind, a sentence that is safe to show to a caller and,
// inside, the cause. The one presenter in graph maps the kind to extensions.code and prints the safe sentence; the
// cause goes to the log only. Everything that is not an *Error is INTERNAL to the outside.
//
// Limit: whoever builds an *Error vouches for its Message: no secret, no code, no text of a third party in it.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a caller can do about an error. Its text is the contract's extensions.code.
type Kind string

// The kinds, one for each extensions.code of the public contract.
const (
	Unauthenticated         Kind = "UNAUTHENTICATED"
	Forbidden               Kind = "FORBIDDEN"
	NotFound                Kind = "NOT_FOUND"
	BadUserInput            Kind = "BAD_USER_INPUT"
	Conflict                Kind = "CONFLICT"
	RateLimited             Kind = "RATE_LIMITED"
	TooComplex              Kind = "TOO_COMPLEX"
	ReauthorizationRequired Kind = "REAUTHORIZATION_REQUIRED"
	ProviderRejected        Kind = "PROVIDER_REJECTED"
	ProviderUnavailable     Kind = "PROVIDER_UNAVAILABLE"
	VaultUnavailable        Kind = "VAULT_UNAVAILABLE"
	AppMisconfigured        Kind = "APP_MISCONFIGURED"
	Internal                Kind = "INTERNAL"
)

// Error is an error that a caller may see.
type Error struct {
	Kind Kind
	// Message is safe to show: it never contains a secret, a code or a third party's text.
	Message string
	// Field names the offending input as a path ("grant.authorizationCode.code"); empty where there is none.
	Field string
	// RetryAfter is how long to wait before trying again; zero where trying again makes no sense.
	RetryAfter time.Duration
	// Cause is for the log and for errors.Is; it is never shown.
	Cause error
}

// Error implements error. It includes the cause: for logs, not for callers (who get Message).
func (e *Error) Error() string {
	text := string(e.Kind) + ": " + e.Message
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind with a message that is safe to show.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Input makes a BAD_USER_INPUT error about one field.
func Input(field, format string, args ...any) *Error {
	return &Error{Kind: BadUserInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy that carries a cause for the log.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// WithField returns a copy that names the offending input.
func (e *Error) WithField(field string) *Error {
	c := *e
	c.Field = field
	return &c
}

// WithRetryAfter returns a copy that says when to try again.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// KindOf returns the kind of the first *Error in err's chain, Internal where there is none, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return KindOf(err) == kind }
