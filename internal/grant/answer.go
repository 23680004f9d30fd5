package grant

import (
	"cmp"
	"encoding/json"
	"maps"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

// fromAnswer builds the set that a provider's answer stands for. Where the answer is silent the previous set speaks: a
// refresh token that was not replaced stays (RFC 6749 6), scopes that are not named are as before (RFC 6749 5.1), and so
// are members that only some answers have.
//
// sent is when the request went out. A life counts from there, not from the receipt: an answer may have been on its way
// for as long as the provider's cap. observed is the life of this connection's earlier tokens, zero where there is none.
func fromAnswer(answer oauth.TokenSet, previous TokenSet, app oauth.App, sent time.Time, observed time.Duration) TokenSet {
	set := TokenSet{
		AccessToken: answer.AccessToken, RefreshToken: answer.RefreshToken, TokenType: "bearer",
		ObtainedAt: sent, Scopes: answer.Scopes, APIURL: cmp.Or(answer.APIURL, previous.APIURL),
		Extra: merged(previous.Extra, answer.Extra), Owner: previous.Owner,
	}
	if set.RefreshToken.IsZero() {
		set.RefreshToken = previous.RefreshToken
	}
	if !answer.HasScopes {
		set.Scopes = previous.Scopes
	}
	life := cmp.Or(max(answer.ExpiresIn, 0), app.Provider.AccessTokenLife, max(previous.Life(), 0), observed)
	if life > 0 {
		set.ExpiresAt = sent.Add(life)
	}
	return set
}

// observedLife is how long a connection's earlier tokens were to live; zero where none said.
func observedLife(row *ent.Connection) time.Duration {
	if row == nil {
		return 0
	}
	return time.Duration(row.AccessTokenLife) * time.Second
}

// maxExtra bounds, in bytes, what is kept of earlier answers: a provider that names its members anew each time must not
// make a record grow without end.
const maxExtra = 16 << 10

// merged is the members of earlier answers under those of the newest.
func merged(before, now map[string]json.RawMessage) map[string]json.RawMessage {
	all, size := maps.Clone(before), 0
	if all == nil {
		return now
	}
	maps.Copy(all, now)
	for name, value := range all {
		size += len(name) + len(value)
	}
	if size > maxExtra {
		return now
	}
	return all
}
