package model

import (
	"math"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// CredentialResultOf makes the union's member of what the domain said.
func CredentialResultOf(r connection.Result) CredentialResult {
	c := ConnectionOf(r.Connection)
	switch {
	case r.Credential != nil:
		return credentialOf(c, r.Credential)
	case r.Reauthorization != nil:
		return &ReauthorizationRequired{Connection: c, Failure: FailureOf(r.Reauthorization)}
	case r.Unavailable != nil:
		return &CredentialUnavailable{
			Connection: c,
			Code:       UnavailableCode(r.Unavailable.Code),
			Message:    r.Unavailable.Message,
			RetryAfter: Seconds(r.Unavailable.RetryAfter),
		}
	default:
		return &NotConnected{Message: r.NotConnected}
	}
}

// CredentialResultsOf makes the union's members, in order.
func CredentialResultsOf(rs []connection.Result) []CredentialResult {
	return each(rs, CredentialResultOf)
}

func credentialOf(c *Connection, k *connection.Credential) *Credential {
	return &Credential{
		Connection:      c,
		Version:         k.Version,
		TokenType:       k.TokenType,
		AccessToken:     k.AccessToken,
		ExpiresAt:       k.ExpiresAt,
		Scopes:          List(k.Scopes),
		APIURL:          text(k.APIURL),
		RevalidateAfter: k.RevalidateAfter,
	}
}

// Seconds rounds up: whoever waits that long has waited enough.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
