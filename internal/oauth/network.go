package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
)

var errTooLong = errors.New("answer is longer than allowed")

// networkError is for a call that got no answer. Only a call that spends or changes something has an unknown outcome.
func networkError(call Call, sent bool, err error) *Error {
	e := &Error{Outcome: Unsent, Reason: ReasonNetwork, Cause: scrub(err),
		Message: "The provider could not be reached; nothing was sent. Trying again is safe."}
	switch {
	case sent && call == CallUserInfo:
		e.Outcome, e.Message = Unavailable, "The provider did not answer. Try again later."
	case sent:
		e.Outcome, e.Message = Unknown, "The provider did not answer, so it is not known whether the request took effect."
	}
	return e
}

// scrub returns an error whose text is safe to log. Errors of dialling, TLS, time and cut connections speak of addresses
// and certificates and stay as they are; any other may quote what the server sent (net/http quotes a malformed header),
// and a server may send back the code or token it was sent, so only its type is kept.
func scrub(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var (
		op   *net.OpError
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &op), errors.As(err, &dns), errors.As(err, &cert):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, errTooLong):
		return errTooLong
	}
	return fmt.Errorf("protocol error of type %T", err)
}
