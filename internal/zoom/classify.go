package zoom

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Classify turns a REST answer that is no success into an *Error: a pure function over the status, the headers, the body
// and the time (for waits where the answer itself has no Date). Sources: Zoom's page "Error definitions" and captures;
// `code` is often not the HTTP status, and some services say errorCode and errorMessage.
func Classify(status int, header http.Header, body []byte, now time.Time) *Error {
	code, message := decodeError(body)
	e := &Error{Status: status, Code: code, TrackingID: trackingID(header), RetryAfter: retryAfter(header, now)}
	if scopes, missing := missingScopes(message); missing && status < 500 {
		e.Kind, e.Scopes = KindScopeMissing, scopes
		e.Message = "The grant lacks a scope that this call needs. Add it to the app at Zoom, then have the user authorize again."
		return e
	}
	e.Kind, e.Message = kindOf(status, code, message)
	return e
}

func kindOf(status, code int, message string) (Kind, string) {
	switch {
	case status == http.StatusTooManyRequests || code == 429:
		return KindUnavailable, "Zoom asks for fewer requests. Try again later."
	case status >= 500 || status == http.StatusRequestTimeout || status/100 == 3:
		return KindUnavailable, "Zoom is not available. Try again later."
	case status == http.StatusUnauthorized:
		return KindUnauthorized, "Zoom does not accept the access token."
	case inactive(code, message):
		return KindInactive, "The Zoom user does not exist in this account any more, or is not active."
	case code == 0 && message == "":
		return KindUnavailable, "Zoom refused the call without saying why, as a proxy in front of it may. Try again later."
	}
	return KindRejected, "Zoom refused the call."
}

// inactive knows the codes for a user who is gone (1001), on another account (1010), or named in a text as deactivated;
// Zoom documents no code for the last.
func inactive(code int, message string) bool {
	text := strings.ToLower(message)
	return code == 1001 || code == 1010 || strings.Contains(text, "user is inactive") ||
		strings.Contains(text, "user is not active") || strings.Contains(text, "user has been deactivated")
}

// decodeError reads {"code","message"} or {"errorCode","errorMessage"}; numbers may be strings. Anything else yields
// zero values.
func decodeError(body []byte) (int, string) {
	var m struct {
		Code         any    `json:"code"`
		ErrorCode    any    `json:"errorCode"`
		Message      string `json:"message"`
		ErrorMessage string `json:"errorMessage"`
	}
	if json.Unmarshal(body, &m) != nil {
		return 0, ""
	}
	code, message := number(m.Code), m.Message
	if code == 0 {
		code = number(m.ErrorCode)
	}
	if message == "" {
		message = m.ErrorMessage
	}
	return code, message
}

func number(v any) int {
	switch v := v.(type) {
	case float64:
		if v == float64(int32(v)) {
			return int(v)
		}
	case string:
		n, err := strconv.ParseInt(strings.ReplaceAll(v, ",", ""), 10, 32)
		if err == nil {
			return int(n)
		}
	}
	return 0
}

// missingScopes finds the list in "Invalid access token, does not contain scopes:[a, b]." The older text has no list.
func missingScopes(message string) ([]string, bool) {
	_, rest, found := strings.Cut(message, "does not contain scopes")
	if !found {
		return nil, false
	}
	_, rest, _ = strings.Cut(rest, "[")
	list, _, closed := strings.Cut(rest, "]")
	if !closed {
		return nil, true
	}
	var scopes []string
	for s := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if plain(s) {
			scopes = append(scopes, s)
		}
	}
	return scopes, true
}

// plain reports whether s looks like a scope name or a tracking id: short, and nothing but letters, digits and ":._-".
func plain(s string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":._-", r)
	}
	return s != "" && len(s) <= 100 && strings.IndexFunc(s, odd) < 0
}

func trackingID(header http.Header) string {
	if id := header.Get("x-zm-trackingid"); plain(id) {
		return id
	}
	return ""
}

// isNetwork reports whether an error speaks of addresses or certificates only.
func isNetwork(err error) bool {
	var (
		op   *net.OpError
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &cert)
}
