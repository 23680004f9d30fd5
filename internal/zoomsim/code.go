package zoomsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"time"
)

// code is an authorization code: single use, five minutes, bound to client, redirect URI and PKCE challenge.
type code struct {
	clientID    string
	userID      string
	redirectURI string
	scopes      []string
	pkce        pkce
	expires     time.Time
	spent       bool
}

// issueCode remembers c as granted now and returns its value.
func (st *state) issueCode(c code, now time.Time) string {
	value := randomText(codePrefix)
	c.expires = now.Add(codeLife)
	st.codes[digestOf(value)] = &c
	return value
}

// pkce is the challenge of an authorize request. The zero value is a request without one.
type pkce struct {
	challenge string
	method    string // S256 or plain; absent counts as plain, which is Zoom's documented default
}

// matches reports whether verifier belongs to the challenge (RFC 7636, section 4.6). A request without a challenge
// matches any verifier.
func (p pkce) matches(verifier string) bool {
	if p.challenge == "" {
		return true
	}
	got := verifier
	if p.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(p.challenge)) == 1
}
