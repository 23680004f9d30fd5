package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// answerError is an answer of Vault that is no success. It holds what is fit for a log: of Vault's own words only the
// first, without anything that could be a secret, and nothing of a body that is not Vault's.
type answerError struct {
	// what is the method and the path.
	what   string
	status int
	// said are Vault's words in full: they are compared, never printed.
	said []string
}

// Error implements error.
func (e *answerError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.what, e.status)
	if len(e.said) > 0 {
		text += ": " + scrub(e.said[0])
	}
	return text
}

// says reports whether Vault's words contain any of the texts: Vault has no codes.
func (e *answerError) says(texts ...string) bool {
	return slices.ContainsFunc(e.said, func(said string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(said, text) })
	})
}

// sentError is a request without an answer.
type sentError struct {
	what string
	// never is true where the request certainly did not reach Vault.
	never bool
	// silent is true where all the time that a request is given went by.
	silent bool
	cause  error
}

// Error implements error.
func (e *sentError) Error() string { return e.what + ": " + e.cause.Error() }

// Unwrap returns the cause.
func (e *sentError) Unwrap() error { return e.cause }

// longWord is anything long enough to be a token, a key or a ciphertext.
var longWord = regexp.MustCompile(`[A-Za-z0-9+/=_.-]{20,}`)

// scrub makes Vault's words fit for a log.
func scrub(said string) string {
	said = longWord.ReplaceAllString(said, "[...]")
	if len(said) > 200 {
		said = said[:200] + "..."
	}
	return strings.Join(strings.Fields(said), " ")
}

// requestError turns what the library says into one of ours.
func requestError(what string, err error) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		e := &answerError{what: what, status: answer.StatusCode}
		if !answer.RawError {
			e.said = answer.Errors
		}
		return e
	}
	var op *net.OpError
	never := errors.As(err, &op) && op.Op == "dial"
	return &sentError{what: what, never: never, cause: withoutURL(err)}
}

// withoutURL drops what net/http says about the request: its path is ours to say.
func withoutURL(err error) error {
	type inner interface{ Unwrap() error }
	for {
		var op *net.OpError
		if errors.As(err, &op) {
			return op
		}
		in, ok := err.(inner) //nolint:errorlint // one layer at a time
		if !ok || in.Unwrap() == nil {
			return err
		}
		err = in.Unwrap()
	}
}

// sentinel wraps an error into the sentinel that callers of the seam act on; one that has a sentinel passes. What is not
// known to be something else is vault.ErrUnavailable: in doubt.
func sentinel(err error) error {
	if err == nil || hasSentinel(err) {
		return err
	}
	if e, ok := asAnswer(err); ok && e.status == http.StatusForbidden {
		return fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	if gone(err) {
		return fmt.Errorf("%w: %w", vault.ErrAway, err)
	}
	return fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
}

// gone reports whether the error says that whatever is asked next fails as well: Vault is sealed, or nobody listens.
func gone(err error) bool {
	if e, ok := asAnswer(err); ok {
		return e.status == http.StatusServiceUnavailable && e.says("Vault is sealed")
	}
	var sent *sentError
	return errors.As(err, &sent) && sent.never && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// doubtful reports whether the error leaves open if anybody is there at all.
func doubtful(err error) bool {
	if e, ok := asAnswer(err); ok {
		return e.status == http.StatusBadGateway || e.status == http.StatusServiceUnavailable || e.status == http.StatusGatewayTimeout
	}
	var sent *sentError
	return errors.As(err, &sent) && (sent.silent || sent.never && !errors.Is(err, context.Canceled))
}

func hasSentinel(err error) bool {
	return slices.ContainsFunc([]error{
		vault.ErrUnavailable, vault.ErrNotFound, vault.ErrErased, vault.ErrMismatch, vault.ErrNoKey,
		vault.ErrCorrupt, vault.ErrFull, vault.ErrDenied, vault.ErrInvalid, vault.ErrPepper,
	}, func(s error) bool { return errors.Is(err, s) })
}

func asAnswer(err error) (*answerError, bool) {
	var e *answerError
	ok := errors.As(err, &e)
	return e, ok
}

// noKey reports whether Vault says that the transit key does not exist.
func noKey(err error) bool {
	e, ok := asAnswer(err)
	return ok && ((e.status == http.StatusNotFound && len(e.said) == 0) ||
		(e.status == http.StatusBadRequest && e.says("key not found", "could not delete key; not found", "invalid key name", "no existing key named")))
}

// keyError is sentinel for requests about one tenant's key.
func keyError(err error) error {
	if err != nil && noKey(err) {
		return fmt.Errorf("%w: %w", vault.ErrNoKey, err)
	}
	return sentinel(err)
}
